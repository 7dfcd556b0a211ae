//! Numbers at axes: short, in one unit for the whole axis, with as many decimals as tell two neighbours apart.

use seatrial_evidence::report::MetricUnit;

/// The labels of an axis with these round values.
pub(crate) fn labels(unit: MetricUnit, ticks: &[f64]) -> Vec<String> {
    let top = ticks.iter().fold(0.0_f64, |top, x| top.max(x.abs()));
    let step = ticks.windows(2).fold(f64::INFINITY, |least, w| least.min((w[1] - w[0]).abs()));
    let step = if step.is_finite() && step > 0.0 { step } else { top };
    let (factor, suffix) = in_unit(unit, top);
    ticks.iter().map(|x| label(*x * factor, step * factor, suffix)).collect()
}

/// The labels of a logarithmic axis: each in the unit that suits it.
pub(crate) fn log_labels(unit: MetricUnit, ticks: &[f64]) -> Vec<String> {
    ticks
        .iter()
        .map(|x| {
            let (factor, suffix) = in_unit(unit, x.abs());
            label(x * factor, x.abs() * factor, suffix)
        })
        .collect()
}

fn in_unit(unit: MetricUnit, top: f64) -> (f64, &'static str) {
    match unit {
        MetricUnit::Share => (100.0, "\u{a0}%"),
        MetricUnit::Microseconds => match top {
            t if t < 1e3 => (1.0, "\u{a0}µs"),
            t if t < 1e6 => (1e-3, "\u{a0}ms"),
            _ => (1e-6, "\u{a0}s"),
        },
        MetricUnit::Number => match top {
            t if t < 1e4 => (1.0, ""),
            t if t < 1e6 => (1e-3, "k"),
            t if t < 1e9 => (1e-6, "M"),
            _ => (1.0, ""),
        },
    }
}

fn label(x: f64, step: f64, suffix: &str) -> String {
    let decimals = (-step.abs().max(1e-300).log10() - 1e-9).ceil();
    let text = if x == 0.0 {
        "0".to_owned()
    } else if decimals > 4.0 || x.abs() >= 1e6 {
        let text = format!("{x:.1e}");
        text.replace(".0e", "e")
    } else {
        format!("{x:.*}", decimals.max(0.0) as usize)
    };
    format!("{text}{suffix}").replace('-', "−")
}

/// A count that stays short: 1,234, then 12.3k, 1.2M.
pub(crate) fn short_count(n: u64) -> String {
    let x = n as f64;
    match n {
        0..10_000 => crate::numbers::count(n),
        10_000..1_000_000 => with_one_decimal(x / 1e3, "k"),
        1_000_000..1_000_000_000 => with_one_decimal(x / 1e6, "M"),
        1_000_000_000..1_000_000_000_000 => with_one_decimal(x / 1e9, "G"),
        _ => format!("{x:.1e}"),
    }
}

/// `n` and a count, whole as far as it is readable.
pub(crate) fn n(count: u64) -> String {
    if count < 10_000_000 {
        format!("n {}", crate::numbers::count(count))
    } else {
        format!("n {}", short_count(count))
    }
}

/// A name to show: of what has none, that it has none.
pub(crate) fn named(name: &str) -> &str {
    if name.trim().is_empty() { "(no name)" } else { name }
}

fn with_one_decimal(x: f64, suffix: &str) -> String {
    if x >= 99.95 { format!("{x:.0}{suffix}") } else { format!("{x:.1}{suffix}") }
}

/// A share in per cent, with more decimals the smaller it is.
pub(crate) fn share(n: u64, of: u64) -> String {
    if of == 0 {
        return crate::numbers::NONE.into();
    }
    let percent = n as f64 / of as f64 * 100.0;
    match percent {
        p if n == 0 || n == of => format!("{p:.0}\u{a0}%"),
        p if p < 0.01 => "<\u{a0}0.01\u{a0}%".into(),
        p if p < 1.0 => format!("{p:.2}\u{a0}%"),
        // What is not all is not shown as all.
        p => format!("{:.1}\u{a0}%", p.min(99.9)),
    }
}

