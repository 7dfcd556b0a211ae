//! Coverage of the intervals by simulation, fixed seeds. To reach: 93–97 % with at least 30 discordant
//! pairs or 200 rows a group; below that at least 94 %, conservative allowed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use seatrial_stats::{
    bootstrap::Bootstrap,
    drift::{jensen_shannon, psi},
    fairness::{FairnessCells, FairnessMetric},
    intervals::{PairedCounts, newcombe_independent},
    joint::JointConfusion,
};

struct Dice(ChaCha8Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }
    /// The index of a category.
    fn pick(&mut self, shares: &[f64]) -> usize {
        let mut left = self.uniform();
        shares
            .iter()
            .position(|share| {
                left -= share;
                left < 0.0
            })
            .unwrap_or(shares.len() - 1)
    }
}

/// Share of `runs` in which `covered` holds, in per cent.
fn coverage(runs: u32, mut covered: impl FnMut(u64) -> bool) -> f64 {
    100.0 * f64::from((0..runs).filter(|&run| covered(u64::from(run))).count() as u32) / f64::from(runs)
}

fn newcombe_coverage(n: usize, shares: [f64; 4], runs: u32, seed: u64) -> f64 {
    let mut dice = Dice::new(seed);
    let truth = shares[2] - shares[1];
    coverage(runs, |_| {
        let mut counts = PairedCounts::default();
        for _ in 0..n {
            let which = dice.pick(&shares);
            counts.observe(which < 2, which.is_multiple_of(2));
        }
        counts.difference(0.95).unwrap().interval.contains(truth)
    })
}

#[test]
fn newcombe_for_pairs() {
    // both, champion only, challenger only, neither
    for (n, shares) in [
        (400, [0.80, 0.06, 0.06, 0.08]),
        (500, [0.70, 0.10, 0.06, 0.14]),
        (1_000, [0.90, 0.02, 0.02, 0.06]),
        (200, [0.40, 0.25, 0.15, 0.20]),
    ] {
        let percent = newcombe_coverage(n, shares, 4_000, 11);
        println!("newcombe paired, n = {n}, {shares:?}: {percent:.1} %");
        assert!((93.0..=97.5).contains(&percent), "{n} {shares:?}: {percent}");
    }
}

#[test]
fn newcombe_with_few_discordant_pairs() {
    for (n, shares) in
        [(100, [0.88, 0.02, 0.02, 0.08]), (500, [0.89, 0.005, 0.005, 0.10]), (40, [0.80, 0.05, 0.10, 0.05])]
    {
        let percent = newcombe_coverage(n, shares, 4_000, 13);
        println!("newcombe paired, few discordant, n = {n}, {shares:?}: {percent:.1} %");
        assert!(percent >= 94.0, "{n} {shares:?}: {percent}");
    }
}

#[test]
fn newcombe_for_independent_arms() {
    let mut dice = Dice::new(17);
    for (n1, p1, n2, p2) in [(2_000, 0.01, 500, 0.02), (500, 0.2, 500, 0.25)] {
        let percent = coverage(2_000, |_| {
            let mut hits = |n: u64, p: f64| (0..n).filter(|_| dice.uniform() < p).count() as u64;
            newcombe_independent(hits(n1, p1), n1, hits(n2, p2), n2, 0.95).unwrap().contains(p2 - p1)
        });
        println!("newcombe independent {n1} {p1} {n2} {p2}: {percent:.1} %");
        assert!((93.0..=97.5).contains(&percent), "{percent}");
    }
}

/// Per group: share of positives, and for each class the chance of each (champion, challenger) decision.
type Group = (f64, [[f64; 4]; 2]);

fn parity_coverage(groups: &[Group], n: usize, metric: FairnessMetric, seed: u64) -> f64 {
    // The truth: the metric of the expected cells.
    let mut expected = FairnessCells::default();
    for (g, (positives, decisions)) in groups.iter().enumerate() {
        for (label, decisions) in decisions.iter().enumerate() {
            let share = if label == 1 { *positives } else { 1.0 - positives };
            for (which, p) in decisions.iter().enumerate() {
                let count = (share * p * 1e9).round() as u64;
                expected.observe_n(&g.to_string(), label == 1, which >= 2, which % 2 == 1, count);
            }
        }
    }
    let bootstrap = |seed| Bootstrap { seed, replicates: 400, confidence: 0.95 };
    let truth = expected.increase(metric, bootstrap(0)).unwrap().delta;
    let mut dice = Dice::new(seed);
    coverage(800, |run| {
        let mut cells = FairnessCells::default();
        for (g, (positives, decisions)) in groups.iter().enumerate() {
            for _ in 0..n {
                let label = usize::from(dice.uniform() < *positives);
                let which = dice.pick(&decisions[label]);
                cells.observe(&g.to_string(), label == 1, which >= 2, which % 2 == 1);
            }
        }
        cells.increase(metric, bootstrap(run)).unwrap().interval.is_some_and(|i| i.contains(truth))
    })
}

