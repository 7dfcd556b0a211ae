//! The sections of an audit document, in the order of the compliance profile. Each is made of evidence alone: what has none says so.

mod approval;
mod canary;
mod comparison;
mod explanations;
mod measured;
mod record;
mod shadow;

pub(crate) use shadow::skipped;

use seatrial_domain::adoption::NOT_COMPARED;
use seatrial_domain::compliance::{Profile, Section};
use serde::Serialize;

use crate::block::{Block, Gallery};
use crate::evidence::Evidence;

/// A section as the template shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SectionView {
    title: &'static str,
    /// The rule of the regulation that it answers to.
    rule: Option<String>,
    /// What the section answers, in a sentence.
    about: &'static str,
    blocks: Vec<Block>,
}

/// All sections of `profile`.
pub(crate) fn all(evidence: &Evidence, profile: &Profile, gallery: &mut Gallery) -> Vec<SectionView> {
    let of = |s: &seatrial_domain::compliance::SectionOf| {
        let (title, about) = heading(s.section);
        let blocks = blocks(s.section, evidence, gallery);
        SectionView { title, about, rule: s.rule.clone(), blocks }
    };
    profile.sections.iter().map(of).collect()
}

const fn heading(section: Section) -> (&'static str, &'static str) {
    match section {
        Section::Shadow => {
            ("Shadow evidence", "What both versions answered to the same live requests, unseen by callers.")
        }
        Section::Comparison => ("Comparison", "Every metric with its interval, its margin and its verdict."),
        Section::Fairness => ("Fairness", "How alike the groups of each protected attribute are treated."),
        Section::Calibration => ("Calibration", "Whether a score of 70 % comes true in 70 of 100 cases."),
        Section::Segments => ("Segments", "Whether anybody is worse off than the average shows."),
        Section::Drift => ("Drift", "How far live requests are from the rows that judged the model."),
        Section::Evaluation => (
            "Benchmark evaluation",
            "The held-out benchmark: what it is, how old, and how often it has judged.",
        ),
        Section::Explanations => ("Explanations", "Which columns the answers of both versions rest on."),
        Section::Approval => ("Approval", "Who decided, how they were known, when, why, and what they saw."),
        Section::Canary => ("Canary", "How callers met the new version, step by step, and what was seen."),
        Section::History => (
            "History",
            "The model's record up to the end of the promotion, each entry bound to the one before it.",
        ),
        Section::Manifest => ("Manifest", "Every object of the evidence with its SHA-256, as it was signed."),
    }
}

fn blocks(section: Section, evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    match section {
        Section::Shadow => shadow::blocks(evidence, gallery),
        Section::Comparison => comparison::blocks(evidence, gallery),
        Section::Fairness => measured::fairness(evidence),
        Section::Calibration => measured::calibration(evidence, gallery),
        Section::Segments => measured::segments(evidence, gallery),
        Section::Drift => measured::drift(evidence, gallery),
        Section::Evaluation => measured::evaluation(evidence, gallery),
        Section::Explanations => explanations::blocks(evidence, gallery),
        Section::Approval => approval::blocks(evidence),
        Section::Canary => canary::blocks(evidence, gallery),
        Section::History => record::history(evidence),
        Section::Manifest => record::manifest(evidence),
    }
}

/// Says that there is nothing to show, and why.
fn nothing(why: impl Into<String>) -> Vec<Block> {
    vec![Block::note("plain", "No evidence", why)]
}

/// Says that evidence which should be here cannot be shown.
fn withheld(why: impl Into<String>) -> Block {
    Block::note("bad", "Evidence is not as it should be", why)
}

/// The section of a report that cannot be shown: absent, or withheld.
fn no_report(evidence: &Evidence) -> Vec<Block> {
    use crate::evidence::Part;
    match &evidence.report {
        Part::Withheld(why) => vec![withheld(why.clone())],
        _ => unless_adopted(evidence, "No comparison report was made: the promotion ended before."),
    }
}

/// Says that there is nothing to show: because the version was adopted, or else for the reason given.
fn unless_adopted(evidence: &Evidence, why: &str) -> Vec<Block> {
    nothing(if evidence.is_adoption() { NOT_COMPARED } else { why })
}
