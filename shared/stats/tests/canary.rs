//! The canary's sequential test by simulation, fixed seeds: false rollbacks over looks, weights and rates that change
//! through the day, and how soon harm is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use seatrial_stats::{
    eprocess::ArmEProcess,
    exceedance::LatencyEProcess,
    noninferiority::{ArmRates, planned_n, rate_difference_upper_anytime},
    srm::SampleRatio,
};

const ALPHA: f64 = 0.0125;

struct Dice(ChaCha8Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }
    fn poisson(&mut self, mean: f64) -> u64 {
        // By waiting times: exact for any mean, and means are small here.
        let (mut time, mut count) = (0.0, 0);
        loop {
            time -= (1.0 - self.uniform()).ln();
            if time > mean {
                return count;
            }
            count += 1;
        }
    }
}

/// A rollout of five steps of twenty looks each; true if it was rolled back. `rate` is the error rate at a look, the
/// canary's is `ratio` times that.
fn rolled_back(dice: &mut Dice, requests_per_look: f64, ratio: f64, rate: impl Fn(u32) -> f64) -> bool {
    let mut process = ArmEProcess::default();
    for look in 0..100_u32 {
        let weight = [0.01, 0.05, 0.10, 0.25, 0.50][look as usize / 20];
        let errors = requests_per_look * rate(look);
        let canary = dice.poisson(errors * weight * ratio);
        let champion = dice.poisson(errors * (1.0 - weight));
        process.observe_counts(canary, champion, weight);
        if process.rejects(ALPHA) {
            return true;
        }
    }
    false
}

fn false_rollbacks(seed: u64, requests_per_look: f64, rate: impl Fn(u32) -> f64 + Copy) -> f64 {
    const RUNS: u32 = 10_000;
    let mut dice = Dice::new(seed);
    f64::from((0..RUNS).filter(|_| rolled_back(&mut dice, requests_per_look, 1.0, rate)).count() as u32)
        / f64::from(RUNS)
}

#[test]
fn harmless_canaries_are_kept_at_a_constant_rate() {
    for (requests, rate) in [(500.0, 0.002), (2_000.0, 0.01), (100.0, 0.001)] {
        let share = false_rollbacks(41, requests, |_| rate);
        println!("A/A, {requests} requests a look at {rate}: {:.2} %", 100.0 * share);
        assert!(share <= ALPHA, "{share}");
    }
}

#[test]
fn harmless_canaries_are_kept_through_the_day() {
    // The rate rises from .2 to .8 % while the weight rises from 1 to 50 %: pooled 2x2 counts would be fooled.
    let diurnal = |look: u32| 0.005 - 0.003 * (f64::from(look) * std::f64::consts::PI / 100.0).cos();
    let share = false_rollbacks(43, 2_000.0, diurnal);
    println!("A/A, diurnal: {:.2} %", 100.0 * share);
    assert!(share <= ALPHA, "{share}");
}

#[test]
fn harmless_canaries_are_kept_with_heavy_tailed_units_if_each_counts_once() {
    // Units send Pareto-many requests; one in a hundred is broken on both versions and errs on every request. A unit
    // stays on its side, and only its first error counts.
    let mut dice = Dice::new(45);
    const RUNS: u32 = 3_000;
    let (mut once, mut every) = (0_u32, 0_u32);
    for _ in 0..RUNS {
        let (mut by_unit, mut by_request) = (ArmEProcess::default(), ArmEProcess::default());
        let (mut unit_rejects, mut request_rejects) = (false, false);
        for _ in 0..100 {
            for _ in 0..dice.poisson(2.0) {
                let canary = dice.uniform() < 0.05;
                let requests = (1.0 - dice.uniform()).powf(-1.0 / 1.2).min(500.0) as u64;
                by_unit.observe(canary, 0.05);
                by_request.observe_counts(u64::from(canary) * requests, u64::from(!canary) * requests, 0.05);
            }
            unit_rejects |= by_unit.rejects(ALPHA);
            request_rejects |= by_request.rejects(ALPHA);
        }
        once += u32::from(unit_rejects);
        every += u32::from(request_rejects);
    }
    println!("A/A, heavy-tailed units: first error {once}, every error {every} of {RUNS}");
    assert!(f64::from(once) <= ALPHA * f64::from(RUNS), "{once}");
    assert!(every > 2 * once, "counting every error should show why it is not done: {every}");
}

