//! What a canary is judged to be, on streams as the demo and the field send them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::{ModelName, VersionName};
use seatrial_domain::policy::{Canary, Unit};
use seatrial_domain::promotion::CanaryStep;
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::task::HealthState;
use seatrial_evidence::canary::{Counts, Facts, GRACE_SECONDS, Judgement, judge};
use seatrial_evidence::observation::{RouteStamp, SCHEMA, Tally};
use seatrial_stats::sketch::LatencySketch;

const START: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn rules() -> Canary {
    Canary {
        steps: vec![5.0, 25.0, 50.0],
        hold_seconds: 6,
        max_hold_seconds: 60,
        check_seconds: 1,
        min_requests: 30,
        alpha: 0.05,
        metrics: serde_json::from_value(serde_json::json!({
            "error_rate": { "class": "guardrail", "margin": 0.1 },
        }))
        .unwrap(),
        ..Canary::default()
    }
}

fn tally(second: i64, role: Arm, percent: f64, requests: u64, errors: u64, latency_us: u64) -> Tally {
    let mut latency = LatencySketch::default();
    for n in 0..requests - errors {
        latency.observe(latency_us + n * 3);
    }
    Tally {
        schema: SCHEMA,
        tally_id: format!("{second}-{role:?}-{percent}"),
        model: ModelName::parse("m").unwrap(),
        version: VersionName::new(1),
        digest: sha256(b"v"),
        role,
        route: RouteStamp { promotion: None, epoch: 3, weight: Weight::from_percent(percent).unwrap() },
        second,
        assigned: requests,
        answered: requests - errors,
        errors,
        client_errors: 0,
        error_units: (0..errors).map(|n| format!("{second}{role:?}{n}")).collect(),
        classes: std::collections::BTreeMap::new(),
        diverted: 0,
        units: None,
        latency: serde_json::to_value(latency).unwrap(),
    }
}

/// `seconds` of traffic at a step of `percent` from `start`, `rate` requests a second, errors by a share of each arm.
fn step(
    start: i64,
    seconds: i64,
    percent: f64,
    rate: f64,
    canary_share: f64,
    champion_share: f64,
) -> Vec<Tally> {
    let mut owed = [0.0_f64; 4];
    let mut tallies = Vec::new();
    for second in start..start + seconds {
        let canary = rate * percent / 100.0;
        for (arm, n, share, place) in
            [(Arm::Challenger, canary, canary_share, 0), (Arm::Champion, rate - canary, champion_share, 2)]
        {
            owed[place] += n;
            let requests = owed[place].floor();
            owed[place] -= requests;
            owed[place + 1] += requests * share;
            let errors = owed[place + 1].floor().min(requests);
            owed[place + 1] -= errors;
            if requests > 0.0 {
                tallies.push(tally(second, arm, percent, requests as u64, errors as u64, 2_000));
            }
        }
    }
    tallies
}

fn judged(rules: &Canary, steps: &[CanaryStep], tallies: Vec<Tally>, now: i64, lateness: i64) -> Judgement {
    let watermark = at(now) - SignedDuration::from_secs(lateness);
    let counts = Counts::of(tallies, watermark.as_second(), rules.unit);
    judge(&Facts { rules, steps, counts: &counts, now: at(now), watermark: Some(watermark) }).unwrap()
}

fn begun(percent: f64, second: i64) -> CanaryStep {
    CanaryStep { weight: Weight::from_percent(percent).unwrap(), at: at(second) }
}

/// Seconds until a step ends, looking every second from the hold on.
fn ends(rules: &Canary, percent: f64, rate: f64, canary: f64, champion: f64) -> (HealthState, i64, String) {
    let tallies = step(START, 70, percent, rate, canary, champion);
    for now in i64::from(rules.hold_seconds)..70 {
        let judgement = judged(rules, &[begun(percent, START)], tallies.clone(), START + now, 2);
        if judgement.state != HealthState::NotYetKnown {
            return (judgement.state, now, judgement.why);
        }
    }
    panic!("no end");
}

