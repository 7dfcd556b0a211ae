//! Every task of every state machine, struck by everything that can go wrong there. On LocalStack, whose parts can be told to fail;
//! the cases are made from the machines (`tests/src/faults`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

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

async fn work(stack: &'static Stack, n: usize, open: Arc<Mutex<VecDeque<Run>>>, told: Arc<Mutex<Told>>) {
    let mut lane: Option<Arc<Lane>> = None;
    loop {
        let Some(run) = open.lock().unwrap().pop_front() else { return };
        let since = Instant::now();
        let on = match &lane {
            Some(lane) => Arc::clone(lane),
            None => Arc::clone(lane.insert(Arc::new(Lane::new(stack, &format!("faults-{n}")).await))),
        };
        let (name, this) = (run.name(), run.clone());
        // A task of its own: what does not hold there fails this case, and the next one gets a fresh model.
        let ended = tokio::spawn(async move { on.run(&this).await }).await;
        let took = since.elapsed().as_secs_f64();
        let mut told = told.lock().unwrap();
        told.ended += 1;
        match ended {
            Ok(how) => println!("{took:5.1} s  {name}: {how}"),
            Err(error) => {
                let why = error.into_panic();
                let why = why.downcast_ref::<String>().cloned().unwrap_or_else(|| {
                    why.downcast_ref::<&str>().map_or("it panicked", |text| text).to_owned()
                });
                println!("{took:5.1} s  {name}: DOES NOT HOLD: {why}");
                told.failed.push(format!("{name}: {why}"));
                lane = None;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_strikes_a_task_the_promotion_ends_lawfully() {
    let plan = plan(&asl::machines().unwrap()).unwrap();
    let (chosen, all) = wanted(plan.runs(), plan.short());
    let cases: usize = chosen.iter().map(|run| run.cases.len()).sum();
    println!("{} of {all} promotions, {cases} of {} cases", chosen.len(), plan.cases.len());
    assert!(!chosen.is_empty(), "no case is chosen");
    let stack: &'static Stack = Box::leak(Box::new(Stack::connect().await));
    let wanted = chosen.len();
    let (open, told) = (Arc::new(Mutex::new(VecDeque::from(chosen))), Arc::new(Mutex::new(Told::default())));
    let lanes = (0..LANES.min(wanted)).map(|n| tokio::spawn(work(stack, n, Arc::clone(&open), Arc::clone(&told))));
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
    let told = told.lock().unwrap();
    assert_eq!(told.ended, wanted, "promotions that were tried");
    assert!(told.failed.is_empty(), "{} of {wanted} do not hold:\n{}", told.failed.len(), told.failed.join("\n"));
}
