//! What a canary is judged to be, on streams as the demo and the field send them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use seatrial_domain::canonical::sha256;
use seatrial_domain::ids::{ModelName, VersionName};
use seatrial_domain::policy::{Canary, ERROR_RATE, LATENCY_P99, OUTPUT_DISTRIBUTION, Unit};
use seatrial_domain::promotion::CanaryStep;
use seatrial_domain::route::{Arm, Weight};
use seatrial_domain::task::HealthState;
use seatrial_domain::verdict::MetricClass;
use seatrial_evidence::canary::{
    Counts, Facts, GRACE_SECONDS, Judgement, RowState, SAMPLE_RATIO, TrafficState, judge,
};
use seatrial_evidence::live::{SignalCounts, Slice, UnitMoments};
use seatrial_evidence::observation::{RouteStamp, SCHEMA, Tally, UnitSample};
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
            "error_rate": { "class": "guardrail", "margin": 0.1, "detect": 0.3 },
            "latency_p99": { "class": "guardrail", "margin": "100%rel", "detect": 9 },
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
        error_units: (0..errors)
            .map(|n| format!("{:08x}{n:08x}", second * 2 + i64::from(role == Arm::Challenger)))
            .collect(),
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
    let counts = Counts::of(tallies, watermark.as_second(), rules);
    judged_of(rules, steps, &counts, &SignalCounts::default(), now, Some(watermark))
}

fn judged_of(
    rules: &Canary,
    steps: &[CanaryStep],
    counts: &Counts,
    signals: &SignalCounts,
    now: i64,
    watermark: Option<Timestamp>,
) -> Judgement {
    judge(&Facts { rules, steps, counts, signals, now: at(now), watermark, lateness_seconds: 2 }).unwrap()
}

fn by_request() -> Canary {
    Canary { unit: Unit::Request, ..rules() }
}

fn begun(percent: f64, second: i64) -> CanaryStep {
    CanaryStep { weight: Weight::from_percent(percent).unwrap(), at: at(second) }
}

/// Seconds until a step ends, looking every second from the hold on.
fn ends(rules: &Canary, percent: f64, rate: f64, canary: f64, champion: f64) -> (HealthState, i64, String) {
    let mut tallies = step(START, 70, percent, rate, canary, champion);
    // The champion's answers in the shadow, which latency is compared with.
    tallies.extend(step(START - 30, 30, 0.0, rate, 0.0, champion));
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
    assert_eq!(judgement.traffic.state, TrafficState::None);
    assert!(
        judgement.why.starts_with("no traffic: neither version got a request at 5 % in 18 s"),
        "{}",
        judgement.why
    );
    assert!(judgement.why.contains("0 of 30 requests of the challenger seen"), "{}", judgement.why);
    assert_eq!(facts(61).state, HealthState::Exhausted);
    // All is well, but nothing is known to be complete.
    let tallies = step(START, 30, 5.0, 100.0, 0.0, 0.0);
    let judgement = judged(&rules(), &[begun(5.0, START)], tallies, START + 30, 30);
    assert_eq!(judgement.state, HealthState::NotYetKnown, "{}", judgement.why);
    let nothing = Counts::default();
    let none =
        judged_of(&rules(), &[begun(5.0, START)], &nothing, &SignalCounts::default(), START + 10, None);
    assert_eq!((none.state, none.traffic.state), (HealthState::NotYetKnown, TrafficState::Unreported));
}

#[test]
fn what_was_assigned_and_never_reported_is_an_error_after_the_grace() {
    let mut silent = tally(START, Arm::Challenger, 5.0, 10, 0, 2_000);
    (silent.answered, silent.latency) = (4, serde_json::Value::Null);
    let at_grace = Counts::of(vec![silent.clone()], START + GRACE_SECONDS, &by_request());
    let after = Counts::of(vec![silent], START + GRACE_SECONDS + 1, &by_request());
    let canary = |counts: &Counts| counts.arms(Weight::from_percent(5.0).unwrap())[1].clone();
    assert_eq!(canary(&at_grace).errors, 0);
    assert_eq!((canary(&after).errors, canary(&after).never_reported, canary(&after).events), (6, 6, 6));
}

