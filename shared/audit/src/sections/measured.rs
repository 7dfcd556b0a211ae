//! Fairness, calibration, segments, drift, and the benchmark itself.

use std::collections::BTreeSet;

use seatrial_evidence::charts::ChartData;
use seatrial_evidence::evaluation::VersionSummary;
use seatrial_evidence::report::{ComparisonReport, MetricGroup, MetricRow, MetricUnit};
use seatrial_report::charts::of_report;
use seatrial_report::summary::{FAIRNESS, summary};
use seatrial_report::{numbers, times, words};
use seatrial_stats::fairness::GroupRates;

use super::comparison::{benchmark, metrics};
use super::shadow::{cell, only};
use super::{no_report, nothing, unless_adopted, withheld};
use crate::block::{Block, Cell, Gallery, Table, code, fact, figures, words as column};
use crate::evidence::{Evidence, Part};

fn is_fairness(row: &MetricRow) -> bool {
    FAIRNESS.contains(&row.name.as_str())
}

pub(super) fn fairness(evidence: &Evidence) -> Vec<Block> {
    let Some(report) = evidence.report.read() else { return no_report(evidence) };
    let mut blocks = Vec::new();
    if let Some(policy) = evidence.policy.read() {
        let answers = summary(report, policy, &report.bypasses);
        if let Some(said) = answers.into_iter().find(|a| a.question == "Fairness") {
            blocks.push(Block::Text { bits: said.bits.into_iter().map(Into::into).collect() });
        }
    }
    blocks.extend(metrics(report, "Gaps between the groups of each attribute", is_fairness));
    let (champion, challenger) = match evidence.evaluation.read() {
        Some(e) => (e.champion_summary.as_ref(), e.challenger_summary.as_ref()),
        None => (None, None),
    };
    let of = |side: Option<&VersionSummary>, attribute: &str| -> Vec<GroupRates> {
        side.and_then(|s| s.groups.get(attribute)).cloned().unwrap_or_default()
    };
    let attributes: BTreeSet<&String> =
        [champion, challenger].into_iter().flatten().flat_map(|s| s.groups.keys()).collect();
    for attribute in attributes {
        blocks.push(Block::Table(groups(attribute, &of(champion, attribute), &of(challenger, attribute))));
    }
    if blocks.is_empty() {
        return nothing("No protected attribute was compared.");
    }
    blocks
}

/// What happened to each group of an attribute, the champion's rates above the challenger's.
fn groups(attribute: &str, champion: &[GroupRates], challenger: &[GroupRates]) -> Table {
    let columns = vec![
        column("Group", 1.0),
        column("Version", 0.0),
        figures("Rows"),
        figures("Decided yes"),
        figures("True positive rate"),
        figures("False positive rate"),
        figures("Accuracy"),
    ];
    let mut table = Table::new(format!("Groups of {attribute}"), columns);
    let names: BTreeSet<&str> = champion.iter().chain(challenger).map(|g| g.group.as_str()).collect();
    let share = |rate: Option<f64>| cell(rate.map(|x| numbers::value(MetricUnit::Share, x)));
    for name in names {
        let mut first = true;
        for (version, side) in [("champion", champion), ("challenger", challenger)] {
            let Some(group) = side.iter().find(|g| g.group == name) else { continue };
            table.rows.push(vec![
                if std::mem::take(&mut first) { name.into() } else { Cell::default() },
                version.into(),
                numbers::count(group.n).into(),
                share(group.selection_rate),
                share(group.true_positive_rate),
                share(group.false_positive_rate),
                share(group.accuracy),
            ]);
        }
    }
    table
}

const CALIBRATION: [&str; 5] = ["ece", "brier", "log_loss", "calibration_slope", "calibration_intercept"];

pub(super) fn calibration(evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    let Some(report) = evidence.report.read() else { return no_report(evidence) };
    let about = |r: &MetricRow| CALIBRATION.contains(&r.name.as_str()) && r.segment.is_none();
    let mut blocks: Vec<Block> =
        metrics(report, "How far scores are from what came true", about).into_iter().collect();
    let charts = report.charts.as_ref();
    let drawn = charts.map(|c| ChartData { calibration: c.calibration.clone(), ..ChartData::default() });
    blocks.extend(gallery.show(of_report(&drawing(report, drawn))));
    if blocks.is_empty() {
        return nothing("Neither version gave scores that could be compared with what came true.");
    }
    blocks
}

pub(super) fn segments(evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    let Some(report) = evidence.report.read() else { return no_report(evidence) };
    let mut blocks = Vec::new();
    for group in words::GROUPS {
        let of = |r: &MetricRow| r.group == group && r.segment.is_some() && !is_fairness(r);
        blocks.extend(metrics(report, words::group_heading(group), of));
    }
    if blocks.is_empty() {
        return nothing("The policy names no segments, or none had rows enough to be compared.");
    }
    let rows = report.rows.iter().filter(|r| r.segment.is_some() && !is_fairness(r)).cloned().collect();
    let drawn = of_report(&ComparisonReport { rows, charts: None, ..report.clone() });
    blocks.extend(gallery.show(drawn.into_iter().filter(|f| f.id.starts_with("chart-segments")).collect()));
    blocks
}

