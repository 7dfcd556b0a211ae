//! Coverage of the intervals of score metrics by simulation, fixed seeds: paired AUC (DeLong, and at scale by the grouped
//! jackknife), log loss, Brier score, RMSE, calibration slope; with rows that are independent and with units that repeat. To
//! reach: 93–97 % with at least 200 rows a class.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use seatrial_stats::{
    Interval,
    auc::{PairedAucHistogram, delong},
    calibration::{Calibration, calibration_line},
    jackknife::{GROUPS, Grouped, group_of},
    losses::{brier_loss, log_loss},
    paired::{LossMoments, PairedMoments},
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

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A request: truth, both versions' probabilities, and its unit.
type Row = (bool, f64, f64, usize);

/// `units` units of `each` requests. Requests of one unit share their truth's odds and their versions' errors by `likeness`.
fn requests(dice: &mut Dice, units: usize, each: usize, likeness: f64) -> Vec<Row> {
    let mixed = |shared: f64, own: f64| likeness.sqrt() * shared + (1.0 - likeness).sqrt() * own;
    let mut rows = Vec::with_capacity(units * each);
    for unit in 0..units {
        let shared = [dice.bell(), dice.bell(), dice.bell(), dice.uniform()];
        for _ in 0..each {
            let z = 1.2 * mixed(shared[0], dice.bell()) - 0.4;
            let draw = if dice.uniform() < likeness { shared[3] } else { dice.uniform() };
            let champion = sigmoid(z + 0.8 * mixed(shared[1], dice.bell()));
            let challenger = sigmoid(z + 0.6 * mixed(shared[2], dice.bell()));
            rows.push((draw < sigmoid(z), champion, challenger, unit));
        }
    }
    rows
}

fn paired_auc(rows: &[Row]) -> PairedAucHistogram {
    let mut paired = PairedAucHistogram::default();
    for &(truth, champion, challenger, unit) in rows {
        paired.observe(truth, champion, challenger, group_of(&unit.to_string(), GROUPS));
    }
    paired
}

fn log_losses(rows: &[Row]) -> LossMoments {
    losses(rows, |p, truth| log_loss(if truth { p } else { 1.0 - p }))
}

fn losses(rows: &[Row], loss: fn(f64, bool) -> Option<f64>) -> LossMoments {
    let mut moments = LossMoments::default();
    for &(truth, champion, challenger, _) in rows {
        assert!(moments.observe(loss(champion, truth), loss(challenger, truth)));
    }
    moments
}

const RUNS: u32 = 500;

/// Share of runs, in per cent, in which each interval contains its truth.
fn coverage<const K: usize>(
    seed: u64,
    truths: [f64; K],
    mut run: impl FnMut(&mut Dice) -> [Interval; K],
) -> [f64; K] {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let mut hits = [0_u32; K];
    for _ in 0..RUNS {
        let intervals = run(&mut dice);
        (0..K).for_each(|k| hits[k] += u32::from(intervals[k].contains(truths[k])));
    }
    hits.map(|hits| 100.0 * f64::from(hits) / f64::from(RUNS))
}

/// The deltas of a sample so large that its own error does not matter.
fn true_deltas(each: usize, likeness: f64) -> [f64; 3] {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(1));
    let rows = requests(&mut dice, 1_200_000 / each, each, likeness);
    let delta = |moments: LossMoments| moments.mean_difference(0.95).unwrap().delta;
    [
        paired_auc(&rows).difference(0.95).unwrap().delta,
        delta(log_losses(&rows)),
        delta(losses(&rows, brier_loss)),
    ]
}

#[test]
fn independent_requests() {
    let truths = true_deltas(1, 0.0);
    let [auc, log, brier] = truths;
    let percent = coverage(101, [auc, auc, log, brier], |dice| {
        let rows = requests(dice, 1_000, 1, 0.0);
        let truth: Vec<bool> = rows.iter().map(|r| r.0).collect();
        let (champion, challenger): (Vec<f64>, Vec<f64>) = rows.iter().map(|r| (r.1, r.2)).unzip();
        [
            delong(&truth, &champion, &challenger).unwrap().interval(0.95).unwrap(),
            paired_auc(&rows).difference(0.95).unwrap().interval.unwrap(),
            log_losses(&rows).mean_difference(0.95).unwrap().interval,
            losses(&rows, brier_loss).mean_difference(0.95).unwrap().interval,
        ]
    });
    println!("independent: DeLong, AUC at scale, log loss, Brier: {percent:?} %");
    assert!(percent.iter().all(|p| (93.0..=97.4).contains(p)), "{percent:?}");
}

