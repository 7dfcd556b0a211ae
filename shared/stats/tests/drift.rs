//! Drift of the same shift seen with 1 %, 10 % and 100 % of the data: one effect, narrower intervals, no verdict that flips.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use seatrial_stats::drift::{
    BinCounts, CategoryBins, Drift, DriftJudgement, NumericBins, jensen_shannon, judge, psi, wasserstein_bins,
};

struct Dice(ChaCha8Rng);

impl Dice {
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }
    /// Bell-shaped, mean 0, variance 1.
    fn bell(&mut self) -> f64 {
        ((0..4).map(|_| self.uniform()).sum::<f64>() - 2.0) * 3.0_f64.sqrt()
    }
}

const ALL: usize = 10_000;
const PARTS: [usize; 3] = [ALL / 100, ALL / 10, ALL];
const RUNS: u32 = 200;
const REFERENCE: usize = 10_000;

/// How far a feature moves.
#[derive(Clone, Copy)]
struct Shift {
    /// Of the mean of a numeric feature, in standard deviations.
    mean: f64,
    /// Share of values missing.
    missing: f64,
    /// Share of values of a category that the reference never had.
    unseen: f64,
    /// Whether the rarest category does not come any more.
    emptied: bool,
}

const NONE: Shift = Shift { mean: 0.0, missing: 0.02, unseen: 0.0, emptied: false };

fn numeric(dice: &mut Dice, shift: Shift) -> f64 {
    if dice.uniform() < shift.missing { f64::NAN } else { dice.bell() + shift.mean }
}

/// Twelve categories, the later the rarer.
fn category(dice: &mut Dice, shift: Shift) -> Option<String> {
    if dice.uniform() < shift.missing {
        return None;
    }
    if dice.uniform() < shift.unseen {
        return Some("new".to_owned());
    }
    let u = dice.uniform().powf(1.0 + 0.6 * shift.mean) * if shift.emptied { 0.95 } else { 1.0 };
    Some(format!("c{}", (12.0 * u * u) as u32))
}

type Measure = fn(&[u64], &[u64], f64) -> Option<Drift>;

/// A reference and the first 1 %, 10 % and 100 % of one current sample.
fn effects(dice: &mut Dice, measure: Measure, shift: Shift, categorical: bool) -> [Drift; 3] {
    let (mut reference, mut current) = (BinCounts::default(), [(); 3].map(|()| BinCounts::default()));
    if categorical {
        let values: Vec<Option<String>> = (0..REFERENCE).map(|_| category(dice, NONE)).collect();
        let bins = CategoryBins::most_frequent(values.iter().flatten().map(String::as_str), 50);
        values.iter().for_each(|value| reference.observe(bins.bin(value.as_deref())));
        for i in 0..ALL {
            let bin = bins.bin(category(dice, shift).as_deref());
            (0..3).filter(|&part| i < PARTS[part]).for_each(|part| current[part].observe(bin));
        }
    } else {
        let values: Vec<f64> = (0..REFERENCE).map(|_| numeric(dice, NONE)).collect();
        let bins = NumericBins::from_reference(&values, 10).unwrap();
        values.iter().for_each(|&value| reference.observe(bins.bin(value)));
        for i in 0..ALL {
            let bin = bins.bin(numeric(dice, shift));
            (0..3).filter(|&part| i < PARTS[part]).for_each(|part| current[part].observe(bin));
        }
    }
    current.map(|counts| measure(reference.counts(), counts.counts(), 0.95).unwrap())
}

/// With limits that mean about the same: the index is near eight times the divergence.
const MEASURES: [(&str, Measure, f64); 2] = [("psi", psi, 0.1), ("jensen-shannon", jensen_shannon, 0.0125)];

/// What is seen over all runs, in per cent.
struct Seen {
    /// Mean corrected effect at 1, 10, 100 % of the data.
    mean: [f64; 3],
    /// Intervals at 1 and at 10 % that contain the estimate at 100 %.
    contain: [f64; 2],
    /// Runs with an answer at one size and its opposite at another.
    flips: f64,
    /// Drift found at each size.
    drifted: [f64; 3],
    /// Stability found at each size.
    stable: [f64; 3],
}

fn simulate(measure: Measure, limit: f64, shift: Shift, categorical: bool) -> Seen {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(61));
    let mut seen =
        Seen { mean: [0.0; 3], contain: [0.0; 2], flips: 0.0, drifted: [0.0; 3], stable: [0.0; 3] };
    let unit = 100.0 / f64::from(RUNS);
    let counted = |yes: bool| if yes { unit } else { 0.0 };
    for _ in 0..RUNS {
        let effects = effects(&mut dice, measure, shift, categorical);
        let judged = effects.map(|effect| judge(Some(&effect), limit));
        for part in 0..3 {
            seen.mean[part] += effects[part].corrected / f64::from(RUNS);
            seen.drifted[part] += counted(judged[part] == DriftJudgement::Drifted);
            seen.stable[part] += counted(judged[part] == DriftJudgement::Stable);
        }
        for part in 0..2 {
            seen.contain[part] += counted(effects[part].interval.contains(effects[2].corrected));
        }
        let both = [DriftJudgement::Stable, DriftJudgement::Drifted].map(|j| judged.contains(&j));
        seen.flips += counted(both == [true, true]);
    }
    seen
}

