//! Whether a shadow has seen enough, and how far it is. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_domain::ids::{PromotionId, VersionRef};
use seatrial_domain::policy::{Policy, Shadow, Task};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::task::ShadowState;
use seatrial_stats::intervals::wilson;
use serde::{Deserialize, Serialize};

use crate::shadow_tally::ShadowTally;

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
    /// Pairs so far, by the replays' own counts. One that came again in another batch is counted again: copies are removed
    /// when the evidence is frozen.
    pub pairs: u64,
    /// Pairs needed.
    pub needed_pairs: u64,
    /// Answers of the champion by class.
    pub per_class: BTreeMap<String, ClassProgress>,
    /// The share of equal answers so far.
    pub agreement: Option<f64>,
    /// Pairs in which the challenger failed.
    pub challenger_errors: u64,
    /// How many pairs came in a minute, over the time since sampling began.
    #[serde(default)]
    pub pairs_per_minute: Option<f64>,
    /// Seconds until every minimum is met at that pace; 0 when it is. None while nothing came, or while a class never came.
    #[serde(default)]
    pub seconds_until_enough: Option<i64>,
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

/// How far the shadow of `promotion` is at `now`, by its pinned policy and what its replays counted.
#[must_use]
pub fn progress(
    promotion: &PromotionRecord,
    policy: &Policy,
    seen: &ShadowTally,
    now: Timestamp,
) -> ShadowProgress {
    let rules = &policy.shadow;
    let opened_at = promotion.shadow.as_ref().map(|s| s.opened_at);
    let closed_at = promotion.shadow.as_ref().and_then(|s| s.closed_at);
    let elapsed = opened_at.map_or(0, |at| closed_at.unwrap_or(now).as_second() - at.as_second());
    let missing = missing(policy, seen.pairs, &seen.by_class);
    let pace = (elapsed > 0 && seen.pairs > 0).then(|| seen.pairs as f64 / elapsed as f64);
    let until_enough = match &missing {
        None => Some(0),
        Some(missing) => pace.and_then(|pace| missing.seconds(pace, seen.pairs)),
    };
    let (state, why) = judge(rules, seen, missing.as_ref(), until_enough, elapsed);
    let window =
        if elapsed < i64::from(rules.window_seconds) { rules.window_seconds } else { rules.max_seconds };
    let running = opened_at.is_some() && closed_at.is_none();
    ShadowProgress {
        promotion: promotion.id.clone(),
        challenger: promotion.challenger.clone(),
        opened_at,
        closed_at,
        pairs: seen.pairs,
        needed_pairs: rules.min_pairs,
        per_class: seen
            .by_class
            .iter()
            .map(|(class, seen)| (class.clone(), ClassProgress { seen: *seen, needed: rules.min_per_class }))
            .collect(),
        agreement: seen.agreement.share(),
        challenger_errors: seen.challenger_errors(),
        pairs_per_minute: pace.map(|pace| pace * 60.0),
        seconds_until_enough: until_enough,
        fidelity: seen.fidelity(),
        seconds_left: if running { (i64::from(window) - elapsed).max(0) } else { 0 },
        state,
        why: if opened_at.is_none() { format!("the shadow has not begun; {why}") } else { why },
    }
}

/// What follows from what was seen in `elapsed` seconds.
fn judge(
    rules: &Shadow,
    seen: &ShadowTally,
    missing: Option<&Missing>,
    until_enough: Option<i64>,
    elapsed: i64,
) -> (ShadowState, String) {
    let (pairs, errors) = (seen.pairs, seen.challenger_errors());
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
    let (window, longest) = (i64::from(rules.window_seconds), i64::from(rules.max_seconds));
    let Some(missing) = missing else {
        let seen = format!("{pairs} pairs seen of {} needed", rules.min_pairs);
        return if elapsed >= window {
            (ShadowState::Enough, format!("{seen} in {elapsed} s; every minimum is met"))
        } else {
            (ShadowState::More, format!("{seen}; {} s of the window are left", window - elapsed))
        };
    };
    if elapsed >= longest {
        return (ShadowState::Exhausted, format!("the longest shadow ({longest} s) is over: {missing}"));
    }
    let left = longest - elapsed;
    let pace = pairs as f64 * 60.0 / elapsed.max(1) as f64;
    let outlook = match until_enough {
        Some(seconds) if seconds > left => format!(
            "late: at {pace:.1} pairs a minute the rest takes {seconds} s, and the longest shadow ends in {left} s"
        ),
        Some(seconds) => {
            format!("at {pace:.1} pairs a minute the rest takes {seconds} s; {left} s are left at most")
        }
        None => format!("{left} s are left at most"),
    };
    (ShadowState::More, format!("{missing}; {outlook}"))
}

