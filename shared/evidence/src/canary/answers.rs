//! The canary's answers beside the challenger's own answers in the concurrent shadow. A better model should differ from the
//! champion: that distance is shown, never judged.

use seatrial_domain::promotion::CanaryStep;
use seatrial_stats::multinomial::{AnswerSequence, State, planned_answers};

use super::counts::Counts;
use super::history::Classes;
use super::judge::{Scene, StepCounts};
use super::row::{CanaryRow, RowState, Watched};
use super::words::{count, percent};
use crate::report::MetricUnit;

/// Evidence over time: seconds (Unix) and logarithms of e-values.
pub(super) type Looks = Vec<(i64, f64)>;

/// The sequence over all slots that are over, with what it said after each.
fn sequence(counts: &Counts, steps: &[CanaryStep], watermark: i64) -> (AnswerSequence, Looks) {
    let history = &counts.history;
    let (mut sequence, mut looks) = (AnswerSequence::default(), Vec::new());
    let nothing = Classes::new();
    let mut starts: Vec<i64> =
        history.slots.keys().map(|(from, _)| *from).chain(history.shadow.keys().copied()).collect();
    starts.sort_unstable();
    starts.dedup();
    for from in starts.into_iter().filter(|from| from + history.width() <= watermark) {
        let mut shadow = history.shadow.get(&from).unwrap_or(&nothing);
        // The shadow's answers of a slot belong to the step in which the slot ends; a slot that two steps share is pushed twice.
        let last = steps.iter().rposition(|step| step.at.as_second() < from + history.width()).unwrap_or(0);
        for (place, step) in steps.iter().enumerate() {
            let canary = history.slots.get(&(from, step.weight)).map_or(&nothing, |slot| &slot.classes);
            let beside = if place == last { std::mem::replace(&mut shadow, &nothing) } else { &nothing };
            if !canary.is_empty() || !beside.is_empty() {
                sequence.push(place as u32, canary, beside);
            }
        }
        looks.push((from + history.width(), sequence.log_e()));
    }
    (sequence, looks)
}

pub(super) fn row(watched: &Watched<'_>, scene: &Scene<'_>) -> (CanaryRow, Looks) {
    let blank = CanaryRow::of(watched, MetricUnit::Share);
    let Some(now) = scene.steps.last() else { return (blank, Looks::new()) };
    let (sequence, looks) = sequence(scene.counts, scene.taken, scene.watermark);
    let margin = watched.margin();
    let Some(judged) = sequence.judgement(margin, watched.alpha) else { return (blank, looks) };
    let threshold = -watched.alpha.ln();
    let classes = now.canary.classes.len().max(2) as u32;
    let planned = (judged.shadow_n > 0 && judged.canary_n > 0)
        .then(|| {
            planned_answers(classes, margin, watched.alpha, judged.shadow_n as f64 / judged.canary_n as f64)
        })
        .flatten();
    let from_champion = distance(&now.champion.classes, &now.canary.classes)
        .map_or_else(String::new, |distance| {
            format!("; from the champion's answers they differ by {}", percent(distance))
        });
    let seen = format!(
        "{} answers of the challenger at {} beside {} of its own in the concurrent shadow",
        count(judged.canary_n),
        now.weight,
        count(judged.shadow_n)
    );
    let apart = judged.corrected.map_or_else(
        || "no distance yet".to_owned(),
        |corrected| {
            let upper = judged.upper.unwrap_or(1.0);
            format!("they differ by {}, at most {}", percent(corrected), percent(upper))
        },
    );
    let (state, why) = match judged.state {
        State::Different => {
            let why = format!(
                "the challenger answers otherwise than in its shadow: {seen}; {apart}, more than {} (log e-value {:.2}, \
                 rejected from {threshold:.2}){from_champion}",
                percent(margin),
                judged.log_e
            );
            (RowState::Rejected, why)
        }
        State::Alike => {
            (RowState::NonInferior, format!("{seen}; {apart}, within {}{from_champion}", percent(margin)))
        }
        State::NotYetKnown if planned.is_some_and(|n| judged.canary_n >= n) => {
            let why = format!(
                "{seen}; {apart}; not rejected at the planned {} answers{from_champion}",
                count(judged.canary_n)
            );
            (RowState::AtPlannedN, why)
        }
        State::NotYetKnown => {
            let left = match planned {
                _ if no_classes(now) => "; the versions answer no classes".to_owned(),
                _ if judged.shadow_n == 0 => {
                    "; nothing is replayed during the canary, or nothing yet".to_owned()
                }
                Some(n) => format!("; {}", scene.traffic.progress(judged.canary_n, n, "planned answers")),
                None => String::new(),
            };
            (
                RowState::NotYetKnown,
                format!("{seen}; {apart}, the margin is {}{left}{from_champion}", percent(margin)),
            )
        }
    };
    let row = CanaryRow {
        state,
        log_e: Some(judged.log_e),
        estimate: judged.corrected,
        upper: judged.upper,
        n: judged.canary_n.saturating_add(judged.shadow_n),
        n_needed: planned,
        seconds_left: planned.and_then(|n| scene.traffic.seconds_until(judged.canary_n, n)),
        why,
        ..blank
    };
    (row, looks)
}

fn no_classes(step: &StepCounts) -> bool {
    step.canary.classes.is_empty() && step.champion.classes.is_empty() && step.canary.requests > 0
}

/// The total-variation distance of two samples of answers; none where one is empty.
fn distance(a: &Classes, b: &Classes) -> Option<f64> {
    let total = |classes: &Classes| classes.values().map(|n| *n as f64).sum::<f64>();
    let (n, m) = (total(a), total(b));
    if n == 0.0 || m == 0.0 {
        return None;
    }
    let share =
        |classes: &Classes, class: &String, n: f64| classes.get(class).copied().unwrap_or(0) as f64 / n;
    let mut all: Vec<&String> = a.keys().chain(b.keys()).collect();
    all.sort_unstable();
    all.dedup();
    Some(all.into_iter().map(|class| (share(a, class, n) - share(b, class, m)).abs()).sum::<f64>() / 2.0)
}
