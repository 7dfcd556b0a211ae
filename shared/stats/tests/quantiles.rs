//! The latency sketch against exact quantiles on hard distributions: within 1/128 everywhere, and the same bytes however the
//! values were split.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use seatrial_stats::{
    Merge,
    sketch::{LatencySketch, RELATIVE_ERROR, bin_ceiling_us},
};

const N: usize = 50_000;
const QUANTILES: [f64; 13] = [0.0, 1e-4, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];

struct Dice(ChaCha8Rng);

impl Dice {
    /// In (0, 1).
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }
}

/// Values in microseconds, by name.
fn distributions() -> Vec<(&'static str, Vec<u64>)> {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(81));
    let mut of = |draw: fn(&mut Dice) -> f64| (0..N).map(|_| draw(&mut dice) as u64).collect::<Vec<u64>>();
    vec![
        ("constant", of(|_| 1_234_567.0)),
        ("all zero", of(|_| 0.0)),
        (
            "two peaks far apart",
            of(|d| if d.uniform() < 0.99 { 900.0 + 50.0 * d.uniform() } else { 3e6 + 1e5 * d.uniform() }),
        ),
        ("two peaks, half each", of(|d| if d.uniform() < 0.5 { 100.0 } else { 1e9 })),
        ("heavy tail (Pareto 1.1)", of(|d| 500.0 * d.uniform().powf(-1.0 / 1.1))),
        ("no mean (Pareto 0.7)", of(|d| (10.0 * d.uniform().powf(-1.0 / 0.7)).min(1e15))),
        ("lattice of milliseconds", of(|d| 1_000.0 * (1.0 + (40.0 * d.uniform()).floor()))),
        ("1 to 1e9, every size alike", of(|d| 10.0_f64.powf(9.0 * d.uniform()))),
        ("log-normal", of(|d| (8.0 + (0..12).map(|_| d.uniform()).sum::<f64>() - 6.0).exp())),
        (
            "powers of two and their neighbours",
            of(|d| {
                let power = (1_u64 << (d.uniform() * 40.0) as u32) as f64;
                power + (3.0 * d.uniform()).floor() - 1.0
            }),
        ),
    ]
}

fn sketch_of(values: &[u64]) -> LatencySketch {
    let mut sketch = LatencySketch::default();
    values.iter().for_each(|&v| sketch.observe(v));
    sketch
}

#[test]
fn every_quantile_is_within_its_bound() {
    for (name, values) in distributions() {
        let sketch = sketch_of(&values);
        let mut sorted = values;
        sorted.sort_unstable();
        let mut worst = 0.0_f64;
        for q in QUANTILES {
            let exact = sorted[(q * (sorted.len() - 1) as f64) as usize] as f64;
            let ours = sketch.quantile_us(q).unwrap();
            assert!((ours - exact).abs() <= exact * RELATIVE_ERROR, "{name}, {q}: {ours} for {exact}");
            worst = worst.max((ours - exact).abs() / exact.max(1.0));
        }
        let sum: u128 = sorted.iter().map(|&v| u128::from(v)).sum();
        let mean = sum as f64 / sorted.len() as f64;
        assert!((sketch.mean_us().unwrap() - mean).abs() <= 1e-12 * mean, "{name}: the mean is exact");
        assert_eq!(sketch.range_us(), Some((sorted[0], sorted[N - 1])), "{name}");
        println!("{name}: worst {:.3} % of at most {:.3} %", 100.0 * worst, 100.0 * RELATIVE_ERROR);
    }
}

#[test]
fn exceedances_of_a_ceiling_are_exact() {
    for (name, values) in distributions() {
        let sketch = sketch_of(&values);
        for q in [0.5, 0.9, 0.99, 0.999] {
            let ceiling = bin_ceiling_us(sketch.quantile_us(q).unwrap() as u64);
            let exact = values.iter().filter(|&&v| v > ceiling).count() as u64;
            assert_eq!(sketch.count_above(ceiling), exact, "{name}, {q}");
        }
    }
}

#[test]
fn splits_of_hard_values_give_the_same_bytes() {
    for (name, values) in distributions() {
        let whole = serde_json::to_string(&sketch_of(&values)).unwrap();
        for parts in [2, 7, 100] {
            let mut merged = LatencySketch::default();
            // Strided parts, the last first.
            for part in (0..parts).rev() {
                merged
                    .merge(&sketch_of(&values.iter().copied().skip(part).step_by(parts).collect::<Vec<_>>()));
            }
            assert_eq!(serde_json::to_string(&merged).unwrap(), whole, "{name}, {parts} parts");
        }
        assert!(whole.len() < 32_000, "{name}: {} bytes", whole.len());
    }
}