#[test]
fn a_healthy_canary_is_through_each_step_in_seconds() {
    for rate in [60.0, 100.0] {
        for percent in [5.0, 25.0, 50.0] {
            let (state, seconds, why) = ends(&rules(), percent, rate, 0.0, 0.0);
            println!("{rate}/s at {percent} %: {seconds} s: {why}");
            assert_eq!(state, HealthState::Healthy, "{why}");
            assert!(seconds <= 14, "{percent} % at {rate}/s took {seconds} s: {why}");
        }
    }
}

#[test]
fn a_canary_that_fails_is_degraded_at_its_first_look() {
    for rate in [60.0, 100.0] {
        let (state, seconds, why) = ends(&rules(), 5.0, rate, 0.3, 0.0);
        println!("{rate}/s: {seconds} s: {why}");
        assert_eq!(state, HealthState::Degraded, "{why}");
        assert!(seconds <= 8, "{seconds} s: {why}");
    }
}

#[test]
fn errors_of_both_versions_alike_are_no_reason_to_roll_back() {
    let (state, _, why) = ends(&Canary { max_hold_seconds: 60, ..rules() }, 25.0, 100.0, 0.02, 0.02);
    assert_ne!(state, HealthState::Degraded, "{why}");
}

#[test]
fn no_traffic_and_an_old_watermark_are_never_healthy() {
    let facts = |now| judged(&rules(), &[begun(5.0, START)], Vec::new(), START + now, 2);
    let judgement = facts(20);
    assert_eq!(judgement.state, HealthState::NotYetKnown);
    assert!(judgement.why.contains("0 requests of the challenger seen of 30 needed"), "{}", judgement.why);
    assert_eq!(facts(61).state, HealthState::Exhausted);
    // All is well, but nothing is known to be complete.
    let tallies = step(START, 30, 5.0, 100.0, 0.0, 0.0);
    let judgement = judged(&rules(), &[begun(5.0, START)], tallies, START + 30, 30);
    assert_eq!(judgement.state, HealthState::NotYetKnown, "{}", judgement.why);
    let none = Facts {
        rules: &rules(),
        steps: &[begun(5.0, START)],
        counts: &Counts::default(),
        now: at(START + 10),
        watermark: None,
    };
    assert_eq!(judge(&none).unwrap().state, HealthState::NotYetKnown);
}

#[test]
fn what_was_assigned_and_never_reported_is_an_error_after_the_grace() {
    let mut silent = tally(START, Arm::Challenger, 5.0, 10, 0, 2_000);
    silent.answered = 4;
    let at_grace = Counts::of(vec![silent.clone()], START + GRACE_SECONDS, Unit::Request);
    let after = Counts::of(vec![silent], START + GRACE_SECONDS + 1, Unit::Request);
    let canary = |counts: &Counts| counts.0.values().next().unwrap()[1].clone();
    assert_eq!(canary(&at_grace).errors, 0);
    assert_eq!((canary(&after).errors, canary(&after).never_reported, canary(&after).events), (6, 6, 6));
}

#[test]
fn a_unit_fails_once_and_a_tally_counts_once() {
    let mut tallies: Vec<Tally> =
        (0..5).map(|s| tally(START + s, Arm::Challenger, 5.0, 2, 1, 2_000)).collect();
    tallies.iter_mut().for_each(|t| t.error_units = vec!["same".into()]);
    tallies.push(tallies[0].clone());
    let sum = |unit| Counts::of(tallies.clone(), START + 10, unit).0.values().next().unwrap()[1].clone();
    assert_eq!((sum(Unit::FirstErrorPerUnit).events, sum(Unit::Request).events), (1, 5));
    assert_eq!(sum(Unit::Request).requests, 10);
}

#[test]
fn a_canary_that_is_slower_than_the_margin_is_degraded_and_one_within_it_is_not() {
    let reference = || step(START - 40, 40, 0.0, 100.0, 0.0, 0.0);
    for (latency, expected) in [(2_300, false), (9_000, true)] {
        let mut tallies = reference();
        for second in START..START + 20 {
            tallies.push(tally(second, Arm::Challenger, 25.0, 25, 0, latency));
            tallies.push(tally(second, Arm::Champion, 25.0, 75, 0, 2_000));
        }
        let judgement = judged(&rules(), &[begun(25.0, START)], tallies, START + 20, 2);
        assert_eq!(judgement.state == HealthState::Degraded, expected, "{}", judgement.why);
    }
}
