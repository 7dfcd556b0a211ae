//! What the shadow saw.

use seatrial_domain::promotion::Stage;
use seatrial_evidence::charts::ChartData;
use seatrial_evidence::report::{ComparisonReport, MetricGroup, MetricRow, MetricUnit};
use seatrial_report::charts::of_report;
use seatrial_report::evidence::shadow;
use seatrial_report::{numbers, times};

use super::{no_report, nothing};
use crate::block::{Block, Cell, Gallery, Table, figures, words};
use crate::evidence::Evidence;

/// How many ways to differ are shown.
const SHOWN: usize = 20;

pub(super) fn blocks(evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    let mut blocks = skipped(evidence, Stage::Shadow);
    let Some(report) = evidence.report.read() else {
        blocks.extend(no_report(evidence));
        return blocks;
    };
    let Some(facts) = &report.shadow else {
        let why = match evidence.policy.read() {
            Some(policy) if !policy.shadow.enabled => "The policy asks for no shadow",
            _ => "There was no shadow",
        };
        blocks
            .extend(nothing(format!("{why}: this version had answered no live request when it was judged.")));
        return blocks;
    };
    let view = shadow(facts, false);
    blocks.push(Block::facts(view.facts.into_iter().map(Into::into).collect()));
    if let Some((why, tone)) = view.agreement {
        blocks.push(Block::note(tone, "Full agreement", why));
    }
    if !view.disagreement.is_empty() {
        let columns = vec![
            words("Champion says", 1.0),
            words("Challenger says", 1.0),
            figures("Pairs"),
            figures("Of all"),
        ];
        let mut table = Table::new("How answers differ, the most frequent first", columns);
        let kinds = view.disagreement.into_iter().zip(&facts.disagreement);
        for ((champion, challenger, n), raw) in kinds.take(SHOWN) {
            let share = (facts.pairs > 0)
                .then(|| numbers::value(MetricUnit::Share, raw.n as f64 / facts.pairs as f64));
            table.rows.push(vec![champion.into(), challenger.into(), n.into(), share.into()]);
        }
        blocks.push(Block::Table(table));
        if let Some(more) = facts.disagreement.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            blocks.push(Block::text(format!("{more} rarer ways to differ are in the report.")));
        }
    }
    let latency = |r: &MetricRow| {
        r.group == MetricGroup::Shadow
            && r.segment.is_none()
            && (r.name.starts_with("latency") || r.name == "error_rate")
    };
    blocks.extend(super::comparison::metrics(
        report,
        "Latency and errors of both versions on the same requests",
        latency,
    ));
    blocks.extend(gallery.show(of_report(&only(report, MetricGroup::Shadow))));
    blocks
}

/// The charts of one kind of evidence, calibration and drift left out: they have sections of their own.
pub(super) fn only(report: &ComparisonReport, group: MetricGroup) -> ComparisonReport {
    let charts = report.charts.as_ref().map(|c| ChartData {
        scores: c.scores.iter().filter(|d| d.group == group).cloned().collect(),
        latency: c.latency.iter().filter(|d| d.group == group).cloned().collect(),
        answers: c.answers.iter().filter(|d| d.group == group).cloned().collect(),
        crossings: c.crossings.iter().filter(|d| d.group == group).cloned().collect(),
        coverage: if group == MetricGroup::Shadow { c.coverage.clone() } else { Vec::new() },
        ..ChartData::default()
    });
    ComparisonReport { rows: Vec::new(), charts, ..report.clone() }
}

/// A note for a stage that an operator skipped.
pub(crate) fn skipped(evidence: &Evidence, stage: Stage) -> Vec<Block> {
    let recorded = evidence.record.read().map(|r| r.bypasses.as_slice()).unwrap_or_default();
    let reported = evidence.report.read().map(|r| r.bypasses.as_slice()).unwrap_or_default();
    let of = recorded.iter().chain(reported).find(|b| b.stage == stage);
    let note = |b: &seatrial_domain::promotion::Bypass| {
        let title = format!("The {} was skipped in an emergency", stage.as_str());
        Block::note("bad", title, format!("By {} on {}: {}", b.by.principal, times::moment(b.at), b.reason))
    };
    of.map(note).into_iter().collect()
}

/// A cell, or a dash.
pub(super) fn cell(value: Option<String>) -> Cell {
    value.into()
}
