//! Numbers as people read them.

use seatrial_domain::policy::Margin;
use seatrial_evidence::report::MetricUnit;

/// What stands where there is no number.
pub const NONE: &str = "–";

/// What is smaller is what subtracting leaves over, and is shown as zero.
const NOISE: f64 = 1e-12;

/// A value in its unit, which does not part from its number at the end of a line.
#[must_use]
pub fn value(unit: MetricUnit, value: f64) -> String {
    if !value.is_finite() {
        return NONE.into();
    }
    match unit {
        MetricUnit::Share => share(value),
        MetricUnit::Number => plain(value),
        MetricUnit::Microseconds => duration(value),
    }
    .replace('-', "−")
}

/// A difference in its unit, always with its sign. Differences of shares are points.
#[must_use]
pub fn difference(unit: MetricUnit, delta: f64) -> String {
    if !delta.is_finite() {
        return NONE.into();
    }
    let sign = if delta < -NOISE { "−" } else { "+" };
    let size = delta.abs();
    let size = match unit {
        MetricUnit::Share => format!("{}\u{a0}pt", hundredths(size * 100.0)),
        MetricUnit::Number => plain(size),
        MetricUnit::Microseconds => duration(size),
    };
    format!("{sign}{}", size.replace('-', "−"))
}

/// A share in per cent. What is not quite all is never shown as all, and what is not quite nothing never as nothing.
fn share(x: f64) -> String {
    let percent = x * 100.0;
    let text = if (99.995..100.0).contains(&percent) {
        if percent < 99.999_95 { format!("{percent:.4}") } else { ">99.9999".into() }
    } else {
        hundredths(percent)
    };
    format!("{text}\u{a0}%")
}

/// With two decimals; with more where these would be zero, and as a power of ten where there would be too many digits.
fn hundredths(x: f64) -> String {
    match x.abs() {
        s if s < NOISE || (0.005..1e7).contains(&s) => format!("{x:.2}"),
        s if (0.000_05..0.005).contains(&s) => format!("{x:.4}"),
        _ => format!("{x:.1e}"),
    }
}

fn plain(x: f64) -> String {
    match x.abs() {
        s if s < NOISE || (0.000_05..1e7).contains(&s) => format!("{x:.4}"),
        _ => format!("{x:.2e}"),
    }
}

/// A margin as the policy means it.
#[must_use]
pub fn margin(unit: MetricUnit, margin: Margin) -> String {
    match (margin, unit) {
        (Margin::Relative(share), _) => format!("{}\u{a0}% of champion", trimmed(share * 100.0)),
        (Margin::Absolute(size), MetricUnit::Share) => format!("{}\u{a0}pt", trimmed(size * 100.0)),
        (Margin::Absolute(size), MetricUnit::Number) => trimmed(size),
        (Margin::Absolute(size), MetricUnit::Microseconds) => duration(size),
    }
}

/// A share of callers, for example `2.5 %`.
#[must_use]
pub fn percent(percent: f64) -> String {
    format!("{}\u{a0}%", trimmed(percent))
}

/// A count with separators.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(us: f64) -> String {
    match us.abs() {
        size if size > 0.0 && size < 1.0 => format!("{us:.2} µs"),
        size if size < 1_000.0 => format!("{us:.0} µs"),
        size if size < 1_000_000.0 => format!("{:.2} ms", us / 1_000.0),
        size if size < 1e13 => format!("{:.2} s", us / 1_000_000.0),
        _ => format!("{:.1e} s", us / 1_000_000.0),
    }
}

fn trimmed(x: f64) -> String {
    if x != 0.0 && !(0.000_05..1e7).contains(&x.abs()) {
        return format!("{x:.1e}").replace('-', "−");
    }
    let text = format!("{x:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_is_not_all_and_nearly_nothing_is_not_nothing() {
        let shares = [1.0, 0.999_97, 0.999_999_99, 0.0, 0.000_02, 1e-9, 0.999_9];
        let texts = ["100.00", "99.9970", ">99.9999", "0.00", "0.0020", "1.0e−7", "99.99"];
        for (x, text) in shares.into_iter().zip(texts) {
            assert_eq!(value(MetricUnit::Share, x), format!("{text}\u{a0}%"));
        }
        assert_eq!(difference(MetricUnit::Share, -0.000_012), "−0.0012\u{a0}pt");
        assert_eq!(difference(MetricUnit::Share, 0.3 - 0.1 - 0.2), "+0.00\u{a0}pt");
    }

    #[test]
    fn numbers_carry_unit_and_sign() {
        assert_eq!(value(MetricUnit::Share, 0.853_21), "85.32\u{a0}%");
        assert_eq!(value(MetricUnit::Microseconds, 1_234.0), "1.23 ms");
        assert_eq!(value(MetricUnit::Number, f64::NAN), "–");
        assert_eq!(difference(MetricUnit::Share, -0.012), "−1.20\u{a0}pt");
        assert_eq!(difference(MetricUnit::Number, 0.0), "+0.0000");
        assert_eq!(value(MetricUnit::Number, 2e-9), "2.00e−9");
        assert_eq!(difference(MetricUnit::Number, 5e17), "+5.00e17");
        assert_eq!(margin(MetricUnit::Share, Margin::Absolute(0.01)), "1\u{a0}pt");
        assert_eq!(margin(MetricUnit::Microseconds, Margin::Relative(0.5)), "50\u{a0}% of champion");
        assert_eq!(
            [count(7), count(999), count(1_000), count(12_345_678)],
            ["7", "999", "1,000", "12,345,678"]
        );
    }
}
