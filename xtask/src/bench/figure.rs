//! One figure: both sides' times and memory, and the ratio.

use serde::Serialize;

use crate::say;

/// One measured thing.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// What was done.
    pub what: String,
    /// What one would otherwise run.
    pub otherwise: String,
    /// `us`, `s`, or `records/s`, where the figure of a side is no time but a rate.
    pub unit: &'static str,
    /// Rounds that count.
    pub rounds: usize,
    /// Seatrial.
    pub seatrial: Side,
    /// The other.
    pub other: Side,
    /// The other's time over Seatrial's, round by round: above 1 Seatrial is faster.
    pub ratio: Spread,
}

/// One side of a figure.
#[derive(Debug, Serialize)]
pub struct Side {
    /// Its time, or its rate.
    pub time: Spread,
    /// The most memory any of its runs held resident, in KiB.
    pub peak_kib: u64,
}

/// Median, smallest and largest of several.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
        let (n, last) = (values.len(), values.len().saturating_sub(1));
        Self { median: f64::midpoint(at(last / 2), at(n / 2)), min: at(0), max: at(last) }
    }
}

/// One run as a figure sees it: its time in the figure's unit, and its peak memory in KiB.
pub type Sample = (f64, u64);

impl Figure {
    /// The figure over these rounds; the n-th of both sides ran one after the other.
    pub fn new(
        what: impl Into<String>,
        otherwise: impl Into<String>,
        unit: &'static str,
        seatrial: &[Sample],
        other: &[Sample],
    ) -> Self {
        let side = |samples: &[Sample]| Side {
            time: Spread::of(samples.iter().map(|(time, _)| *time).collect()),
            peak_kib: samples.iter().map(|(_, kib)| *kib).max().unwrap_or(0),
        };
        let ratio = seatrial.iter().zip(other).map(|((ours, _), (theirs, _))| theirs / ours).collect();
        Self {
            what: what.into(),
            otherwise: otherwise.into(),
            unit,
            rounds: seatrial.len().min(other.len()),
            seatrial: side(seatrial),
            other: side(other),
            ratio: Spread::of(ratio),
        }
    }
}

impl Figure {
    /// [`Self::new`] for seconds that `records` took, told as records a second. The ratio is still that of the times.
    pub fn rate(
        what: impl Into<String>,
        otherwise: impl Into<String>,
        records: u64,
        seatrial: &[Sample],
        other: &[Sample],
    ) -> Self {
        let mut figure = Self::new(what, otherwise, "records/s", seatrial, other);
        for side in [&mut figure.seatrial, &mut figure.other] {
            let Spread { median, min, max } = side.time;
            let rate = |seconds: f64| records as f64 / seconds;
            side.time = Spread { median: rate(median), min: rate(max), max: rate(min) };
        }
        figure
    }
}

/// The figures as a table in Markdown.
pub fn table(figures: &[Figure]) -> String {
    let header = ["what", "Seatrial", "otherwise", "", "times faster", "peak memory", "otherwise's"];
    say::table(
        header,
        figures.iter().map(|f| {
            [
                f.what.clone(),
                time(f.unit, f.seatrial.time),
                f.otherwise.clone(),
                time(f.unit, f.other.time),
                format!("{:.2} ({:.2}–{:.2})", f.ratio.median, f.ratio.min, f.ratio.max),
                memory(f.seatrial.peak_kib),
                memory(f.other.peak_kib),
            ]
        }),
    )
}

fn time(unit: &str, t: Spread) -> String {
    match unit {
        "us" => format!("{:.0} µs ({:.0}–{:.0})", t.median, t.min, t.max),
        "records/s" => format!("{:.0} records/s ({:.0}–{:.0})", t.median, t.min, t.max),
        _ => format!("{:.2} s ({:.2}–{:.2})", t.median, t.min, t.max),
    }
}

fn memory(kib: u64) -> String {
    format!("{:.0} MiB", kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::{Figure, Spread};

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert!(Spread::of(Vec::new()).median.is_nan());
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let figure = Figure::new("a", "b", "s", &[(1.0, 5), (10.0, 7)], &[(2.0, 1), (20.0, 1)]);
        assert_eq!(figure.ratio, Spread { median: 2.0, min: 2.0, max: 2.0 });
        assert_eq!(figure.seatrial.peak_kib, 7);
        assert_eq!(figure.rounds, 2);
        let figure = Figure::rate("a", "b", 100, &[(1.0, 5), (10.0, 7)], &[(2.0, 1), (20.0, 1)]);
        assert_eq!(figure.ratio, Spread { median: 2.0, min: 2.0, max: 2.0 });
        assert_eq!((figure.seatrial.time.min, figure.seatrial.time.max), (10.0, 100.0));
    }
}
