//! An execution keeps at most 25,000 events and dies with the next one, uncaught:
//! <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>. What a policy lets last long is looked at again and
//! again, and every look is events. So everything at its longest, in one promotion, has to fit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use seatrial_domain::line::Waiting;
use seatrial_domain::policy::{LONGEST_WAIT_SECONDS, Policy};
use seatrial_tests::asl::{self, Machine};
use serde_json::{Value, json};

const MOST: u64 = 25_000;
/// What is left for retries, of three events each.
const FOR_RETRIES: u64 = 1_500;

/// The events of passing a state once: <https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html>.
fn events(state: &Value) -> u64 {
    match state["Type"].as_str().unwrap() {
        // Entered, scheduled, started, succeeded, exited; and submitted, where something is waited for.
        "Task" if state["Resource"].as_str().unwrap().ends_with("lambda:invoke") => 5,
        "Task" => 6,
        "Map" => {
            let inside: u64 =
                state["ItemProcessor"]["States"].as_object().unwrap().values().map(events).sum();
            // Sixty-four partitions at most, each started and succeeded; and the map's own four.
            4 + 64 * (2 + inside)
        }
        "Pass" | "Choice" | "Wait" | "Succeed" => 2,
        "Fail" => 1,
        other => panic!("how many events are a {other}?"),
    }
}

fn of(m: &Machine, states: &[&str]) -> u64 {
    states.iter().map(|name| events(m.states()[name])).sum()
}

/// How often a state is come to within `seconds` when it waits `least` seconds, or its looks squared over the number in its `Assign`.
fn looks(m: &Machine, state: &str, least: u64, seconds: u64) -> u64 {
    let assigned = m.states()[state]["Assign"]["wait_seconds"].as_str().unwrap();
    let (_, rest) = assigned.split_once("$floor($looks * $looks / ").unwrap();
    let over: u64 = rest.split(')').next().unwrap().parse().unwrap();
    let (mut looks, mut at) = (0, 0);
    while at < seconds {
        at += least.max(looks * looks / over);
        looks += 1;
    }
    looks
}

/// The most that a policy may say of a field, which one more is refused for.
fn most(field: &str, seconds: u32, set: impl Fn(&mut Policy, u32)) -> u64 {
    let refused = |seconds: u32| {
        let mut policy = Policy::default();
        set(&mut policy, seconds);
        policy.check().iter().any(|defect| defect.field == field)
    };
    assert!(!refused(seconds) && refused(seconds + 1), "{field}: {seconds}");
    u64::from(seconds)
}

/// The looks of the longest wait in line.
fn looks_in_line() -> u64 {
    let waiting: Waiting = serde_json::from_value(json!({
        "promotion": "pr_000000000000000000000000",
        "challenger": { "version": "v2", "digest": format!("sha256:{}", "0".repeat(64)) },
        "requested_by": { "principal": "function/test", "auth": "system" },
        "execution": null, "since": "2026-11-21T10:00:00Z",
    }))
    .unwrap();
    let (mut looks, mut at) = (0, 0);
    while at < u64::from(LONGEST_WAIT_SECONDS) {
        at += u64::from(waiting.looks_again_in(waiting.since + Duration::from_secs(at)));
        looks += 1;
    }
    looks
}

#[test]
fn the_longest_promotion_keeps_its_execution_within_its_events() {
    let m = asl::machine("promotion").unwrap();
    let day = 86_400;
    let once: u64 = m.states().values().map(|state| events(state)).sum();
    let line = looks_in_line() * of(&m, &["PackageSubmission", "JudgePackage", "AwaitModel"]);
    let shadow = most("shadow.max_seconds", 30 * day, |p, s| p.shadow.max_seconds = s);
    let shadow = looks(&m, "CheckShadow", 1, shadow)
        * of(&m, &["AwaitShadow", "CloseWindow", "JudgeWindow", "CheckShadow", "JudgeShadow"]);
    let judged = m.states()["JudgeFreeze"].to_string();
    assert!(judged.contains("$looks > 200"), "{judged}");
    let freeze = 200 * of(&m, &["FreezeEvidence", "JudgeFreeze", "AwaitWatermark"]);
    // A gate that could have been approved by itself is looked at again with a tenth more time each: `gate` has a test for it.
    let gate = 150 * of(&m, &["AwaitApproval", "CloseApproval", "JudgeApproval"]);
    let all = once + line + shadow + freeze + gate;
    assert!(all + FOR_RETRIES < MOST, "{all} = {once} + {line} + {shadow} + {freeze} + {gate}");
}

#[test]
fn the_longest_canary_keeps_its_execution_within_its_events() {
    let m = asl::machine("canary").unwrap();
    let once: u64 = m.states().values().map(|state| events(state)).sum();
    let set = |p: &mut Policy, s: u32| {
        p.canary.steps = vec![5.0];
        p.canary.max_hold_seconds = s;
    };
    let longest = most("canary.max_hold_seconds", 60 * 86_400, set);
    let all = once
        + looks(&m, "CheckHealth", 1, longest) * of(&m, &["HoldTraffic", "CheckHealth", "JudgeHealth"])
        // At most fifty steps.
        + 50 * of(&m, &["ShiftTraffic"]);
    assert!(all + FOR_RETRIES < MOST, "{all}");
}
