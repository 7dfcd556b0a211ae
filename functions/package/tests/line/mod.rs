//! A promotion whose model another one holds, under a policy that lets it wait.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use seatrial_domain::policy::BusyMode;
use seatrial_domain::task::InLine;

use super::*;

/// v1 is being promoted, and v2 is packaged; who comes second waits a minute at most.
async fn busy() -> (World, Held, PromotionInput) {
    let world = World::new().await;
    let mut rules = policy();
    rules.when_busy.mode = BusyMode::Wait;
    rules.when_busy.max_wait_seconds = 60;
    world.ops().set_policy(&world.model, &rules).await.unwrap();
    let first = world.run(&world.task("one", Some(world.submit("s1").await), None)).await.unwrap();
    let other = world.submit("s2").await;
    let changelog = Bytes::from_static(b"# v2\nOther words.");
    world
        .submissions
        .put(&format!("{}CHANGELOG.md", other.prefix), changelog, "text/markdown")
        .await
        .unwrap();
    let announcement = Bytes::from_static(b"{\"schema\":1}");
    world.submissions.put(&format!("{}submission.json", other.prefix), announcement, "x").await.unwrap();
    let second = world.task("two", Some(other), None).input;
    (world, first, second)
}

fn waits(answer: Result<Packaged, Failure>) -> InLine {
    match answer.unwrap() {
        Packaged::InLine(line) => *line,
        Packaged::Taken(taken) => panic!("it holds the model: {taken:?}"),
    }
}

#[tokio::test]
async fn the_second_promotion_waits_with_its_version_packaged_and_starts_once_the_first_has_ended() {
    let (world, first, second) = busy().await;
    let line = waits(world.ask(&second, 0).await);
    assert_eq!((line.wait_seconds, line.again.version), (10, Some(VersionName::new(2))));
    assert!(line.again.waited && line.again.submission.is_none());
    let version = world.registry.version(&world.model, VersionName::new(2)).await.unwrap().unwrap();
    assert_eq!(version.status, VersionStatus::Packaged);
    // The task is repeated, from its beginning too: it keeps its place, and no history is written.
    let history = world.registry.history(&world.model, 0, 99).await.unwrap();
    assert_eq!(waits(world.ask(&second, 1).await), line);
    let writes = world.s3.writes();
    assert_eq!(waits(world.ask(&line.again, 30).await), line);
    assert_eq!(world.s3.writes(), writes, "nothing is packaged again");
    assert_eq!(world.registry.history(&world.model, 0, 99).await.unwrap(), history);

    world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "worse").await.unwrap();
    let held = world.ask(&line.again, 40).await.unwrap().taken().unwrap().held;
    assert_eq!((held.version, &held.promotion), (VersionName::new(2), &second.promotion));
    let head = world.registry.head(&world.model).await.unwrap().unwrap();
    assert!(head.waiting.is_empty() && head.running.unwrap().promotion == second.promotion);
    assert_eq!(world.ask(&line.again, 41).await.unwrap().taken().unwrap().held, held, "twice is once");
}

#[tokio::test]
async fn who_waited_as_long_as_the_policy_allows_gives_up() {
    let (world, first, second) = busy().await;
    let line = waits(world.ask(&second, 0).await);
    let looks_again = [(45, 10), (50, 10), (55, 5), (59, 1)];
    for (at, seconds) in looks_again {
        let line = waits(world.ask(&line.again, at).await);
        assert_eq!(line.wait_seconds, seconds, "at {at}: it does not wait beyond its time");
    }
    let refused = world.ask(&line.again, 60).await.unwrap_err();
    assert_eq!(refused.label, label::MODEL_BUSY);
    assert!(
        refused.message.ends_with("it waited 60 seconds, the longest that the policy allows"),
        "{}",
        refused.message
    );
    let head = world.registry.head(&world.model).await.unwrap().unwrap();
    assert!(head.waiting.is_empty() && head.running.unwrap().promotion == first.promotion);
}

#[tokio::test]
async fn who_was_taken_out_of_the_line_does_not_come_back_even_where_the_model_is_free() {
    let (world, first, second) = busy().await;
    let line = waits(world.ask(&second, 0).await);
    world.ops().leave_line(&world.model, &second.promotion, "v3 comes instead").await.unwrap();
    assert!(!world.ops().leave_line(&world.model, &second.promotion, "again").await.unwrap().fresh);
    world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "worse").await.unwrap();
    let refused = world.ask(&line.again, 10).await.unwrap_err();
    assert_eq!(refused.label, label::SUPERSEDED);
    assert!(refused.message.contains("taken out of the line"), "{}", refused.message);
    assert!(world.registry.head(&world.model).await.unwrap().unwrap().running.is_none());
}

/// Does this to the end in the middle of something else. It waits for nothing but memory.
fn meanwhile<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
}

#[tokio::test]
async fn who_is_taken_out_between_the_look_at_the_line_and_the_transaction_neither_begins_nor_joins_again() {
    // The time is asked for first by the start, and then, where the model is not free, by the line.
    for (nth, free) in [(1, true), (2, false)] {
        let (world, first, second) = busy().await;
        let line = waits(world.ask(&second, 0).await);
        if free {
            world.ops().end_promotion(&world.model, &first.promotion, first.epoch, "worse").await.unwrap();
        }
        let asked = AtomicU32::new(0);
        let withdrawing = || {
            if asked.fetch_add(1, Ordering::SeqCst) + 1 == nth {
                meanwhile(world.ops().leave_line(&world.model, &second.promotion, "v3 instead")).unwrap();
            }
            clock()
        };
        let task = PackageTask { input: line.again, execution: "arn:x".into(), may_wait: true };
        let answer =
            world.answer(&task, testing::key(), &world.submissions, &world.models, withdrawing).await;
        let refused = answer.unwrap_err();
        assert_eq!(refused.label, label::SUPERSEDED);
        assert!(refused.message.contains("taken out of the line"), "{}", refused.message);
        let head = world.registry.head(&world.model).await.unwrap().unwrap();
        assert!(head.waiting.is_empty() && head.running.is_none() == free, "{head:?}");
    }
}

#[tokio::test]
async fn a_state_machine_from_before_there_was_a_line_and_an_emergency_are_refused_at_once() {
    let (world, _, mut second) = busy().await;
    let mut task = world.task("two", None, None);
    task.input = second.clone();
    assert_eq!(world.run(&task).await.unwrap_err().label, label::MODEL_BUSY);
    second.emergency = Some(Emergency { skip: vec![Stage::Shadow], reason: "it burns".into() });
    assert_ne!(world.ask(&second, 0).await.unwrap_err().label, label::UNAVAILABLE);
    assert!(world.registry.head(&world.model).await.unwrap().unwrap().waiting.is_empty());
}
