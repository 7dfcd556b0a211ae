//! Numbers and times in sentences.

use crate::report::MetricUnit;

/// A share in percent, with as many digits as it needs to be told from zero.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent.abs() {
        p if p >= 1.0 => 1,
        p if p >= 0.1 || p == 0.0 => 2,
        _ => 3,
    };
    format!("{percent:.digits$} %")
}

/// A number of things, in groups of three digits.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time of so many seconds.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        7_200..172_800 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

/// Requests a second.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 10.0 { format!("{per_second:.0} a second") } else { format!("{per_second:.2} a second") }
}

/// A value in its unit.
pub(super) fn value(unit: MetricUnit, x: f64) -> String {
    match unit {
        MetricUnit::Share => percent(x),
        MetricUnit::Number => format!("{x:.4}"),
        MetricUnit::Microseconds => format!("{x:.0} µs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [percent(0.0), percent(0.5), percent(0.0025), percent(0.000_04)],
            ["0.00 %", "50.0 %", "0.25 %", "0.004 %"]
        );
        assert_eq!(
            [duration(7), duration(600), duration(9_000), duration(900_000)],
            ["7 s", "10 min", "3 h", "11 days"]
        );
    }
}
