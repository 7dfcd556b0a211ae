//! What a card says in one line: a measured value, a decision, a name.

use seatrial_domain::compliance::ProfileName;
use seatrial_domain::gate::Decision;
use seatrial_domain::verdict::MetricClass;
use seatrial_evidence::report::MetricRow;

use crate::markdown::{code, text};
use crate::{numbers, times, words};

/// The name of a setting under `prefix`: `inputs[age]` is `age`.
pub(super) fn named<'a>(path: &'a str, prefix: &str) -> &'a str {
    let rest = path.strip_prefix(prefix).unwrap_or(path);
    let name = rest.strip_prefix('.').or_else(|| rest.strip_prefix('[')?.strip_suffix(']'));
    name.unwrap_or(path)
}

/// A decision in a line: who, how they were known, when and why.
pub(super) fn decided(decision: &Decision) -> String {
    let what = if decision.approve { "Approved" } else { "Rejected" };
    let how = match (decision.emergency, decision.automatic, decision.self_approval) {
        (true, ..) => ", in an emergency",
        (_, true, _) => ", by itself",
        (_, _, true) => ", who had submitted it",
        _ => "",
    };
    let lent = decision.on_behalf_of.as_deref().map(|of| format!(", for {}", text(of))).unwrap_or_default();
    format!(
        "{what} by {}{lent}{how} on {} ({}): {}",
        text(&decision.by.principal),
        times::moment(decision.at),
        decision.by.auth.as_str(),
        text(&decision.comment)
    )
}

pub(super) const HEADING: [&str; 7] =
    ["Metric", "This version", "Champion", "Difference", "Interval", "Rows", "Verdict"];

/// A row of a table of measured values. The interval is that of the difference, or of the value where there is no champion.
pub(super) fn measured(row: &MetricRow) -> [String; 7] {
    let shown = |x: Option<f64>| x.map_or_else(|| numbers::NONE.to_owned(), |x| numbers::value(row.unit, x));
    let end = |x: f64| match row.champion {
        Some(_) => numbers::difference(row.unit, x),
        None => numbers::value(row.unit, x),
    };
    let name = match &row.segment {
        None => text(&words::metric_name(&row.name)),
        Some(segment) => format!("{}, {}", text(&words::metric_name(&row.name)), text(segment)),
    };
    let confidence =
        row.confidence.map(|c| format!(" ({})", numbers::percent(c * 100.0))).unwrap_or_default();
    let verdict = match row.class {
        MetricClass::Info => "shown only".to_owned(),
        class => format!("{}, {}", words::verdict_word(row.verdict).to_lowercase(), words::class_word(class)),
    };
    [
        name,
        shown(row.challenger),
        shown(row.champion),
        row.delta.map_or_else(|| numbers::NONE.to_owned(), |d| numbers::difference(row.unit, d)),
        row.interval.map_or_else(
            || numbers::NONE.to_owned(),
            |[low, high]| format!("{} to {}{confidence}", end(low), end(high)),
        ),
        numbers::count(row.n),
        verdict,
    ]
}

/// The profile in words.
pub(super) fn standing(profile: ProfileName) -> String {
    match profile {
        ProfileName::Default => "good practice; no regulation is named".to_owned(),
        other => format!("{}: {}", code(other.as_str()), text(&other.profile().about)),
    }
}
