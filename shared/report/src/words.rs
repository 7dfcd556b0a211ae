//! Words for verdicts, classes and states.

use seatrial_domain::gate::GateStatus;
use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_evidence::report::{MetricGroup, MetricRow};

/// A colour's meaning: a class of the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not known, or to be looked at.
    Unsure,
    /// Beyond what is allowed.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    /// The name of the class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unsure => "unsure",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }
}

/// How a verdict is to be taken.
#[must_use]
pub const fn tone_of(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Inconclusive => Tone::Unsure,
        Verdict::Fail => Tone::Bad,
    }
}

/// The verdict as a word for a banner.
#[must_use]
pub const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Pass",
        Verdict::Inconclusive => "Inconclusive",
        Verdict::Fail => "Fail",
    }
}

/// What a verdict means for whoever decides now.
#[must_use]
pub const fn advice(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Inconclusive => Some(
            "The evidence is not enough to say whether every rule holds. Approving takes that risk; rejecting harms nothing, and \
             the version can be tried again.",
        ),
        Verdict::Fail => Some("A guardrail is beyond what the policy allows."),
    }
}

/// Whether a row is acceptable, in a word.
#[must_use]
pub const fn acceptable(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "yes",
        Verdict::Inconclusive => "not known",
        Verdict::Fail => "no",
    }
}

/// What a row may cause, in a word.
#[must_use]
pub const fn class_word(class: MetricClass) -> &'static str {
    match class {
        MetricClass::Guardrail => "guardrail",
        MetricClass::Signal => "signal",
        MetricClass::Info => "info",
    }
}

/// How a gate stands, in words.
#[must_use]
pub const fn status_word(status: GateStatus) -> (&'static str, Tone) {
    match status {
        GateStatus::Pending => ("waits for a decision", Tone::Plain),
        GateStatus::Approved => ("approved", Tone::Good),
        GateStatus::Rejected => ("rejected", Tone::Bad),
        GateStatus::Expired => ("expired", Tone::Unsure),
        GateStatus::Cancelled => ("cancelled", Tone::Plain),
    }
}

/// Whether a row that is only shown is acceptable: its verdict decides nothing, so it is not coloured like one.
#[must_use]
pub fn shown_only(row: &MetricRow) -> &'static str {
    if row.margin.is_none() && row.limit.is_none() { "shown only" } else { acceptable(row.verdict) }
}

/// `text` as a sentence: with a capital and a full stop. A symbol such as `n = 14` keeps its case.
#[must_use]
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    let stop = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    if chars.as_str().starts_with(" =") {
        return format!("{text}{stop}");
    }
    format!("{}{}{stop}", first.to_uppercase(), chars.as_str())
}

/// A kind of evidence as a heading.
#[must_use]
pub const fn group_heading(group: MetricGroup) -> &'static str {
    match group {
        MetricGroup::Offline => "Held-out benchmark",
        MetricGroup::Check => "Checks of the model's owner",
        MetricGroup::Shadow => "Shadow on live requests",
        MetricGroup::Plan => "What the canary will be able to detect",
    }
}

/// Where a kind of evidence was seen.
#[must_use]
pub const fn group_place(group: MetricGroup) -> &'static str {
    match group {
        MetricGroup::Offline => "on the benchmark",
        MetricGroup::Check => "in the owner's checks",
        MetricGroup::Shadow => "in the shadow",
        MetricGroup::Plan => "in the canary's plan",
    }
}

/// Every kind of evidence, in the order of the promotion.
pub const GROUPS: [MetricGroup; 4] =
    [MetricGroup::Offline, MetricGroup::Check, MetricGroup::Shadow, MetricGroup::Plan];

/// A metric's name with its words apart: `latency_p99` is `latency p99`.
#[must_use]
pub fn metric_name(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_begin_and_end_as_sentences() {
        let cases = [
            ("all pass", "All pass."),
            ("Done.", "Done."),
            ("ökonomie", "Ökonomie."),
            ("  ", ""),
            ("why?", "Why?"),
            ("n = 14", "n = 14."),
        ];
        for (text, sentence_of_it) in cases {
            assert_eq!(sentence(text), sentence_of_it);
        }
    }
}
