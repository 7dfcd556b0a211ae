//! The page of a report: what it says, and what it never holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::samples;

use seatrial_evidence::report::{FullAgreement, MetricGroup};
use seatrial_report::{page, remarks};

#[test]
fn every_kind_of_evidence_has_its_place() {
    let mut report = samples::report();
    let mut check = report.rows[0].clone();
    check.name = "contract_check".into();
    check.group = MetricGroup::Check;
    let mut plan = report.rows[0].clone();
    plan.name = "gate_self_test".into();
    plan.group = MetricGroup::Plan;
    report.rows.extend([check, plan]);
    let html = page::render(&report, Some(&samples::canary()), &[]).unwrap();
    let order = [
        "Look at this first",
        "The canary over time",
        "Held-out benchmark",
        "Checks of the model&#39;s owner",
        "contract check",
        "Shadow on live requests",
        "What the canary will be able to detect",
        "gate self test",
        "The same in pictures",
        "Which columns the answers rest on: class &gt;50K",
        "Exact, from the trees in its graph",
        "What the shadow saw",
    ];
    let mut from = 0;
    for heading in order {
        let at =
            html[from..].find(heading).unwrap_or_else(|| panic!("{heading:?} is missing or comes too early"));
        from += at;
    }
    assert!(!html.contains("How answers differ"), "the matrix of answers shows it");
}

#[test]
fn every_sentence_stands_in_the_page_whatever_the_pictures_show() {
    let report = samples::report();
    let html = page::render(&report, None, &[]).unwrap();
    for row in &report.rows {
        let why = seatrial_report::sentence(&row.why);
        assert!(html.contains(&why), "{why}");
    }
    assert!(!html.contains("The canary over time"));
}

#[test]
fn the_page_needs_no_script_no_inline_style_and_nothing_from_elsewhere() {
    let html = page::render(&samples::stress(), Some(&samples::stress_canary()), &[]).unwrap();
    for never in ["<script", " style=\"", "javascript:", "http://", "https://", "@import", "url("] {
        // The picture of the tab is data, and its namespace is a name and no address.
        let html = html.replace("http://www.w3.org/2000/svg", "").replace("xmlns='http:", "");
        assert!(!html.contains(never), "{never}");
    }
    assert_eq!(html.matches("<style>").count(), 1);
}

#[test]
fn full_agreement_is_said_in_a_sentence() {
    let mut report = samples::report();
    report.shadow.as_mut().unwrap().cause_of_full_agreement = Some(FullAgreement::OneSidedTraffic);
    let said =
        "Both versions agreed on every pair, because nearly all requests asked for one and the same answer.";
    assert!(page::render(&report, None, &[]).unwrap().contains(said));
    assert!(
        remarks(&report).iter().any(|r| r.heading == "Why all agree" && r.sentences[0].starts_with(said))
    );
    assert!(!page::render(&samples::report(), None, &[]).unwrap().contains("agreed on every pair"));
}

#[test]
fn remarks_put_the_worst_first() {
    let all = remarks(&samples::report());
    let headings: Vec<_> = all.iter().map(|r| r.heading).collect();
    assert_eq!(headings, ["Look at this first", "Good to know"]);
    assert!(
        all[0].sentences[0].starts_with("segment accuracy [education=Doctorate] (guardrail, acceptable: no)")
    );
    assert!(all[0].sentences.iter().all(|s| !s.contains("revenue")), "what is only shown needs no attention");
}

#[test]
fn a_report_without_anything_is_a_page_too() {
    let mut report = samples::report();
    report.rows.clear();
    report.charts = None;
    report.shadow = None;
    report.notes.clear();
    report.champion = None;
    report.explanations = None;
    let html = page::render(&report, None, &[]).unwrap();
    assert!(!html.contains("Which columns the answers rest on"));
    assert!(html.contains("as its first champion") && !html.contains("The same in pictures"));
    assert_eq!(remarks(&report), []);
}

/// `cargo run -p seatrial-report --example gallery -- DIR` draws it anew, as `chart-differences-1.svg`.
#[test]
fn the_picture_in_the_documentation_is_what_is_drawn_today() {
    let shown = include_str!("../../../docs/images/differences.svg");
    let figures = seatrial_report::charts::of_report(&samples::report());
    assert!(figures[0].file() == shown, "docs/images/differences.svg is out of date");
}
