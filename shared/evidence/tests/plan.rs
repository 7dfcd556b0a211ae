//! What a canary's plan says before it starts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::Timestamp;
use seatrial_domain::policy::Policy;
use seatrial_domain::task::HealthState;
use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_evidence::plan::{SELF_TEST, Traffic, marked_stream, rows, try_gate};
use seatrial_evidence::report::{MetricGroup, MetricRow};
use seatrial_stats::sketch::LatencySketch;

fn policy(canary: &serde_json::Value) -> Policy {
    serde_json::from_value(serde_json::json!({ "canary": canary })).unwrap()
}

/// Answers between 2 and 12 ms, one in a thousand failing.
fn traffic(per_second: u64, seconds: u64) -> Traffic {
    let requests = per_second * seconds;
    let mut latency = LatencySketch::default();
    for n in 0..1_000 {
        latency.observe_n(2_000 + 10 * n, requests / 1_000);
    }
    Traffic { seconds: seconds as f64, requests, errors: requests / 1_000, latency, classes: 2 }
}

fn row<'a>(rows: &'a [MetricRow], name: &str) -> &'a MetricRow {
    rows.iter().find(|row| row.name == name).unwrap()
}

#[test]
fn a_plan_with_traffic_enough_passes_and_its_gate_fires() {
    let rows = rows(&policy(&serde_json::json!({})), &traffic(100, 600));
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["detect_error_rate", "detect_latency_p99", SELF_TEST]);
    for row in &rows {
        println!("{}: {:?}: {}", row.name, row.verdict, row.why);
        assert_eq!((row.group, row.class), (MetricGroup::Plan, MetricClass::Guardrail));
        assert_eq!(row.verdict, Verdict::Pass, "{}", row.why);
    }
    assert!(rows[0].why.contains("an error rate higher by 1.0 %"), "{}", rows[0].why);
    assert!(rows[2].challenger.unwrap() >= 0.8 && rows[2].n >= 2_400);
}

#[test]
fn a_plan_that_cannot_detect_is_refused_and_told_what_would_work() {
    let starved =
        policy(&serde_json::json!({ "steps": [1, 5], "hold_seconds": 60, "max_hold_seconds": 600 }));
    let rows = rows(&starved, &traffic(10, 600));
    let errors = row(&rows, "detect_error_rate");
    println!("{}", errors.why);
    assert_eq!(errors.verdict, Verdict::Fail);
    assert!(errors.why.contains("at 1 % the longest hold of 10 min is too short"), "{}", errors.why);
    assert!(errors.why.contains("a canary.max_hold_seconds of "), "{}", errors.why);
    let test = row(&rows, SELF_TEST);
    println!("{}", test.why);
    assert_eq!(test.verdict, Verdict::Fail, "{}", test.why);
    // What is proposed works.
    let proposed = errors.why.split("canary.max_hold_seconds of ").nth(1).unwrap();
    let seconds: f64 = proposed.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    let longer = policy(&serde_json::json!({
        "steps": [1, 5], "hold_seconds": 60, "max_hold_seconds": seconds as u64 + 1, "self_test": false,
        "metrics": { "latency_p99": { "class": "info", "margin": "50%rel" } },
    }));
    let again = seatrial_evidence::plan::rows(&longer, &traffic(10, 600));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].verdict, Verdict::Pass, "{}", again[0].why);
}

#[test]
fn without_traffic_nothing_is_claimed() {
    let rows = rows(&policy(&serde_json::json!({})), &Traffic::default());
    assert_eq!(rows.len(), 2, "no gate can be tried");
    assert!(
        rows.iter().all(|row| row.verdict == Verdict::Inconclusive && row.n_needed.is_some()),
        "{rows:?}"
    );
    // A few answers say how often errors happen, not how long the slowest take.
    let few = seatrial_evidence::plan::rows(
        &policy(&serde_json::json!({})),
        &Traffic { latency: LatencySketch::default(), ..traffic(100, 600) },
    );
    assert_eq!(row(&few, "detect_latency_p99").verdict, Verdict::Inconclusive);
    assert_eq!(row(&few, "detect_latency_p99").n_needed, Some(1_000));
    assert_eq!(Traffic::of(Vec::new(), Timestamp::UNIX_EPOCH, Timestamp::MAX).per_second(), 0.0);
}