pub(super) fn drift(evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    let Some(report) = evidence.report.read() else { return no_report(evidence) };
    let mut blocks = Vec::new();
    if let Some(shift) = report.offline.as_ref().and_then(|o| o.live_shift.as_ref()) {
        blocks.push(Block::text(words::sentence(shift)));
    }
    let charts = report.charts.as_ref();
    for bars in charts.map(|c| c.drift.as_slice()).unwrap_or_default() {
        let columns = vec![
            column("Column", 1.0),
            figures("Effect"),
            figures("Interval"),
            figures("Limit"),
            figures("Rows"),
            column("Acceptable", 0.0),
        ];
        let said = words::sentence(&format!("{} against {}: {}", bars.current, bars.reference, bars.measure));
        let mut table = Table::new(said.trim_end_matches('.'), columns);
        for bar in &bars.bars {
            let number = |x: f64| numbers::value(MetricUnit::Number, x);
            let tone = words::tone_of(bar.verdict).class();
            table.rows.push(vec![
                bar.feature.as_str().into(),
                number(bar.effect).into(),
                cell(bar.interval.map(|[low, high]| format!("{} to {}", number(low), number(high)))),
                cell(bar.limit.map(number)),
                numbers::count(bar.n).into(),
                Cell::from(words::acceptable(bar.verdict)).toned(tone),
            ]);
        }
        blocks.push(Block::Table(table));
        if bars.left_out > 0 {
            blocks.push(Block::text(format!(
                "{} more columns, all with smaller effects, are in the report.",
                numbers::count(bars.left_out)
            )));
        }
    }
    let drawn = charts.map(|c| ChartData { drift: c.drift.clone(), ..ChartData::default() });
    blocks.extend(gallery.show(of_report(&drawing(report, drawn))));
    if blocks.is_empty() {
        return nothing("No live request was compared with the benchmark: drift is not known.");
    }
    blocks
}

fn drawing(report: &ComparisonReport, charts: Option<ChartData>) -> ComparisonReport {
    ComparisonReport { rows: Vec::new(), charts, ..report.clone() }
}

pub(super) fn evaluation(evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    let evaluation = match &evidence.evaluation {
        Part::Read(evaluation) => evaluation,
        Part::Withheld(why) => return vec![withheld(why.clone())],
        Part::Absent => {
            let why = "The challenger was not evaluated on a benchmark: the promotion ended before.";
            return unless_adopted(evidence, why);
        }
    };
    let mut blocks = vec![Block::note(
        words::tone_of(evaluation.verdict).class(),
        words::verdict_word(evaluation.verdict),
        words::sentence(&evaluation.why),
    )];
    match &evaluation.benchmark {
        None => blocks.push(Block::text(
            "The model has no benchmark: the challenger was only tried on its own example.",
        )),
        Some(facts) => {
            if let Some(report) = evidence.report.read() {
                blocks.push(benchmark(report));
            }
            let mut rows = vec![
                code("Benchmark", facts.benchmark.to_string()),
                fact("Rows", numbers::count(facts.rows)),
            ];
            let started = evidence.record.read().map(|r| r.started_at);
            if let Some(set) = facts.set_at {
                let age =
                    started.map(|at| (at.as_second() - set.as_second()).max(0) as u64).map(times::duration);
                let age =
                    age.map_or_else(String::new, |age| format!(", {age} old when the promotion started"));
                rows.push(fact("In use since", format!("{}{age}", times::moment(set))));
            }
            if let Some(judged) = facts.judged_candidates {
                rows.push(fact("Candidates judged so far", numbers::count(judged)));
            }
            blocks.push(Block::facts(rows));
        }
    }
    blocks.extend(sides(evaluation.champion_summary.as_ref(), evaluation.challenger_summary.as_ref()));
    let notes: Vec<String> = evaluation.notes.iter().map(|n| words::sentence(n)).collect();
    if !notes.is_empty() {
        blocks.push(Block::List { items: notes });
    }
    if let Some(report) = evidence.report.read() {
        blocks.extend(gallery.show(of_report(&only(report, MetricGroup::Offline))));
    }
    blocks
}

/// Both versions on the benchmark.
fn sides(champion: Option<&VersionSummary>, challenger: Option<&VersionSummary>) -> Vec<Block> {
    let Some(challenger) = challenger else { return Vec::new() };
    let columns = vec![column("On the benchmark", 1.0), figures("Champion"), figures("Challenger")];
    let mut table = Table::new("Both versions on the same rows", columns);
    let mut row = |name: &str, of: &dyn Fn(&VersionSummary) -> Option<String>| {
        let (before, after) = (champion.and_then(of), of(challenger));
        if before.is_some() || after.is_some() {
            table.rows.push(vec![name.into(), cell(before), cell(after)]);
        }
    };
    let share = |x: f64| numbers::value(MetricUnit::Share, x);
    let number = |x: f64| numbers::value(MetricUnit::Number, x);
    row("Rows answered", &|s| Some(numbers::count(s.answered)));
    row("Rows that failed, counted as wrong", &|s| Some(numbers::count(s.errors.values().sum())));
    row("Accuracy", &|s| s.accuracy.map(share));
    row("Macro F1", &|s| s.macro_f1.map(share));
    row("Root mean squared error", &|s| s.values?.rmse.map(number));
    row("Mean absolute error", &|s| s.values?.mae.map(number));
    row("R²", &|s| s.values?.r2.map(number));
    for (place, name) in ["Latency p50", "Latency p95", "Latency p99"].into_iter().enumerate() {
        row(name, &|s| {
            s.latency_us
                .and_then(|l| l.get(place).copied())
                .map(|us| numbers::value(MetricUnit::Microseconds, us))
        });
    }
    vec![Block::Table(table)]
}
