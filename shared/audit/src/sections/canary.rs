//! How callers met the challenger.

use seatrial_domain::promotion::{PromotionStatus, Stage};
use seatrial_domain::task::HealthState;
use seatrial_evidence::canary::{CanaryRow, Judgement, RowState};
use seatrial_report::charts::canary_figure;
use seatrial_report::{numbers, times, words};

use super::shadow::skipped;
use super::{nothing, withheld};
use crate::block::{Block, Cell, Gallery, Table, figures, words as column};
use crate::evidence::{Evidence, Part};

pub(super) fn blocks(evidence: &Evidence, gallery: &mut Gallery) -> Vec<Block> {
    let mut blocks = skipped(evidence, Stage::Canary);
    let taken = evidence.record.read().map(|r| r.steps.as_slice()).unwrap_or_default();
    if taken.is_empty() && evidence.steps.is_empty() {
        if let Part::Withheld(why) = &evidence.record {
            blocks.push(withheld(why.clone()));
        } else {
            blocks.extend(nothing(never(evidence)));
        }
        return blocks;
    }
    let columns = vec![
        figures("Step"),
        figures("Callers"),
        column("Began", 1.0),
        column("Judged", 1.0),
        figures("Champion's requests"),
        figures("Challenger's requests"),
        column("Found", 0.0),
    ];
    let mut table = Table::new("The steps", columns);
    let steps = (taken.len() as u32).max(evidence.steps.keys().next_back().map_or(0, |last| last + 1));
    for number in 0..steps {
        let judged = evidence.steps.get(&number).and_then(Part::read);
        let began =
            taken.get(number as usize).map(|s| (s.weight, s.at)).or(judged.map(|j| (j.weight, j.since)));
        let counted = judged.and_then(|j| j.steps.get(number as usize));
        let (found, tone) = judged.map_or(("not judged", "unsure"), |j| state(j.state));
        table.rows.push(vec![
            (number + 1).to_string().into(),
            began.map(|(w, _)| numbers::percent(w.fraction() * 100.0)).into(),
            began.map(|(_, at)| times::moment(at)).into(),
            judged.map(|j| times::moment(j.judged_at)).into(),
            counted.map(|c| numbers::count(c.champion.requests)).into(),
            counted.map(|c| numbers::count(c.canary.requests)).into(),
            Cell::from(found).toned(tone),
        ]);
    }
    blocks.push(Block::Table(table));
    for (number, step) in &evidence.steps {
        match step {
            Part::Read(judgement) => blocks.extend(judged(*number, judgement)),
            Part::Withheld(why) => blocks.push(withheld(why.clone())),
            Part::Absent => {}
        }
    }
    let last = evidence.steps.values().rev().find_map(Part::read);
    if let Some(figure) = last.and_then(|j| canary_figure(&j.chart)) {
        blocks.extend(gallery.show(vec![figure]));
    }
    blocks
}

/// Why there was no canary.
fn never(evidence: &Evidence) -> String {
    let about = evidence.about();
    let crowned = about.as_ref().is_some_and(|a| a.status == Some(PromotionStatus::Crowned));
    match about {
        Some(a) if crowned && a.champion.is_none() => {
            "The model's first version has no champion to share callers with: it served everybody at once."
                .into()
        }
        Some(a) if a.status == Some(PromotionStatus::Adopted) => {
            "The version served already when it was adopted: no callers were moved to it.".into()
        }
        _ if crowned => "The challenger became champion without a step of a canary on record.".into(),
        _ => "No caller met the challenger: the promotion ended before its canary.".into(),
    }
}

fn judged(number: u32, judgement: &Judgement) -> Vec<Block> {
    let (_, tone) = state(judgement.state);
    let title =
        format!("Step {}, {} of callers", number + 1, numbers::percent(judgement.weight.fraction() * 100.0));
    let columns = vec![
        column("Metric", 1.0),
        figures("Champion"),
        figures("Challenger"),
        figures("Difference"),
        figures("Bound at every look"),
        figures("e-value"),
        figures("Always-valid p"),
        figures("n"),
        column("Found", 0.0),
    ];
    let mut table = Table::new("What was seen, with bounds and tests that hold at every look", columns);
    table.rows = judgement.metrics.iter().map(row).collect();
    let why = format!("{} {}", words::sentence(&judgement.why), words::sentence(&judgement.traffic.why));
    let mut blocks = vec![Block::heading(title), Block::note(tone, state_title(judgement.state), why)];
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    let said =
        judgement.notify.iter().chain(&judgement.notes).map(|n| words::sentence(n)).collect::<Vec<_>>();
    if !said.is_empty() {
        blocks.push(Block::List { items: said });
    }
    blocks
}

fn row(row: &CanaryRow) -> Vec<Cell> {
    let value = |x: Option<f64>| x.map(|x| numbers::value(row.unit, x));
    let difference = |x: f64| numbers::difference(row.unit, x);
    let bound = match (row.lower, row.upper) {
        (Some(low), Some(high)) => Some(format!("{} to {}", difference(low), difference(high))),
        (Some(low), None) => Some(format!("at least {}", difference(low))),
        (None, Some(high)) => Some(format!("at most {}", difference(high))),
        (None, None) => None,
    };
    let margin = row.margin.map(|m| format!("margin {}", numbers::margin(row.unit, m)));
    let found = found(row.state);
    let mut bounded = Cell::from(bound);
    bounded.below = margin;
    let mut e = Cell::from(row.log_e.map(|l| power(l.exp())));
    e.below = row.threshold.map(|t| format!("rejects at {}", power(t.exp())));
    let n = numbers::count(row.n);
    let name = Cell::from(words::metric_name(&row.name)).below(words::class_word(row.class));
    vec![
        name,
        value(row.champion).into(),
        value(row.challenger).into(),
        row.estimate.map(difference).into(),
        bounded,
        e,
        row.log_e.map(|l| power((-l).exp().min(1.0))).into(),
        row.n_needed.map_or(n.clone(), |needed| format!("{n} of {}", numbers::count(needed))).into(),
        Cell::from(found.0).toned(found.1),
    ]
}

/// A positive number of any size in few digits.
fn power(x: f64) -> String {
    match x {
        x if !x.is_finite() => "beyond all numbers".into(),
        x if (0.001..1_000.0).contains(&x) => format!("{x:.3}"),
        x => format!("{x:.1e}").replace('-', "−"),
    }
}

const fn found(state: RowState) -> (&'static str, &'static str) {
    match state {
        RowState::Rejected => ("harm", "bad"),
        RowState::NonInferior => ("no worse", "good"),
        RowState::AtPlannedN => ("no harm at planned n", "good"),
        RowState::NotYetKnown => ("not known", "unsure"),
        RowState::Shown => ("shown only", "plain"),
    }
}

const fn state(state: HealthState) -> (&'static str, &'static str) {
    match state {
        HealthState::Healthy => ("healthy", "good"),
        HealthState::Degraded => ("degraded", "bad"),
        HealthState::NotYetKnown => ("not yet known", "unsure"),
        HealthState::Exhausted => ("not known in time", "unsure"),
        HealthState::Skipped => ("skipped", "bad"),
    }
}

fn state_title(of: HealthState) -> String {
    words::sentence(state(of).0).trim_end_matches('.').to_owned()
}
