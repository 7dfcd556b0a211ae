//! Times as people read them, always in UTC.

use jiff::Timestamp;

/// For example `21 Nov 2026, 10:05 UTC`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// For example `in 2 days 3 hours`, or `40 minutes ago`.
#[must_use]
pub fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second() - now.as_second();
    let size = seconds.unsigned_abs();
    // Nobody plans by the second what is minutes away.
    let words = duration(if size < 60 { size } else { (size + 30) / 60 * 60 });
    if seconds >= 0 { format!("in {words}") } else { format!("{words} ago") }
}

/// For example `2 days 3 hours`: the two largest units.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let units = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let first = units.iter().position(|(n, _)| *n > 0).unwrap_or(units.len() - 1);
    let word = |(n, unit): &(u64, &str)| format!("{n} {unit}{}", if *n == 1 { "" } else { "s" });
    let shown: Vec<_> = units
        .iter()
        .skip(first)
        .take(2)
        .enumerate()
        .filter(|(i, (n, _))| *i == 0 || *n > 0)
        .map(|(_, u)| word(u))
        .collect();
    shown.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_name_their_two_largest_units() {
        let cases = [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (3_660, "1 hour 1 minute"),
            (86_400, "1 day"),
            (183_600, "2 days 3 hours"),
            (86_460, "1 day"),
        ];
        for (seconds, words) in cases {
            assert_eq!(duration(seconds), words);
        }
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(distance(at(100), at(40)), "in 1 minute");
        assert_eq!(distance(at(40), at(100)), "1 minute ago");
        assert_eq!(distance(at(640), at(41)), "in 10 minutes");
        assert_eq!(moment(at(1_795_255_500)), "21 Nov 2026, 10:05 UTC");
    }
}