#[test]
fn bootstrap_of_the_paired_fairness_increase() {
    // (no, no), (no, yes), (yes, no), (yes, yes) for negatives, then for positives
    let lenient: Group = (0.5, [[0.75, 0.05, 0.05, 0.15], [0.20, 0.05, 0.05, 0.70]]);
    let strict: Group = (0.35, [[0.85, 0.03, 0.04, 0.08], [0.30, 0.04, 0.10, 0.56]]);
    for metric in [FairnessMetric::DemographicParity, FairnessMetric::EqualisedOdds(Default::default())] {
        for (name, groups) in [("unequal groups", [lenient, strict]), ("equal groups", [lenient, lenient])] {
            let percent = parity_coverage(&groups, 400, metric, 19);
            println!("fairness {metric:?}, {name}: {percent:.1} %");
            assert!(percent >= 93.0, "{metric:?}, {name}: {percent}");
        }
    }
}

#[test]
fn bootstrap_of_macro_f1() {
    let classes = [0.6, 0.3, 0.1];
    // Of a class: the chance that both are right, only the champion, only the challenger, neither.
    let right = [[0.80, 0.06, 0.08, 0.06], [0.65, 0.10, 0.10, 0.15], [0.50, 0.10, 0.15, 0.25]];
    let draw = |joint: &mut JointConfusion, class: usize, which: usize, n: u64| {
        let (truth, wrong) = (class.to_string(), ((class + 1) % 3).to_string());
        let answer = |is_right: bool| if is_right { &truth } else { &wrong };
        joint.observe_n(&truth, answer(which < 2), answer(which.is_multiple_of(2)), n);
    };
    let bootstrap = |seed| Bootstrap { seed, replicates: 400, confidence: 0.95 };
    let mut expected = JointConfusion::default();
    for (class, share) in classes.iter().enumerate() {
        right[class]
            .iter()
            .enumerate()
            .for_each(|(which, p)| draw(&mut expected, class, which, (share * p * 1e9) as u64));
    }
    let truth = expected.macro_f1(bootstrap(0)).unwrap().delta;
    let mut dice = Dice::new(23);
    let percent = coverage(800, |run| {
        let mut joint = JointConfusion::default();
        for _ in 0..1_000 {
            let class = dice.pick(&classes);
            let which = dice.pick(&right[class]);
            draw(&mut joint, class, which, 1);
        }
        joint.macro_f1(bootstrap(run)).unwrap().interval.unwrap().contains(truth)
    });
    println!("macro F1: {percent:.1} %");
    assert!((93.0..=97.5).contains(&percent), "{percent}");
}

#[test]
fn drift_of_a_moved_and_of_an_unmoved_feature() {
    let (flat, moved) = ([0.1; 10], [0.05, 0.06, 0.08, 0.09, 0.1, 0.1, 0.11, 0.12, 0.13, 0.16]);
    let mut dice = Dice::new(29);
    for (now, n) in [(flat, 1_000), (moved, 1_000), (moved, 5_000)] {
        let scaled = |shares: [f64; 10]| shares.map(|p| (p * 1e9) as u64);
        let truths = [psi, jensen_shannon].map(|of| of(&scaled(flat), &scaled(now), 0.95).unwrap().value);
        let mut hits = [0_u32; 2];
        let mut corrected = 0.0;
        for _ in 0..1_500 {
            let mut sample = |shares: &[f64]| {
                let mut c = [0; 10];
                (0..n).for_each(|_| c[dice.pick(shares)] += 1);
                c
            };
            let (reference, current) = (sample(&flat), sample(&now));
            for (k, of) in [psi, jensen_shannon].into_iter().enumerate() {
                let drift = of(&reference, &current, 0.95).unwrap();
                hits[k] += u32::from(
                    drift.interval.low <= truths[k] + 1e-12 && truths[k] <= drift.interval.high + 1e-12,
                );
                corrected += if k == 0 { drift.corrected } else { 0.0 };
            }
        }
        let percent = hits.map(|h| f64::from(h) / 15.0);
        println!(
            "drift n = {n}, psi {:.4}: coverage {percent:?}, mean corrected {:.4}",
            truths[0],
            corrected / 1_500.0
        );
        assert!(percent.iter().all(|p| *p >= 93.0), "{percent:?}");
        assert!((corrected / 1_500.0 - truths[0]).abs() < 0.006);
    }
}

#[test]
fn plug_in_psi_misleads_with_few_rows_and_the_correction_does_not() {
    let mut dice = Dice::new(31);
    let flat = [0.1; 10];
    let (mut plug_in, mut alarms) = (0.0, 0);
    for _ in 0..2_000 {
        let mut sample = |n: u32| {
            let mut c = [0; 10];
            (0..n).for_each(|_| c[dice.pick(&flat)] += 1);
            c
        };
        let drift = psi(&sample(10_000), &sample(100), 0.95).unwrap();
        plug_in += drift.value / 2_000.0;
        alarms += u32::from(drift.interval.low > 0.02);
    }
    println!(
        "psi with n = 100 and no drift: plug-in mean {plug_in:.3}, interval above .02 in {alarms} of 2,000"
    );
    assert!(plug_in > 0.07 && alarms < 60);
}
