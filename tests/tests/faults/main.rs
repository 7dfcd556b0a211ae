//! Every task of every state machine, struck by everything that can go wrong there. On LocalStack, whose parts can be told to fail;
//! the cases are made from the machines (`tests/src/faults`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::join_all;
use seatrial_tests::asl;
use seatrial_tests::faults::{Lane, Run, plan};
use seatrial_tests::stack::Stack;

/// So many promotions run at the same time, each of a model of its own: the engine is one process of Python.
const LANES: usize = 3;

#[expect(clippy::disallowed_methods, reason = "who starts the suite says how much of it is wanted")]
fn wanted(runs: Vec<Run>, short: Vec<Run>) -> (Vec<Run>, usize) {
    let all = runs.len();
    match std::env::var("SEATRIAL_FAULTS").unwrap_or_default().as_str() {
        "" | "short" => (short, all),
        "all" => (runs, all),
        // A part of a name, to look at a few.
        part => (runs.into_iter().filter(|run| run.name().contains(part)).collect(), all),
    }
}

/// What was found out: a line for each promotion, and those that did not hold.
#[derive(Default)]
struct Told {
    ended: usize,
    failed: Vec<String>,
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}

/// Takes one run after the other, on a model that the one before left as it found it.
async fn work(stack: &Stack, n: usize, open: &RefCell<VecDeque<Run>>, told: &RefCell<Told>) {
    let mut lane: Option<Lane<'_>> = None;
    loop {
        let Some(run) = open.borrow_mut().pop_front() else { return };
        let since = Instant::now();
        // What does not hold fails this run alone, and the next one gets a fresh model.
        let ended = AssertUnwindSafe(async {
            if lane.is_none() {
                lane = Some(Lane::new(stack, &format!("faults-{n}")).await);
            }
            lane.as_ref().expect("a lane").run(&run).await
        })
        .catch_unwind()
        .await;
        let (took, name) = (since.elapsed().as_secs_f64(), run.name());
        told.borrow_mut().ended += 1;
        match ended {
            Ok(how) => println!("{took:5.1} s  {name}: {how}"),
            Err(panic) => {
                let why = words(panic.as_ref());
                println!("{took:5.1} s  {name}: DOES NOT HOLD: {why}");
                told.borrow_mut().failed.push(format!("{name}: {why}"));
                lane = None;
            }
        }
    }
}

#[tokio::test]
async fn whatever_strikes_a_task_the_promotion_ends_lawfully() {
    let plan = plan(&asl::machines().unwrap()).unwrap();
    let (chosen, all) = wanted(plan.runs(), plan.short());
    // A case on the way back strikes on each of the ways there are.
    let faults = |runs: &[Run]| runs.iter().map(|run| run.cases.len()).sum::<usize>();
    let (few, many) = (faults(&chosen), faults(&plan.runs()));
    println!("{} of {all} promotions, {few} of {many} faults ({} cases)", chosen.len(), plan.cases.len());
    assert!(!chosen.is_empty(), "no case is chosen");
    let (stack, wanted) = (Stack::connect().await, chosen.len());
    let (open, told) = (RefCell::new(VecDeque::from(chosen)), RefCell::new(Told::default()));
    join_all((0..LANES.min(wanted)).map(|n| work(&stack, n, &open, &told))).await;
    let told = told.into_inner();
    assert_eq!(told.ended, wanted, "promotions that were tried");
    assert!(
        told.failed.is_empty(),
        "{} of {wanted} do not hold:\n{}",
        told.failed.len(),
        told.failed.join("\n")
    );
}