/// Why what was seen is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// Nothing came at all.
    NoTraffic {
        /// Pairs needed.
        needed: u64,
    },
    /// Too few pairs.
    TooLittle {
        /// Pairs seen.
        seen: u64,
        /// Pairs needed.
        needed: u64,
    },
    /// The champion gave one answer only.
    OneSided {
        /// The answer; none where it never answered.
        class: Option<String>,
        /// Answers needed of each class.
        needed: u64,
    },
    /// Too few answers of a class.
    FewOfClass {
        /// The class.
        class: String,
        /// Answers seen.
        seen: u64,
        /// Answers needed.
        needed: u64,
    },
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTraffic { needed } => write!(
                f,
                "0 pairs seen of {needed} needed: no request of the shadow's sample has been replayed; does the model get traffic, and does its server send rows?"
            ),
            Self::TooLittle { seen, needed } => write!(f, "{seen} pairs seen of {needed} needed"),
            Self::OneSided { class, needed } => write!(
                f,
                "one-sided: the champion answered only {}; {needed} answers of each class are needed",
                class.as_deref().unwrap_or("no class")
            ),
            Self::FewOfClass { class, seen, needed } => {
                write!(f, "{seen} answers of class {class} seen of {needed} needed")
            }
        }
    }
}

impl Missing {
    /// Seconds until it is there, at a pace of pairs a second of which `pairs` were seen; none where no pace leads there.
    fn seconds(&self, pace: f64, pairs: u64) -> Option<i64> {
        let rest = match self {
            Self::TooLittle { seen, needed } => needed.saturating_sub(*seen) as f64 / pace,
            Self::FewOfClass { seen, needed, .. } if *seen > 0 => {
                needed.saturating_sub(*seen) as f64 / (pace * *seen as f64 / pairs.max(1) as f64)
            }
            _ => return None,
        };
        rest.is_finite().then(|| rest.ceil().min(1e12) as i64)
    }
}

/// The first minimum that is not met by that many pairs, of which the champion gave these answers.
#[must_use]
pub fn missing(policy: &Policy, pairs: u64, by_class: &BTreeMap<String, u64>) -> Option<Missing> {
    let rules = &policy.shadow;
    if pairs < rules.min_pairs {
        return Some(if pairs == 0 {
            Missing::NoTraffic { needed: rules.min_pairs }
        } else {
            Missing::TooLittle { seen: pairs, needed: rules.min_pairs }
        });
    }
    let needed = rules.min_per_class;
    if needed == 0 || !matches!(policy.task, Task::Binary | Task::Multiclass) {
        return None;
    }
    if by_class.len() < 2 {
        return Some(Missing::OneSided { class: by_class.keys().next().cloned(), needed });
    }
    let (class, seen) = by_class.iter().min_by_key(|(_, n)| **n)?;
    (*seen < needed).then(|| Missing::FewOfClass { class: class.clone(), seen: *seen, needed })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(answers: &[(&str, u64)]) -> ShadowTally {
        let by_class: BTreeMap<String, u64> = answers.iter().map(|(c, n)| ((*c).to_owned(), *n)).collect();
        ShadowTally { pairs: by_class.values().sum(), by_class, ..ShadowTally::default() }
    }

    /// What is said after 600 s of a shadow of at most 3,600 s that needs 1,000 pairs and 50 of each class.
    fn said(answers: &[(&str, u64)]) -> (ShadowState, String) {
        let mut policy = Policy::default();
        policy.shadow.window_seconds = 300;
        policy.shadow.max_seconds = 3_600;
        let tally = seen(answers);
        let missing = missing(&policy, tally.pairs, &tally.by_class);
        let until = missing.as_ref().and_then(|m| m.seconds(tally.pairs as f64 / 600.0, tally.pairs));
        judge(&policy.shadow, &tally, missing.as_ref(), until, 600)
    }

    #[test]
    fn no_traffic_too_little_one_sided_and_late_are_told_apart() {
        for (answers, parts) in [
            (&[][..], &["0 pairs seen of 1000 needed: no request", "3000 s are left at most"][..]),
            (
                &[("a", 300), ("b", 200)],
                &["500 pairs seen of 1000 needed", "at 50.0 pairs a minute the rest takes 600 s"],
            ),
            (
                &[("a", 20), ("b", 20)],
                &[
                    "40 pairs seen of 1000 needed; late: at 4.0 pairs a minute the rest takes 14400 s",
                    "ends in 3000 s",
                ],
            ),
            (&[("a", 5_000)], &["one-sided: the champion answered only a; 50 answers of each class"]),
            (
                &[("a", 5_000), ("b", 25)],
                &["25 answers of class b seen of 50 needed", "the rest takes 600 s"],
            ),
        ] {
            let (state, why) = said(answers);
            assert_eq!(state, ShadowState::More, "{why}");
            for part in parts {
                assert!(why.contains(part), "{part:?} in {why:?}");
            }
        }
        assert_eq!(said(&[("a", 5_000), ("b", 50)]).0, ShadowState::Enough);
    }

    #[test]
    fn numbers_have_no_classes_to_wait_for() {
        let policy = Policy { task: Task::Regression, ..Policy::default() };
        assert_eq!(missing(&policy, 1_000, &BTreeMap::new()), None);
    }
}