#[test]
fn a_unit_counts_once_over_both_arms() {
    // A unit that failed on the champion and moves to the canary with a larger weight fails there again; one that stays is
    // not counted again. Counting the first error of each arm therefore blames the canary.
    const RUNS: u32 = 2_000;
    let mut dice = Dice::new(46);
    let (mut once, mut per_arm) = (0, 0);
    for _ in 0..RUNS {
        let (mut first_ever, mut first_of_arm) = (ArmEProcess::default(), ArmEProcess::default());
        for _ in 0..100 {
            let bucket = dice.uniform();
            let mut failed = [false; 2];
            for weight in [0.01, 0.05, 0.25, 0.50] {
                // It may come at each step, and fails then.
                if dice.uniform() < 0.7 {
                    let canary = bucket < weight;
                    if failed == [false; 2] {
                        first_ever.observe(canary, weight);
                    }
                    if !std::mem::replace(&mut failed[usize::from(canary)], true) {
                        first_of_arm.observe(canary, weight);
                    }
                }
            }
        }
        once += u32::from(first_ever.rejects(ALPHA));
        per_arm += u32::from(first_of_arm.rejects(ALPHA));
    }
    println!("A/A, units that fail again and again: once {once}, once in each arm {per_arm} of {RUNS}");
    assert!(f64::from(once) <= ALPHA * f64::from(RUNS), "{once}");
    assert!(per_arm > RUNS / 2, "{per_arm}");
}

#[test]
fn latency_is_judged_against_the_share_of_requests() {
    // A few units send most requests, so the canary's share of requests is far from the weight. Every request is alike.
    const RUNS: u32 = 2_000;
    let mut dice = Dice::new(48);
    let (mut by_share, mut by_weight) = (0, 0);
    for _ in 0..RUNS {
        let mut requests = [0.0; 2];
        for _ in 0..500 {
            let of_unit = (1.0 - dice.uniform()).powf(-1.0 / 1.1).min(2_000.0);
            requests[usize::from(dice.uniform() >= 0.05)] += of_unit;
        }
        let (mut share, mut weight) = (LatencyEProcess::default(), LatencyEProcess::default());
        let mut fired = [false; 2];
        for _ in 0..40 {
            let slow = [dice.poisson(0.01 * requests[0]), dice.poisson(0.01 * requests[1])];
            for (process, w) in [(&mut share, requests[0] / (requests[0] + requests[1])), (&mut weight, 0.05)]
            {
                process.p99.observe_counts(slow[0], slow[1], w);
            }
            fired[0] |= share.rejects(ALPHA);
            fired[1] |= weight.rejects(ALPHA);
        }
        by_share += u32::from(fired[0]);
        by_weight += u32::from(fired[1]);
    }
    println!("A/A, latency with heavy units: by share {by_share}, by weight {by_weight} of {RUNS}");
    assert!(f64::from(by_share) <= ALPHA * f64::from(RUNS), "{by_share}");
    assert!(by_weight > 4 * RUNS / 100, "{by_weight}");
}

#[test]
fn harmful_canaries_are_stopped() {
    let mut dice = Dice::new(47);
    let stopped = (0..300).filter(|_| rolled_back(&mut dice, 2_000.0, 5.0, |_| 0.002)).count();
    assert!(stopped >= 295, "{stopped} of 300");
}

/// Total requests until rejection at one weight, the median and the 90th percentile over runs.
fn delay(seed: u64, weight: f64, champion: f64, canary: f64) -> (u64, u64) {
    let mut dice = Dice::new(seed);
    let (canary_rate, champion_rate) = (weight * canary, (1.0 - weight) * champion);
    let mut waits: Vec<u64> = (0..400)
        .map(|_| {
            let (mut process, mut time) = (ArmEProcess::default(), 0.0);
            while !process.rejects(ALPHA) {
                time -= (1.0 - dice.uniform()).ln() / (canary_rate + champion_rate);
                process.observe(dice.uniform() * (canary_rate + champion_rate) < canary_rate, weight);
            }
            time as u64
        })
        .collect();
    waits.sort_unstable();
    (waits[200], waits[360])
}

