//! What a report says, as pages show it: tables of judged rows, pictures, notes, and what the shadow saw.

use seatrial_evidence::explanations::ExplanationFacts;
use seatrial_evidence::report::{ComparisonReport, FullAgreement, MetricGroup, MetricUnit, ShadowFacts};

use crate::charts::{self, Table};
use crate::rows::GroupView;
use crate::words::Tone;
use crate::{numbers, times, words};

/// The evidence of one report.
pub(crate) struct EvidenceView {
    /// The challenger's number.
    pub(crate) challenger: String,
    /// The champion's number; none for a first version.
    pub(crate) champion: Option<String>,
    /// The heading of intervals.
    pub(crate) interval: String,
    pub(crate) groups: Vec<Evidence>,
    pub(crate) figures: Vec<FigureView>,
    pub(crate) notes: Vec<String>,
    pub(crate) shadow: Option<ShadowView>,
    /// How it was found which columns answers rest on; empty where nobody asked.
    pub(crate) explanations: Vec<Fact>,
}

/// The rows of one kind of evidence.
pub(crate) struct Evidence {
    pub(crate) id: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) caption: String,
    pub(crate) rows: GroupView,
}

/// A chart: its pictures are markup of our own making, in which every text is escaped.
pub(crate) struct FigureView {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) wide: bool,
    pub(crate) pictures: Vec<String>,
    pub(crate) table: Table,
}

impl FigureView {
    pub(crate) fn new(figure: &charts::Figure) -> Self {
        Self {
            id: figure.id.clone(),
            title: figure.title().to_owned(),
            wide: figure.wide.is_some(),
            pictures: figure.inline(),
            table: figure.table().clone(),
        }
    }
}

/// A named value.
pub struct Fact {
    /// What.
    pub name: &'static str,
    /// Its value, as text.
    pub value: String,
    /// Whether it is a digest or a key rather than words.
    pub code: bool,
}

/// A named value in words.
pub(crate) fn fact(name: &'static str, value: impl Into<String>) -> Fact {
    Fact { name, value: value.into(), code: false }
}

