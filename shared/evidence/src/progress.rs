//! Whether a shadow has seen enough, and how far it is. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_domain::ids::{PromotionId, VersionRef};
use seatrial_domain::policy::{Policy, Shadow};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::task::ShadowState;
use seatrial_stats::intervals::wilson;
use serde::{Deserialize, Serialize};

use crate::summary::Summary;

/// Confidence of every interval that is reported.
pub const CONFIDENCE: f64 = 0.95;

/// How far a shadow is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowProgress {
    /// The promotion.
    pub promotion: PromotionId,
    /// What is compared.
    pub challenger: VersionRef,
    /// When sampling began; none while it has not.
    pub opened_at: Option<Timestamp>,
    /// When it ended.
    pub closed_at: Option<Timestamp>,
    /// Pairs so far, each once.
    pub pairs: u64,
    /// Pairs needed.
    pub needed_pairs: u64,
    /// Answers of the champion by class.
    pub per_class: BTreeMap<String, ClassProgress>,
    /// The share of equal answers so far.
    pub agreement: Option<f64>,
    /// Pairs in which the challenger failed.
    pub challenger_errors: u64,
    /// Pairs that came more than once.
    pub duplicates: u64,
    /// The share of replays in which the champion answered what it really answered.
    pub fidelity: Option<f64>,
    /// Seconds until the window ends; 0 when it has.
    pub seconds_left: i64,
    /// What follows.
    pub state: ShadowState,
    /// One sentence: n seen, n needed.
    pub why: String,
}

/// Answers of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassProgress {
    /// Answers so far.
    pub seen: u64,
    /// Answers needed.
    pub needed: u64,
}

/// How far the shadow of `promotion` is at `now`, by its pinned policy.
#[must_use]
pub fn progress(
    promotion: &PromotionRecord,
    policy: &Policy,
    summary: &Summary,
    now: Timestamp,
) -> ShadowProgress {
    let rules = &policy.shadow;
    let opened_at = promotion.shadow.as_ref().map(|s| s.opened_at);
    let closed_at = promotion.shadow.as_ref().and_then(|s| s.closed_at);
    let elapsed = opened_at.map_or(0, |at| closed_at.unwrap_or(now).as_second() - at.as_second());
    let (state, why) = judge(rules, summary, elapsed);
    let window =
        if elapsed < i64::from(rules.window_seconds) { rules.window_seconds } else { rules.max_seconds };
    let running = opened_at.is_some() && closed_at.is_none();
    ShadowProgress {
        promotion: promotion.id.clone(),
        challenger: promotion.challenger.clone(),
        opened_at,
        closed_at,
        pairs: summary.pairs,
        needed_pairs: rules.min_pairs,
        per_class: summary
            .by_class
            .iter()
            .map(|(class, seen)| (class.clone(), ClassProgress { seen: *seen, needed: rules.min_per_class }))
            .collect(),
        agreement: summary.agreement.share(),
        challenger_errors: summary.challenger_errors(),
        duplicates: summary.duplicates,
        fidelity: summary.fidelity(),
        seconds_left: if running { (i64::from(window) - elapsed).max(0) } else { 0 },
        state,
        why: if opened_at.is_none() { format!("the shadow has not begun; {why}") } else { why },
    }
}

/// What follows from what was seen in `elapsed` seconds.
fn judge(rules: &Shadow, summary: &Summary, elapsed: i64) -> (ShadowState, String) {
    let (pairs, errors) = (summary.pairs, summary.challenger_errors());
    if let Some(bound) = wilson(errors, pairs, CONFIDENCE)
        && pairs >= rules.abort_min_pairs
        && errors as f64 / pairs as f64 > rules.abort_error_rate
        && bound.low > rules.abort_error_rate
    {
        let why = format!(
            "the challenger failed on {errors} of {pairs} pairs ({:.1} %, at least {:.1} % at 95 %); the policy allows {:.1} %",
            percent(errors, pairs),
            bound.low * 100.0,
            rules.abort_error_rate * 100.0
        );
        return (ShadowState::Abort, why);
    }
    let missing = missing(rules, summary);
    let seen = format!("{pairs} pairs seen of {} needed", rules.min_pairs);
    let (window, longest) = (i64::from(rules.window_seconds), i64::from(rules.max_seconds));
    match missing {
        None if elapsed >= window => {
            (ShadowState::Enough, format!("{seen} in {elapsed} s; every minimum is met"))
        }
        None => (ShadowState::More, format!("{seen}; {} s of the window are left", window - elapsed)),
        Some(what) if elapsed >= longest => {
            (ShadowState::Exhausted, format!("the longest shadow ({longest} s) is over: {what}"))
        }
        Some(what) => (ShadowState::More, format!("{what}; {} s are left at most", longest - elapsed)),
    }
}

/// The first minimum that is not met.
#[must_use]
pub fn missing(rules: &Shadow, summary: &Summary) -> Option<String> {
    if summary.pairs < rules.min_pairs {
        return Some(format!("{} pairs seen of {} needed", summary.pairs, rules.min_pairs));
    }
    if rules.min_per_class == 0 {
        return None;
    }
    if summary.by_class.len() < 2 {
        let only = summary.by_class.keys().next().map_or("no class", String::as_str);
        return Some(format!(
            "the champion answered only {only}; {} answers of each class are needed",
            rules.min_per_class
        ));
    }
    let (class, seen) = summary.by_class.iter().min_by_key(|(_, n)| **n)?;
    (*seen < rules.min_per_class)
        .then(|| format!("{seen} answers of class {class} seen of {} needed", rules.min_per_class))
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}