#[test]
fn requests_to_rollback_and_the_plan_for_them() {
    // Champion and canary rate, weight, and generous limits for the median and the 90th percentile.
    for (champion, canary, weight, median_limit, late_limit) in [
        (0.0, 0.01, 0.01, 19_000, 44_000),
        (0.0, 0.01, 0.05, 4_000, 9_500),
        (0.0, 0.01, 0.25, 1_800, 3_200),
        (0.001, 0.005, 0.01, 170_000, 330_000),
        (0.001, 0.005, 0.05, 32_000, 75_000),
        (0.001, 0.005, 0.25, 10_000, 20_000),
        (0.01, 0.02, 0.05, 34_000, 72_000),
        (0.01, 0.02, 0.25, 10_000, 19_000),
    ] {
        let (median, late) = delay(53, weight, champion, canary);
        let plan = planned_n(champion, canary, weight, ALPHA, 0.9).unwrap();
        println!("{champion} -> {canary} at {weight}: median {median}, 90 % {late}, planned for 90 % {plan}");
        assert!(median < median_limit && late < late_limit, "{median} {late}");
        // The plan counts one look only, so watching all the time is at least as fast (up to sampling error).
        assert!((late as f64) < 1.15 * plan as f64 && (plan as f64) < 1.6 * late as f64, "{late} {plan}");
    }
}

#[test]
fn the_ratio_bound_and_the_difference_bound_hold_at_every_look() {
    let mut dice = Dice::new(59);
    let (mut ratio_missed, mut difference_missed) = (0, 0);
    const RUNS: u32 = 300;
    for _ in 0..RUNS {
        let (mut process, mut rates) = (ArmEProcess::default(), ArmRates::default());
        let (mut ratio_out, mut difference_out) = (false, false);
        for _ in 0..40 {
            let (canary, champion) = (dice.poisson(50.0 * 0.02), dice.poisson(450.0 * 0.02));
            process.observe_counts(canary, champion, 0.1);
            rates.canary_errors += canary;
            rates.champion_errors += champion;
            rates.canary_n += 50;
            rates.champion_n += 450;
            ratio_out |= process.ratio_upper(0.05).is_some_and(|upper| upper < 1.0);
            difference_out |= rate_difference_upper_anytime(&process, &rates, 0.05).unwrap() < 0.0;
        }
        ratio_missed += u32::from(ratio_out);
        difference_missed += u32::from(difference_out);
    }
    println!("bounds missed at some look: ratio {ratio_missed}, difference {difference_missed} of {RUNS}");
    assert!(ratio_missed <= RUNS / 20 && difference_missed <= RUNS / 20);
}

#[test]
fn plans_reach_from_rare_events_to_small_differences() {
    for (baseline, detect, weight, least, most) in [
        (0.05, 0.055, 0.01, 5_000_000, 6_500_000),
        (0.01, 0.011, 0.5, 1_000_000, 1_300_000),
        (1e-6, 2e-6, 0.01, 2_500_000_000, 3_300_000_000),
    ] {
        let plan = planned_n(baseline, detect, weight, ALPHA, 0.8).unwrap();
        assert!((least..most).contains(&plan), "{baseline} -> {detect} at {weight}: {plan}");
    }
}

#[test]
fn fair_splits_are_not_called_mismatched() {
    let mut dice = Dice::new(61);
    let mismatched = |dice: &mut Dice, bias: f64| {
        let mut ratio = SampleRatio::default();
        (0..100).any(|look| {
            let weight = [0.01, 0.05, 0.25, 0.50][look / 25];
            ratio.observe_counts(
                dice.poisson(200.0 * weight * bias),
                dice.poisson(200.0 * (1.0 - weight)),
                weight,
            );
            ratio.rejects(0.01)
        })
    };
    let wrong = (0..2_000).filter(|_| mismatched(&mut dice, 1.0)).count();
    let found = (0..200).filter(|_| mismatched(&mut dice, 0.8)).count();
    println!("sample ratio: {wrong} of 2,000 false at .01, {found} of 200 found at 20 % loss");
    assert!(wrong <= 20 && found >= 190);
}