/// What the shadow saw.
pub struct ShadowView {
    /// Why both versions agree on everything, where they do, and how that is to be taken.
    pub agreement: Option<(String, &'static str)>,
    /// When, how much, and how far both agree.
    pub facts: Vec<Fact>,
    /// The champion's answer, the challenger's, and how often.
    pub disagreement: Vec<(String, String, String)>,
}

impl EvidenceView {
    pub(crate) fn new(report: &ComparisonReport) -> Self {
        // The matrix of answers shows the same and more.
        let pictured =
            report.charts.as_ref().is_some_and(|c| c.answers.iter().any(|a| a.group == MetricGroup::Shadow));
        Self {
            challenger: report.challenger.version.to_string(),
            champion: report.champion.as_ref().map(|c| c.version.to_string()),
            interval: interval_heading(report),
            groups: groups(report),
            figures: charts::of_report(report).iter().map(FigureView::new).collect(),
            notes: report.notes.iter().map(|n| words::sentence(n)).collect(),
            shadow: report.shadow.as_ref().map(|facts| shadow(facts, pictured)),
            explanations: report.explanations.as_ref().map(explanations).unwrap_or_default(),
        }
    }
}

/// The heading of the intervals, with their confidence where all have the same.
#[must_use]
pub fn interval_heading(report: &ComparisonReport) -> String {
    let mut confidences = report.rows.iter().filter(|r| r.interval.is_some()).filter_map(|r| r.confidence);
    match confidences.next() {
        Some(first) if confidences.all(|c| (c - first).abs() < 1e-9) => {
            format!("{} interval", numbers::percent(first * 100.0))
        }
        _ => "Interval".into(),
    }
}

fn groups(report: &ComparisonReport) -> Vec<Evidence> {
    let all = words::GROUPS.map(|group| {
        let (id, caption) = match group {
            MetricGroup::Offline => ("benchmark", offline_caption(report)),
            MetricGroup::Check => (
                "checks",
                "Programs that the policy names tried the packaged version, before any caller met it.".into(),
            ),
            MetricGroup::Shadow => (
                "live",
                "Both versions answered the same live requests; callers saw only the champion's answers.".into(),
            ),
            MetricGroup::Plan => (
                "plan",
                "Whether the canary's steps are long enough, at the traffic seen, to notice what the policy wants noticed."
                    .into(),
            ),
        };
        Evidence { id, heading: words::group_heading(group), caption, rows: GroupView::new(&report.rows, group) }
    });
    all.into_iter().filter(|g| !g.rows.is_empty()).collect()
}

/// What is known about the benchmark, in sentences.
#[must_use]
pub fn offline_caption(report: &ComparisonReport) -> String {
    let Some(facts) = &report.offline else {
        return "The model has no benchmark.".into();
    };
    let mut text = format!("{} rows that no training saw", numbers::count(facts.rows));
    if let Some(at) = facts.set_at {
        text.push_str(&format!(", in use since {}", times::moment(at)));
    }
    let judged = match facts.judged_candidates {
        None => String::new(),
        Some(1) => ". It judges its first candidate".to_owned(),
        Some(n) => format!(". It has judged {} candidates, this one included", numbers::count(n)),
    };
    text.push_str(&judged);
    text.push('.');
    if let Some(shift) = &facts.live_shift {
        text.push(' ');
        text.push_str(shift);
    }
    text
}

/// What is known about a shadow; without its disagreement where a picture shows it.
#[must_use]
pub fn shadow(facts: &ShadowFacts, pictured: bool) -> ShadowView {
    let closed = facts.closed_at.map_or_else(|| "still open".to_owned(), times::moment);
    let early = if facts.stopped_early { ", ended early by a person" } else { "" };
    let mut list = vec![
        fact("From", times::moment(facts.opened_at)),
        fact("To", format!("{closed}{early}")),
        fact("Pairs", numbers::count(facts.pairs)),
    ];
    if facts.duplicates > 0 {
        list.push(fact("Duplicates, counted once", numbers::count(facts.duplicates)));
    }
    if let Some(f) = facts.fidelity {
        list.push(fact(
            "Replay fidelity",
            format!("{} of {} checked", numbers::value(MetricUnit::Share, f.share), numbers::count(f.n)),
        ));
    }
    if let Some(share) = facts.agreement {
        list.push(fact("Agreement", numbers::value(MetricUnit::Share, share)));
    }
    let answer = |a: &Option<String>| a.clone().unwrap_or_else(|| "failed".to_owned());
    let listed = if pictured { &[] } else { facts.disagreement.as_slice() };
    let disagreement =
        listed.iter().map(|d| (d.champion.clone(), answer(&d.challenger), numbers::count(d.n))).collect();
    ShadowView { agreement: facts.cause_of_full_agreement.map(full_agreement), facts: list, disagreement }
}

/// How it was found which columns answers rest on.
#[must_use]
pub fn explanations(facts: &ExplanationFacts) -> Vec<Fact> {
    let code = |name, value: String| Fact { name, value, code: true };
    let said = |name, how: &Option<String>| how.as_ref().map(|how| fact(name, words::sentence(how)));
    let mut list: Vec<Fact> = [said("Challenger", &facts.challenger), said("Champion", &facts.champion)]
        .into_iter()
        .flatten()
        .collect();
    list.push(fact("Rows explained", format!("{} of the benchmark", numbers::count(facts.rows))));
    list.push(fact(
        "Against",
        format!("{} rows of the challenger's training sample", numbers::count(facts.background)),
    ));
    list.push(code("Training sample", facts.reference.to_string()));
    list.push(code("Values of each row", facts.object.key.clone()));
    list.push(code("Their SHA-256", facts.object.digest.to_string()));
    list
}

/// Why two versions that agree on everything do, in a sentence, and how it is to be taken.
pub(crate) fn full_agreement(cause: FullAgreement) -> (String, &'static str) {
    let (why, tone) = match cause {
        FullAgreement::SameDigest => (
            "because both are the same bytes. They cannot differ, so the comparison says nothing about a change.",
            Tone::Unsure,
        ),
        FullAgreement::OneSidedTraffic => (
            "because nearly all requests asked for one and the same answer. Agreement on such traffic says little.",
            Tone::Unsure,
        ),
        FullAgreement::TrulyEqual => {
            ("and requests asked for several answers: on this traffic they are truly equal.", Tone::Plain)
        }
    };
    (format!("Both versions agreed on every pair, {why}"), tone.class())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_agreement_is_explained_in_a_sentence() {
        let said = |cause| full_agreement(cause);
        assert!(said(FullAgreement::SameDigest).0.contains("the same bytes"));
        assert_eq!(said(FullAgreement::OneSidedTraffic).1, "unsure");
        assert_eq!(said(FullAgreement::TrulyEqual).1, "plain");
    }
}