fn report(name: &str, what: &str, categorical: bool, seen: &Seen) -> String {
    let kind = if categorical { "categorical" } else { "numeric" };
    let text = format!(
        "{name}, {what}, {kind}: mean {:.4?}, contain the whole {:.1?} %, flips {:.1} %, drifted {:.1?} %, stable {:.1?} %",
        seen.mean, seen.contain, seen.flips, seen.drifted, seen.stable
    );
    println!("{text}");
    text
}

#[test]
fn the_same_shift_gives_the_same_effect_with_any_share_of_the_data() {
    let shifts = [
        ("mean", Shift { mean: 0.5, ..NONE }, [false, true].as_slice()),
        ("missing values", Shift { missing: 0.12, ..NONE }, &[false, true]),
        ("an unseen category", Shift { unseen: 0.06, ..NONE }, &[true]),
    ];
    for (name, measure, limit) in MEASURES {
        for (what, shift, kinds) in shifts {
            for &categorical in kinds {
                let seen = simulate(measure, limit, shift, categorical);
                let text = report(name, what, categorical, &seen);
                assert!(seen.contain.iter().all(|per_cent| *per_cent >= 91.0), "{text}");
                assert!((seen.mean[1] / seen.mean[2] - 1.0).abs() < 0.05, "{text}");
                assert!(seen.flips <= 1.0, "{text}");
            }
        }
    }
}

#[test]
fn no_shift_is_no_alarm_and_becomes_stable_with_more_data() {
    for (name, measure, limit) in MEASURES {
        for categorical in [false, true] {
            let seen = simulate(measure, limit, NONE, categorical);
            let text = report(name, "no shift", categorical, &seen);
            assert!(seen.drifted[0] <= 1.5 && seen.drifted[1..] == [0.0, 0.0], "{text}");
            assert!(seen.stable[1..].iter().all(|per_cent| *per_cent > 99.0) && seen.flips <= 1.5, "{text}");
        }
    }
}

#[test]
fn an_emptied_category_never_flips_and_only_the_divergence_keeps_its_size() {
    for (name, measure, limit) in MEASURES {
        let seen = simulate(measure, limit, Shift { emptied: true, ..NONE }, true);
        let text = report(name, "an emptied category", true, &seen);
        assert!(seen.flips <= 1.0, "{text}");
        // The index of an emptied bin is infinite: what half an observation makes of it grows with the number of rows.
        assert_eq!((seen.mean[2] / seen.mean[0] - 1.0).abs() < 0.1, name == "jensen-shannon", "{text}");
    }
}

/// The distance of a feature that moves by `shift` standard deviations, against that of the binned distributions themselves.
#[test]
fn the_distance_of_a_moved_feature_is_covered_at_every_size() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(62));
    let values =
        |dice: &mut Dice, n: usize, shift: f64| -> Vec<f64> { (0..n).map(|_| dice.bell() + shift).collect() };
    let large = values(&mut dice, 200_000, 0.0);
    let bins = NumericBins::from_reference(&large, 20).unwrap();
    let positions = bins.positions(&large).unwrap();
    let counted = |values: &[f64]| {
        let mut counts = vec![0; positions.len()];
        values.iter().for_each(|&value| counts[bins.bin(value)] += 1);
        counts
    };
    for shift in [0.0, 0.1, 0.5] {
        let truth = wasserstein_bins(
            &positions,
            &counted(&large),
            &counted(&values(&mut dice, 200_000, shift)),
            0.95,
        )
        .unwrap()
        .corrected;
        for n in [100, 1_000, 10_000] {
            let (mut hits, mut mean, mut plug_in) = (0_u32, 0.0, 0.0);
            for _ in 0..RUNS {
                let reference = counted(&values(&mut dice, REFERENCE, 0.0));
                let current = counted(&values(&mut dice, n, shift));
                let drift = wasserstein_bins(&positions, &reference, &current, 0.95).unwrap();
                hits += u32::from(drift.interval.low <= truth && truth <= drift.interval.high);
                mean += drift.corrected / f64::from(RUNS);
                plug_in += drift.value / f64::from(RUNS);
            }
            let percent = 100.0 * f64::from(hits) / f64::from(RUNS);
            println!(
                "wasserstein, moved by {shift}, n = {n}: truth {truth:.4}, plug-in {plug_in:.4}, corrected {mean:.4}, covered {percent} %"
            );
            assert!(percent >= 92.5, "{shift}, {n}: {percent}");
            assert!((mean - truth).abs() <= 0.6 * (plug_in - truth).abs() + 0.01, "{shift}, {n}: {mean}");
        }
    }
}