#[test]
fn units_that_repeat() {
    let [auc, log, _] = true_deltas(20, 0.6);
    let percent = coverage(102, [auc, log, log], |dice| {
        let rows = requests(dice, 300, 20, 0.6);
        let mut grouped = Grouped::<LossMoments>::default();
        for row in &rows {
            let (truth, champion, challenger, unit) = *row;
            let of = |p: f64| log_loss(if truth { p } else { 1.0 - p });
            grouped.of_unit(&unit.to_string()).observe(of(champion), of(challenger));
        }
        let delta = |moments: &LossMoments| moments.means().map(|(x, y)| y - x);
        [
            paired_auc(&rows).difference(0.95).unwrap().interval.unwrap(),
            grouped.jackknife(0.95, delta).unwrap().interval,
            log_losses(&rows).mean_difference(0.95).unwrap().interval,
        ]
    });
    println!("300 units of 20: AUC at scale, log loss by units, log loss by rows: {percent:?} %");
    assert!(percent[..2].iter().all(|p| (93.0..=97.4).contains(p)), "{percent:?}");
    assert!(percent[2] < 75.0, "row by row it would be wrong: {percent:?}");
}

#[test]
fn calibration_slope_and_intercept() {
    let percent = coverage(103, [0.8, -0.3], |dice| {
        let row = |_| {
            let z = 1.5 * dice.bell();
            (dice.uniform() < sigmoid(-0.3 + 0.8 * z), sigmoid(z))
        };
        let (truth, score): (Vec<bool>, Vec<f64>) = (0..600).map(row).unzip();
        let line = calibration_line(&truth, &score).unwrap();
        [line.slope_interval(0.95).unwrap(), line.intercept_interval(0.95).unwrap()]
    });
    println!("calibration slope, intercept: {percent:?} %");
    assert!(percent.iter().all(|p| (93.0..=97.4).contains(p)), "{percent:?}");
}

#[test]
fn root_mean_squared_errors() {
    // Errors with a heavier tail than the bell's: a bell times one that is often small. Its mean square is that of the bell.
    let error = |dice: &mut Dice, scale: f64| scale * dice.bell() * (0.5 + dice.uniform());
    let square = 0.25 + 0.5 + 1.0 / 3.0; // of (0.5 + uniform)
    let (champion, challenger) = (1.0, 0.9);
    let truth = f64::sqrt(square) * (challenger - champion);
    let percent = coverage(104, [truth], |dice| {
        let mut moments = PairedMoments::default();
        for _ in 0..400 {
            let (x, y) = (error(dice, champion), error(dice, challenger));
            moments.observe(x * x, y * y);
        }
        [moments.root_mean_difference(0.95).unwrap().interval]
    });
    println!("RMSE: {percent:?} %");
    assert!((93.0..=97.4).contains(&percent[0]), "{percent:?}");
}

#[test]
fn plug_in_calibration_error_misleads_with_few_rows_and_the_debiased_one_does_not() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(105));
    let (mut plug_in, mut squared, mut off) = (0.0, 0.0, 0.0);
    let runs = 1_000;
    for _ in 0..runs {
        let (mut calibrated, mut shifted) = (Calibration::default(), Calibration::default());
        for _ in 0..500 {
            let p = dice.uniform();
            let truth = dice.uniform() < p;
            calibrated.observe(p, truth);
            shifted.observe((p + 0.1).min(1.0), truth);
        }
        plug_in += calibrated.ece().unwrap() / f64::from(runs);
        squared += calibrated.squared_error_debiased().unwrap() / f64::from(runs);
        off += shifted.ece_debiased().unwrap() / f64::from(runs);
    }
    println!("ECE at n = 500: plug-in {plug_in:.3}, debiased squared {squared:.5}; off by a tenth: {off:.3}");
    assert!((0.045..0.065).contains(&plug_in) && squared.abs() < 2e-4, "{plug_in} {squared}");
    assert!((0.09..0.105).contains(&off), "{off}");
}