#[test]
fn a_unit_fails_once_and_a_tally_counts_once() {
    let mut tallies: Vec<Tally> =
        (0..5).map(|s| tally(START + s, Arm::Challenger, 5.0, 2, 1, 2_000)).collect();
    tallies.iter_mut().for_each(|t| t.error_units = vec!["00000000000000aa".into()]);
    tallies.push(tallies[0].clone());
    let sum = |unit| {
        let counts = Counts::of(tallies.clone(), START + 10, &Canary { unit, ..rules() });
        counts.arms(Weight::from_percent(5.0).unwrap())[1].clone()
    };
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

fn shadow_time(rate: f64) -> Vec<Tally> {
    step(START - 40, 40, 0.0, rate, 0.0, 0.0)
}

fn with_reference(mut tallies: Vec<Tally>) -> Vec<Tally> {
    tallies.extend(shadow_time(100.0));
    tallies
}

#[test]
fn latency_that_is_compared_with_nothing_is_not_yet_known_and_then_the_steps_own_beginning_serves() {
    // No champion before the step, and too few answers of it in the step.
    let few = step(START, 20, 50.0, 100.0, 0.0, 0.0);
    let judgement = judged(&rules(), &[begun(50.0, START)], few, START + 20, 2);
    assert_eq!(judgement.state, HealthState::NotYetKnown, "{}", judgement.why);
    let row = judgement.metric(LATENCY_P99).unwrap();
    assert_eq!((row.state, row.n, row.n_needed), (RowState::NotYetKnown, 900, Some(1_000)));
    assert!(
        row.why.contains("900 of 1,000 answers of the champion seen, at this rate 2 s more"),
        "{}",
        row.why
    );
    // Later its first thousand answers are the reference, and only what came after them is compared.
    let more = step(START, 40, 50.0, 100.0, 0.0, 0.0);
    let judgement = judged(&rules(), &[begun(50.0, START)], more.clone(), START + 40, 2);
    let row = judgement.metric(LATENCY_P99).unwrap();
    assert!(row.is_well() && judgement.state == HealthState::Healthy, "{}", judgement.why);
    assert!(judgement.steps[0].frozen.unwrap().within_step);
    assert_eq!(row.n, 3_800 - 2_000, "the first 20 s made the thresholds");
    // A challenger that is slow from then on is found.
    let mut slow = more;
    for tally in slow.iter_mut().filter(|t| t.role == Arm::Challenger && t.second >= START + 20) {
        let mut latency = LatencySketch::default();
        latency.observe_n(90_000, tally.answered);
        tally.latency = serde_json::to_value(latency).unwrap();
    }
    let judgement = judged(&rules(), &[begun(50.0, START)], slow, START + 40, 2);
    assert_eq!(judgement.state, HealthState::Degraded, "{}", judgement.why);
    assert!(judgement.why.starts_with("the challenger is slower"), "{}", judgement.why);
}

#[test]
fn a_split_that_is_not_the_routes_is_never_healthy_and_says_what_was_expected() {
    // The route says 25 %, the servers report 10 %.
    let mut tallies = Vec::new();
    for second in START..START + 40 {
        tallies.push(tally(second, Arm::Challenger, 25.0, 10, 0, 2_000));
        tallies.push(tally(second, Arm::Champion, 25.0, 90, 0, 2_000));
    }
    let tallies = with_reference(tallies);
    let judgement = judged(&rules(), &[begun(25.0, START)], tallies.clone(), START + 40, 2);
    assert_eq!(judgement.state, HealthState::NotYetKnown, "{}", judgement.why);
    assert!(
        judgement.why.contains("380 of 3,800 units (10.0 %) were the challenger's, 25.0 % were expected"),
        "{}",
        judgement.why
    );
    assert_eq!(judgement.notify.len(), 1);
    let judgement = judged(&rules(), &[begun(25.0, START)], tallies, START + 61, 2);
    assert_eq!(judgement.state, HealthState::Exhausted, "{}", judgement.why);
}

#[test]
fn requests_that_were_diverted_belong_to_the_challenger_in_the_split_and_many_of_them_hold() {
    let of = |diverted: u64| {
        let mut tallies = Vec::new();
        for second in START..START + 40 {
            tallies.push(tally(second, Arm::Challenger, 25.0, 25 - diverted, 0, 2_000));
            let champion = tally(second, Arm::Champion, 25.0, 75 + diverted, 0, 2_000);
            let units = UnitSample { single: 75 + diverted, diverted, sampled: Vec::new() };
            tallies.push(Tally { diverted, units: Some(units), ..champion });
        }
        judged(&rules(), &[begun(25.0, START)], with_reference(tallies), START + 40, 2)
    };
    let few = of(1);
    assert_eq!(few.state, HealthState::Healthy, "{}", few.why);
    assert!(few.metric(SAMPLE_RATIO).unwrap().why.contains("38 requests meant for the challenger"));
    let many = of(15);
    assert_eq!(many.state, HealthState::NotYetKnown, "{}", many.why);
    assert!(many.why.contains("the challenger is often not loaded"), "{}", many.why);
}

#[test]
fn the_buckets_of_named_units_are_recomputed() {
    // The sample holds quotients that are multiples of 16: unit 16 * 10,000 * k + bucket.
    let unit = |k: u64, bucket: u64| format!("{:016x}", 16 * 10_000 * k + bucket);
    let of = |wrong: bool| {
        let mut tallies = Vec::new();
        for second in START..START + 40 {
            let k = (second - START) as u64;
            let champion = tally(second, Arm::Champion, 25.0, 75, 0, 2_000);
            let canary = tally(second, Arm::Challenger, 25.0, 25, 0, 2_000);
            let sampled = (0..3).map(|n| unit(4 * k + n, 5_000)).collect();
            tallies.push(Tally { units: Some(UnitSample { single: 0, diverted: 0, sampled }), ..champion });
            let sampled = vec![unit(4 * k + 3, if wrong { 6_000 } else { 1_000 })];
            tallies.push(Tally { units: Some(UnitSample { single: 0, diverted: 0, sampled }), ..canary });
        }
        judged(&rules(), &[begun(25.0, START)], with_reference(tallies), START + 40, 2)
    };
    let right = of(false);
    assert_eq!(right.state, HealthState::Healthy, "{}", right.why);
    assert_eq!(right.steps[0].split.units, [114, 38]);
    let wrong = of(true);
    assert_eq!(wrong.state, HealthState::NotYetKnown, "{}", wrong.why);
    assert_eq!(wrong.steps[0].split.misrouted, 38);
}

#[test]
fn one_sided_and_late_are_said_apart() {
    let only = |arm: Arm| {
        let tallies = (START..START + 20).map(|s| tally(s, arm, 5.0, 50, 0, 2_000)).collect();
        judged(&rules(), &[begun(5.0, START)], with_reference(tallies), START + 20, 2)
    };
    let champion = only(Arm::Champion);
    assert_eq!((champion.state, champion.traffic.state), (HealthState::NotYetKnown, TrafficState::OneSided));
    assert!(
        champion.why.contains("900 requests of the champion and none of the challenger"),
        "{}",
        champion.why
    );
    assert_eq!(only(Arm::Challenger).traffic.state, TrafficState::OneSided);
    let long = Canary { max_hold_seconds: 4_000, ..rules() };
    let tallies = with_reference(step(START, 40, 25.0, 100.0, 0.0, 0.0));
    let judgement = judged(&long, &[begun(25.0, START)], tallies, START + 1_000, 960);
    assert_eq!((judgement.state, judgement.traffic.state), (HealthState::NotYetKnown, TrafficState::Late));
    assert!(judgement.why.contains("counted only up to 08:00:40, 16 min ago"), "{}", judgement.why);
}

fn signal_rules(class: &str) -> Canary {
    let mut rules = rules();
    let rule = serde_json::json!({ "class": class, "margin": 0.1, "bounds": [0, 1] });
    rules.metrics.insert("thumbs_down".into(), serde_json::from_value(rule).unwrap());
    rules
}

/// Slices of ten seconds, `rate` units a second at 50 %, so many of a hundred down.
fn said(rate: u64, canary: u64, champion: u64) -> SignalCounts {
    let moments = |of: u64| {
        let n = rate * 5;
        let down = (n * of / 100) as f64;
        UnitMoments { n, sum: down, sum_squares: down, clipped: 0 }
    };
    let slices = (0..6)
        .map(|k| Slice { from: START + 10 * k, champion: moments(champion), canary: moments(canary) })
        .collect();
    let by_weight = [(Weight::from_percent(50.0).unwrap(), slices)].into();
    SignalCounts { by_name: [("thumbs_down".to_owned(), by_weight)].into(), unmatched: 2, late: 0 }
}

fn with_signals(rules: &Canary, signals: &SignalCounts) -> Judgement {
    let tallies = with_reference(step(START, 59, 50.0, 100.0, 0.0, 0.0));
    let counts = Counts::of(tallies, START + 57, rules);
    judged_of(rules, &[begun(50.0, START)], &counts, signals, START + 59, Some(at(START + 57)))
}

#[test]
fn a_guardrail_signal_is_needed_and_rolls_back_and_a_plain_signal_holds_and_tells() {
    let (guardrail, signal, info) = (signal_rules("guardrail"), signal_rules("signal"), signal_rules("info"));
    let none = with_signals(&guardrail, &SignalCounts::default());
    assert_eq!(none.state, HealthState::NotYetKnown, "{}", none.why);
    let row = none.metric("thumbs_down").unwrap();
    assert!(row.n == 0 && row.n_needed.is_some() && row.why.contains("thumbs_down"), "{row:?}");
    assert_eq!(with_signals(&signal, &SignalCounts::default()).state, HealthState::Healthy);

    let alike = said(100, 4, 4);
    let judgement = with_signals(&guardrail, &alike);
    assert_eq!(judgement.state, HealthState::Healthy, "{}", judgement.why);
    assert!(judgement.notes.iter().any(|note| note.starts_with("2 signals or labels name no request")));

    let worse = said(100, 30, 4);
    let judgement = with_signals(&guardrail, &worse);
    assert_eq!(judgement.state, HealthState::Degraded, "{}", judgement.why);
    assert!(judgement.why.starts_with("thumbs_down is worse"), "{}", judgement.why);
    let judgement = with_signals(&signal, &worse);
    assert_eq!(judgement.state, HealthState::NotYetKnown, "{}", judgement.why);
    assert!(judgement.why.contains("thumbs_down is worse"), "{}", judgement.why);
    assert_eq!(judgement.notify.len(), 1);
    let judgement = with_signals(&info, &worse);
    assert_eq!(judgement.state, HealthState::Healthy, "{}", judgement.why);
    assert_eq!(judgement.metric("thumbs_down").unwrap().state, RowState::Shown);
}

#[test]
fn answers_are_compared_with_the_concurrent_shadow_and_the_champions_are_only_shown() {
    let of = |canary_yes: u64, shadow_yes: u64| {
        let mut tallies = step(START, 300, 50.0, 100.0, 0.0, 0.0);
        for tally in &mut tallies {
            let yes = match tally.role {
                Arm::Challenger => tally.answered * canary_yes / 100,
                _ => tally.answered / 10,
            };
            tally.classes = [("yes".to_owned(), yes), ("no".to_owned(), tally.answered - yes)].into();
        }
        let rules = Canary { max_hold_seconds: 400, ..rules() };
        let mut counts = Counts::of(with_reference(tallies), START + 298, &rules);
        for second in START..START + 298 {
            let yes = 50 * shadow_yes / 100;
            counts.add_shadow(second, &[("yes".to_owned(), yes), ("no".to_owned(), 50 - yes)].into());
        }
        let steps = [begun(50.0, START)];
        judged_of(&rules, &steps, &counts, &SignalCounts::default(), START + 300, Some(at(START + 298)))
    };
    let alike = of(60, 60);
    let row = alike.metric(OUTPUT_DISTRIBUTION).unwrap();
    assert_eq!((alike.state, row.state), (HealthState::Healthy, RowState::NonInferior), "{}", row.why);
    assert!(row.why.contains("from the champion's answers they differ by 50.0 %"), "{}", row.why);
    let different = of(60, 20);
    assert_eq!(different.state, HealthState::NotYetKnown, "{}", different.why);
    assert!(different.why.contains("answers otherwise than in its shadow"), "{}", different.why);
    let chart = &different.chart;
    let sequence = chart.evidence.iter().find(|s| s.name == OUTPUT_DISTRIBUTION).unwrap();
    assert!(sequence.looks.len() > 5 && sequence.looks.last().unwrap().log_e > sequence.threshold);
    assert!(
        chart.evidence.iter().all(|s| s.looks.len() <= 64 && s.looks.windows(2).all(|w| w[0].at < w[1].at))
    );
    assert_eq!(chart.differences[0].name, ERROR_RATE);
}

#[test]
fn a_broken_unit_that_moves_to_the_canary_speaks_against_nobody_again() {
    let fails = |second: i64, role: Arm, percent: f64| Tally {
        error_units: vec!["00000000000000aa".into()],
        ..tally(second, role, percent, 50, 1, 2_000)
    };
    let tallies = vec![fails(START, Arm::Champion, 5.0), fails(START + 20, Arm::Challenger, 25.0)];
    let counts = Counts::of(tallies, START + 30, &rules());
    let events = |percent: f64| counts.arms(Weight::from_percent(percent).unwrap()).map(|arm| arm.events);
    assert_eq!((events(5.0), events(25.0)), ([1, 0], [0, 0]));
}

#[test]
fn contradictory_tallies_and_wrong_clocks_are_told_and_huge_counts_sum() {
    let mut tallies = with_reference(step(START, 30, 25.0, 100.0, 0.0, 0.0));
    let mut wrong = tally(START, Arm::Champion, 25.0, 10, 0, 2_000);
    (wrong.tally_id, wrong.assigned) = ("wrong".into(), u64::MAX);
    tallies.push(wrong);
    let mut early = tally(START - 3_000, Arm::Challenger, 25.0, 10, 0, 2_000);
    early.tally_id = "early".into();
    tallies.push(early);
    let judgement = judged(&rules(), &[begun(25.0, START)], tallies, START + 30, 2);
    assert!(judgement.notes.iter().any(|note| note.starts_with("1 tallies contradict themselves")));
    assert!(
        judgement
            .notes
            .iter()
            .any(|note| note.contains("clock is wrong: it names seconds up to 50 min outside"))
    );
    assert_eq!(judgement.steps[0].canary.requests, 28 * 25 + 10, "counted is by the weight");
    let huge = (0..50).map(|n| {
        let mut huge = tally(START + n, [Arm::Champion, Arm::Challenger][n as usize % 2], 50.0, 10, 0, 2_000);
        (huge.assigned, huge.client_errors) = (1_000_000_000, 999_999_990);
        huge
    });
    let judgement = judged(&rules(), &[begun(50.0, START)], huge.collect(), START + 60, 2);
    assert_eq!(judgement.steps[0].champion.requests, 25_000_000_000);
}

fn any_tally() -> impl Strategy<Value = Tally> {
    (0_i64..40, 0_usize..2, 0_usize..3, 0_u64..80, 0_u64..=100, 0_usize..3).prop_map(
        |(second, arm, weight, requests, failing, slow)| {
            let arm = [Arm::Champion, Arm::Challenger][arm];
            let percent = [0.0, 5.0, 50.0][weight];
            let errors = if failing > 80 { requests * (failing - 80) / 20 } else { 0 };
            tally(START + second, arm, percent, requests, errors, [2_000, 2_500, 40_000][slow])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn order_and_repetition_of_tallies_show_nowhere(
        mut tallies in prop::collection::vec(any_tally(), 0..120), seed in any::<u64>(), cut in 0_i64..40,
    ) {
        for (n, tally) in tallies.iter_mut().enumerate() {
            tally.tally_id = format!("t{n}");
        }
        let steps = [begun(5.0, START), begun(50.0, START + 20)];
        let whole = judged(&rules(), &steps, tallies.clone(), START + 45, 2);
        let mut shuffled = tallies.clone();
        shuffled.extend(tallies.iter().filter(|t| t.assigned % 3 == 0).cloned());
        shuffled.sort_by_key(|t| sha256(format!("{seed}{}", t.tally_id).as_bytes()));
        prop_assert_eq!(&judged(&rules(), &steps, shuffled, START + 45, 2), &whole);
        // Any cut by time into calls gives the same.
        let mut counts = Counts::new(&rules());
        let (early, late) = tallies.into_iter().partition(|t| t.second < START + cut);
        counts.add(early, START + 43);
        counts.add(late, START + 43);
        let told = judged_of(&rules(), &steps, &counts, &SignalCounts::default(), START + 45, Some(at(START + 43)));
        prop_assert_eq!(told, whole);
    }

    #[test]
    fn healthy_has_a_reason_for_every_guardrail(
        mut tallies in prop::collection::vec(any_tally(), 0..120), hold in 0_u32..3, min in 0_u64..3, asked in any::<bool>(),
    ) {
        for (n, tally) in tallies.iter_mut().enumerate() {
            tally.tally_id = format!("t{n}");
        }
        let rules = Canary { hold_seconds: hold, min_requests: min, ..if asked { signal_rules("guardrail") } else { rules() } };
        let steps = [begun(5.0, START), begun(50.0, START + 20)];
        let judgement = judged(&rules, &steps, tallies, START + 45, 2);
        let guardrails: Vec<_> =
            judgement.metrics.iter().filter(|row| row.class == MetricClass::Guardrail).collect();
        let rejected = guardrails.iter().any(|row| row.state == RowState::Rejected);
        prop_assert_eq!(judgement.state == HealthState::Degraded, rejected);
        if judgement.state == HealthState::Healthy {
            prop_assert!(!guardrails.is_empty());
            prop_assert!(guardrails.iter().all(|row| row.is_well() && row.n > 0), "{:?}", guardrails);
            prop_assert!(judgement.metrics.iter().all(|row| !row.holds()));
            prop_assert!(!asked, "the signal has no data");
            let last = judgement.steps.last().unwrap();
            prop_assert!(last.canary.requests > 0 && last.champion.requests > 0);
        }
        let text = serde_json::to_string(&judgement).unwrap();
        prop_assert_eq!(serde_json::from_str::<Judgement>(&text).unwrap().state, judgement.state);
    }
}
