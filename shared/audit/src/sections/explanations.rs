//! Which columns answers rest on.

use seatrial_evidence::charts::ChartData;
use seatrial_evidence::explanations::{Explanations, VersionExplanation};
use seatrial_evidence::report::{ComparisonReport, MetricUnit};
use seatrial_report::charts::of_report;
use seatrial_report::evidence::explanations;
use seatrial_report::{numbers, words};

use super::{no_report, nothing, withheld};
use crate::block::{Block, Cell, Gallery, Table, figures, words as column};
use crate::evidence::{Evidence, Part};

/// Rows that are shown one by one.
const EXAMPLES: usize = 3;
/// Columns that are shown of each.
const COLUMNS: usize = 5;

pub(super) fn blocks(evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    let Some(report) = evidence.report.read() else { return no_report(evidence) };
    let Some(facts) = &report.explanations else {
        return match evidence.policy.read().is_some_and(|p| p.explanations.is_some()) {
            true => vec![withheld(
                "The policy asks for explanations, and the report has none; its notes say why.",
            )],
            false => nothing("The policy does not ask which columns answers rest on."),
        };
    };
    let mut blocks = vec![Block::facts(explanations(facts).into_iter().map(Into::into).collect())];
    let charts = report.charts.as_ref();
    let drawn = charts.map(|c| ChartData { importances: c.importances.clone(), ..ChartData::default() });
    if let Some(importances) = charts.and_then(|c| c.importances.first()) {
        let columns = vec![
            column("Column", 1.0),
            figures("Champion"),
            figures("Challenger"),
            figures("95 % interval of the latter"),
        ];
        let share = |x: f64| numbers::value(MetricUnit::Share, x);
        let mut table = Table::new(format!("Each column's part in {}", importances.of), columns);
        for bar in &importances.bars {
            let interval = bar.challenger.or(bar.champion).map(|p| p.interval);
            table.rows.push(vec![
                bar.column.as_str().into(),
                bar.champion.map(|p| share(p.share)).into(),
                bar.challenger.map(|p| share(p.share)).into(),
                interval.map(|[low, high]| format!("{} to {}", share(low), share(high))).into(),
            ]);
        }
        blocks.push(Block::Table(table));
    }
    let report = ComparisonReport { rows: Vec::new(), charts: drawn, ..report.clone() };
    blocks.extend(gallery.show(of_report(&report)));
    match &evidence.explanations {
        Part::Read(document) => blocks.extend(examples(document)),
        Part::Withheld(why) => blocks.push(withheld(why.clone())),
        Part::Absent => {}
    }
    blocks
}

/// A few rows, each with the columns that moved its answer most.
fn examples(document: &Explanations) -> Vec<Block> {
    let mut blocks = Vec::new();
    let sides = [("champion", document.champion.as_ref()), ("challenger", document.challenger.as_ref())];
    let columns = vec![
        figures("Row"),
        column("Version", 0.0),
        column("What moved the answer most", 1.0),
        figures("From"),
        figures("To"),
    ];
    let said = "Rows of the benchmark, one by one: from the mean answer to the answer for the row";
    let mut table = Table::new(said, columns);
    for (place, number) in document.sample.rows.iter().enumerate().take(EXAMPLES) {
        let mut first = true;
        for (side, version) in sides {
            let Some(cells) = version.and_then(|v| example(side, v, place)) else { continue };
            let row =
                if std::mem::take(&mut first) { numbers::count(*number).into() } else { Cell::default() };
            table.rows.push(std::iter::once(row).chain(cells).collect());
        }
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    let notes: Vec<String> = document.notes.iter().map(|n| words::sentence(n)).collect();
    if !notes.is_empty() {
        blocks.push(Block::List { items: notes });
    }
    blocks
}

/// The first output of one row: the columns that moved it most, where it began, and where it came to.
fn example(side: &str, version: &VersionExplanation, place: usize) -> Option<Vec<Cell>> {
    let row = version.rows.get(place)?;
    let (values, output, expected) = (row.values.first()?, row.output.first()?, version.expected.first()?);
    let mut moved: Vec<(&String, f64)> = version.columns.iter().zip(values.iter().copied()).collect();
    moved.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then_with(|| a.0.cmp(b.0)));
    let said = moved
        .iter()
        .take(COLUMNS)
        .map(|(name, x)| format!("{name}\u{a0}{}", numbers::difference(MetricUnit::Number, *x)));
    let said: Vec<String> = said.collect();
    let number = |x: f64| numbers::value(MetricUnit::Number, x);
    Some(vec![side.into(), said.join(", ").into(), number(*expected).into(), number(*output).into()])
}