/// A plain number with about three digits that count.
pub(crate) fn brief(x: f64) -> String {
    let size = x.abs();
    let text = match size {
        0.0 => "0".into(),
        s if !s.is_finite() => return crate::numbers::NONE.into(),
        s if !(1e-4..1e6).contains(&s) => format!("{x:.1e}"),
        s if s < 0.1 => format!("{x:.4}"),
        s if s < 10.0 => format!("{x:.3}"),
        s if s < 100.0 => format!("{x:.1}"),
        _ => format!("{x:.0}"),
    };
    text.replace('-', "−")
}

/// Times at an axis in seconds: labels with one unit for all, and the round values they stand at.
pub(crate) fn time_ticks(until: f64, wanted: u32) -> Vec<(f64, String)> {
    let (size, unit) = match until {
        t if t < 180.0 => (1.0, "s"),
        t if t < 3.0 * 3_600.0 => (60.0, "min"),
        t if t < 3.0 * 86_400.0 => (3_600.0, "h"),
        _ => (86_400.0, "d"),
    };
    let steps = [1.0, 2.0, 3.0, 5.0, 6.0, 10.0, 12.0, 15.0, 20.0, 30.0, 60.0, 90.0];
    let least = until / size / f64::from(wanted.max(1));
    let step = steps.into_iter().find(|s| *s >= least).unwrap_or_else(|| super::scale::round_step(least));
    let count = (until / size / step).floor().clamp(0.0, 40.0) as u32;
    (0..=count)
        .map(|i| f64::from(i) * step)
        .map(|t| (t * size, if t == 0.0 { "0".to_owned() } else { format!("{}\u{a0}{unit}", brief_time(t)) }))
        .collect()
}

/// For example `1 h 44 min`: the two largest units.
pub(crate) fn short_duration(seconds: f64) -> String {
    let words = crate::times::duration(seconds.clamp(0.0, 1e12) as u64);
    let short = [
        (" seconds", " s"),
        (" second", " s"),
        (" minutes", " min"),
        (" minute", " min"),
        (" hours", " h"),
        (" hour", " h"),
        (" days", " d"),
        (" day", " d"),
    ];
    short.into_iter().fold(words, |text, (long, short)| text.replace(long, short))
}

fn brief_time(t: f64) -> String {
    let text = format!("{t:.1}");
    text.trim_end_matches(".0").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_one_unit_and_enough_decimals() {
        assert_eq!(labels(MetricUnit::Share, &[0.0, 0.005, 0.01]), ["0\u{a0}%", "0.5\u{a0}%", "1.0\u{a0}%"]);
        assert_eq!(
            labels(MetricUnit::Microseconds, &[0.0, 500.0, 1_000.0]),
            ["0\u{a0}ms", "0.5\u{a0}ms", "1.0\u{a0}ms"]
        );
        assert_eq!(labels(MetricUnit::Number, &[-2e4, 0.0, 2e4]), ["−20k", "0k", "20k"]);
        assert_eq!(labels(MetricUnit::Number, &[0.0, 1e-7, 2e-7]), ["0", "1e−7", "2e−7"]);
        assert_eq!(log_labels(MetricUnit::Microseconds, &[500.0, 1e3]), ["500\u{a0}µs", "1\u{a0}ms"]);
    }

    #[test]
    fn counts_and_shares_are_honest_at_their_ends() {
        assert_eq!(
            [short_count(9_999), short_count(12_345), short_count(999_999), short_count(2_500_000)],
            ["9,999", "12.3k", "1000k", "2.5M"]
        );
        assert_eq!(
            [share(0, 10), share(10, 10), share(9_999, 10_000), share(1, 100_000), share(0, 0)],
            ["0\u{a0}%", "100\u{a0}%", "99.9\u{a0}%", "<\u{a0}0.01\u{a0}%", "–"]
        );
        assert_eq!([brief(0.0), brief(-0.25), brief(1e-9), brief(1234.0)], ["0", "−0.250", "1.0e−9", "1234"]);
    }

    #[test]
    fn times_are_round() {
        let ticks = time_ticks(7_200.0, 5);
        assert_eq!(ticks[1], (1_800.0, "30\u{a0}min".into()));
        assert_eq!(short_duration(6_250.0), "1 h 44 min");
        assert_eq!(time_ticks(0.0, 5), [(0.0, "0".into())]);
    }
}