#[test]
fn signals_and_answers_that_are_guardrails_are_planned_too() {
    let asked = policy(&serde_json::json!({ "metrics": {
        "output_distribution": { "class": "guardrail", "margin": 0.2 },
        "thumbs_down": { "class": "guardrail", "margin": 0.05, "bounds": [0, 1] },
        "revenue": { "class": "guardrail", "margin": "10%rel", "bounds": [0, 1000], "direction": "higher_is_better" },
        "clicks": { "class": "signal", "margin": 0.1, "bounds": [0, 1] },
    }, "shadow_percent": 10, "self_test": false }));
    let rows = rows(&asked, &traffic(100, 600));
    assert_eq!(rows.len(), 5, "a plain signal is not planned");
    for row in &rows {
        println!("{}: {:?}: {}", row.name, row.verdict, row.why);
    }
    assert_eq!(row(&rows, "detect_revenue").verdict, Verdict::Inconclusive, "its mean is not known");
    let blind = policy(&serde_json::json!({ "self_test": false, "metrics": {
        "latency_p99": { "class": "guardrail", "margin": "50%rel", "detect": 0.5 },
    } }));
    let blinds = seatrial_evidence::plan::rows(&blind, &traffic(100, 600));
    let latency = row(&blinds, "detect_latency_p99");
    assert_eq!(latency.verdict, Verdict::Fail);
    assert!(latency.why.contains("name a detect that is larger than the margin"), "{}", latency.why);
    assert!(row(&rows, "detect_thumbs_down").n_needed.is_some());
}

#[test]
fn the_gate_is_tried_within_its_levels_and_the_same_way_each_time() {
    let rules = policy(&serde_json::json!({ "steps": [5, 50], "max_hold_seconds": 3600 })).canary;
    let tried = try_gate(&rules, &traffic(50, 600));
    assert_eq!(tried.iter().map(|t| t.metric).collect::<Vec<_>>(), ["error_rate", "latency_p99"]);
    for t in &tried {
        println!("{t:?}");
        assert!(t.outcome.power.streams >= 200 && t.outcome.false_alarms.streams >= 1_000);
        assert!(t.outcome.false_alarms.share <= rules.alpha, "{t:?}");
    }
    assert_eq!(tried, try_gate(&rules, &traffic(50, 600)));
}

#[test]
fn a_minute_of_traffic_is_enough_for_a_coarse_harm() {
    // As the demo has it.
    let demo = policy(&serde_json::json!({
        "steps": [5, 25, 50], "hold_seconds": 5, "max_hold_seconds": 90, "check_seconds": 2, "min_requests": 30, "metrics": {
            "error_rate": { "class": "guardrail", "margin": 0.08, "detect": 0.3 },
            "latency_p99": { "class": "guardrail", "margin": "200%rel", "detect": 9 },
        },
    }));
    for per_second in [40, 100] {
        let rows = rows(&demo, &traffic(per_second, 25));
        assert!(rows.iter().all(|row| row.verdict == Verdict::Pass), "{rows:?}");
    }
}

#[test]
fn a_marked_stream_of_failures_is_degraded_and_silence_is_not_healthy_whatever_the_steps() {
    for steps in [vec![0.1], vec![1.0, 5.0], vec![50.0], vec![90.0]] {
        let rules = policy(&serde_json::json!({ "steps": steps, "min_requests": 0 })).canary;
        let [failing, unasked] = marked_stream(&rules).unwrap();
        assert_eq!((failing, unasked), (HealthState::Degraded, HealthState::NotYetKnown), "{steps:?}");
    }
    assert!(marked_stream(&policy(&serde_json::json!({ "steps": [] })).canary).is_none());
}

#[test]
fn a_plan_of_many_steps_is_told_shortly() {
    let steps: Vec<f64> = (1..=40).map(f64::from).collect();
    let rows =
        rows(&policy(&serde_json::json!({ "steps": steps, "self_test": false })), &traffic(1_000, 600));
    assert!(rows[0].why.contains("at 3 %, … 37 steps more"), "{}", rows[0].why);
    assert!(rows[0].why.len() < 400, "{}", rows[0].why);
}
