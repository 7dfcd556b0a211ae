//! Every metric, judged.

use seatrial_evidence::report::{ComparisonReport, MetricRow};
use seatrial_report::charts::of_report;
use seatrial_report::evidence::{interval_heading, offline_caption};
use seatrial_report::rows::RowView;
use seatrial_report::words;

use super::no_report;
use crate::block::{Block, Gallery};
use crate::evidence::Evidence;

pub(super) fn blocks(evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    let Some(report) = evidence.report.read() else { return no_report(evidence) };
    let tone = words::tone_of(report.verdict).class();
    let mut blocks =
        vec![Block::note(tone, words::verdict_word(report.verdict), words::sentence(&report.why))];
    for group in words::GROUPS {
        let place = words::group_heading(group);
        let whole = |r: &MetricRow| r.group == group && r.segment.is_none();
        blocks.extend(metrics(report, place, whole));
    }
    if report.rows.is_empty() {
        blocks.push(Block::text("The report has no metric."));
    }
    let notes: Vec<String> = report.notes.iter().map(|n| words::sentence(n)).collect();
    if !notes.is_empty() {
        blocks.push(Block::heading("What else was noted"));
        blocks.push(Block::List { items: notes });
    }
    let whole = ComparisonReport {
        rows: report.rows.iter().filter(|r| r.segment.is_none()).cloned().collect(),
        charts: None,
        ..report.clone()
    };
    blocks.extend(gallery.show(of_report(&whole)));
    blocks
}

/// The rows that `keep` keeps as a table, if there are any.
pub(super) fn metrics(
    report: &ComparisonReport,
    caption: &str,
    keep: impl Fn(&MetricRow) -> bool,
) -> Option<Block> {
    let rows: Vec<_> = report.rows.iter().filter(|r| keep(r)).map(|r| RowView::new(r).into()).collect();
    let interval = interval_heading(report);
    (!rows.is_empty()).then(|| Block::Metrics { caption: caption.to_owned(), interval, rows })
}

/// What is known about the benchmark.
pub(super) fn benchmark(report: &ComparisonReport) -> Block {
    Block::text(offline_caption(report))
}
