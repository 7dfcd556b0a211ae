//! The tallies of an epoch, summed.
//!
//! A look reads what was reported since the last one, not everything: a warm process keeps the sums of seconds that lie so far
//! back that nothing more is expected of them. Producers' clocks are not trusted, and a process that died may be reported late,
//! so everything is read again every ten minutes, and always before a judgement that ends a step. Reading goes window by window,
//! so that memory holds one window and the sums, however long the canary.
//!
//! Where a target splits the traffic, what its callers met is summed beside everything.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use seatrial_domain::ids::ModelName;
use seatrial_domain::policy::Canary;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::target::Met;
use seatrial_evidence::canary::Counts;
use seatrial_evidence::observation::Tally;
use seatrial_evidence::shadow_tally::{SHADOW_ARM, StoredShadowTally};
use seatrial_registry::{Tallies, TallyItem};
use seatrial_runtime::Failure;

/// Seconds after which a second's tallies are summed once and kept.
const SETTLED_SECONDS: i64 = 300;
/// How long kept sums are used before everything is read again.
const KEPT: SignedDuration = SignedDuration::from_mins(10);
/// Seconds read at once.
const WINDOW_SECONDS: i64 = 300;

/// The sums of one promotion's canary that a warm process keeps.
#[derive(Debug, Default)]
pub struct TallyCache(Mutex<Option<Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    model: ModelName,
    epoch: u64,
    /// When everything was read.
    read_at: Timestamp,
    /// Seconds before this one are in the sums.
    settled_to: i64,
    sums: Sums,
}

/// The sums of everything, and of what callers met.
#[derive(Debug, Clone)]
pub struct Sums {
    /// Everything that was reported.
    pub all: Counts,
    /// What callers of a target met, and from when on; none without a target.
    pub met: Option<(Met, Counts)>,
}

impl Sums {
    /// Nothing summed yet.
    #[must_use]
    pub fn new(rules: &Canary, met: Option<&Met>) -> Self {
        Self { all: Counts::new(rules), met: met.map(|met| (met.clone(), Counts::new(rules))) }
    }

    fn add_shadow(&mut self, second: i64, classes: &BTreeMap<String, u64>) {
        self.all.add_shadow(second, classes);
        if let Some((_, counts)) = &mut self.met {
            counts.add_shadow(second, classes);
        }
    }

    fn add(&mut self, tallies: Vec<Tally>, watermark: i64) {
        if let Some((met, counts)) = &mut self.met {
            counts.add_if(tallies.clone(), watermark, |tally| met.holds(tally.route.weight, tally.second));
        }
        self.all.add(tallies, watermark);
    }

    fn is_of(&self, met: Option<&Met>) -> bool {
        self.met.as_ref().map(|(met, _)| met) == met
    }
}

/// What was counted, and whether some of it was kept from before.
#[derive(Debug, Clone)]
pub struct Counted {
    /// The sums.
    pub sums: Sums,
    /// Whether part of them was read at an earlier look.
    pub partly_kept: bool,
}

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// What was not kept.
    SinceLast,
    /// Everything.
    Everything,
}

/// Sums the tallies of a promotion's epoch of seconds before `watermark`; `met` says from when on callers of its target met the weights.
///
/// # Errors
/// When the registry does not answer, or holds a tally that cannot be read.
pub async fn count(
    tallies: &dyn Tallies,
    cache: &TallyCache,
    (promotion, rules, met): (&PromotionRecord, &Canary, Option<&Met>),
    (now, watermark): (Timestamp, Timestamp),
    reading: Reading,
) -> Result<Counted, Failure> {
    let watermark = watermark.as_second().max(0);
    let kept = match reading {
        // What counts may be another part of what was reported, once more is known of the target.
        Reading::SinceLast => cache.get(promotion, now).filter(|kept| kept.sums.is_of(met)),
        Reading::Everything => None,
    };
    let partly_kept = kept.is_some();
    let mut kept = kept.unwrap_or_else(|| Kept {
        model: promotion.model.clone(),
        epoch: promotion.epoch,
        read_at: now,
        settled_to: 0,
        sums: Sums::new(rules, met),
    });
    let settle_to = (watermark - SETTLED_SECONDS).max(kept.settled_to);
    for (from, to) in windows(kept.settled_to, promotion.started_at.as_second(), settle_to) {
        add(tallies, promotion, &mut kept.sums, from..to, watermark).await?;
        kept.settled_to = to;
    }
    let (settled_to, mut sums) = (kept.settled_to, kept.sums.clone());
    cache.put(kept);
    add(tallies, promotion, &mut sums, settled_to..watermark, watermark).await?;
    Ok(Counted { sums, partly_kept })
}

/// Adjoining windows from `from` to `to`: all before the promotion began is one, since only wrong clocks name it.
fn windows(from: i64, began: i64, to: i64) -> Vec<(i64, i64)> {
    let (mut windows, mut at) = (Vec::new(), from);
    while at < to {
        let next = if at < began { began.min(to) } else { (at + WINDOW_SECONDS).min(to) };
        windows.push((at, next));
        at = next;
    }
    windows
}

async fn add(
    tallies: &dyn Tallies,
    promotion: &PromotionRecord,
    sums: &mut Sums,
    seconds: Range<i64>,
    watermark: i64,
) -> Result<(), Failure> {
    if seconds.is_empty() {
        return Ok(());
    }
    // The epoch begins with the promotion, so all its tallies count, however far behind a producer's clock is.
    let (model, epoch) = (&promotion.model, promotion.epoch);
    // What the shadow said before the canary was at another time of day.
    if let Some(from) = promotion.steps.first().map(|step| step.at.as_second().max(seconds.start)) {
        for item in tallies.tallies_of(model, epoch, SHADOW_ARM, from..seconds.end).await? {
            let shadow: StoredShadowTally = parse(&item)?;
            if shadow.promotion == promotion.id {
                sums.add_shadow(item.second, &shadow.counts.challenger_classes);
            }
        }
    }
    let served = tallies.tallies(model, epoch, seconds).await?;
    sums.add(served.iter().map(parse::<Tally>).collect::<Result<Vec<_>, _>>()?, watermark);
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(item: &TallyItem) -> Result<T, Failure> {
    serde_json::from_str(&item.body).map_err(|e| {
        Failure::internal(&format!("reading the tally {} of second {}", item.id, item.second), e)
    })
}

impl TallyCache {
    fn get(&self, promotion: &PromotionRecord, now: Timestamp) -> Option<Kept> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |kept: &&Kept| now.duration_since(kept.read_at) < KEPT;
        kept.as_ref()
            .filter(|kept| kept.model == promotion.model && kept.epoch == promotion.epoch)
            .filter(fresh)
            .cloned()
    }

    fn put(&self, kept: Kept) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_adjoin_and_cover_all() {
        assert_eq!(windows(0, 1_000, 1_700), [(0, 1_000), (1_000, 1_300), (1_300, 1_600), (1_600, 1_700)]);
        assert_eq!(windows(1_300, 1_000, 1_500), [(1_300, 1_500)]);
        assert_eq!(windows(0, 1_000, 400), [(0, 400)]);
        assert!(windows(500, 1_000, 500).is_empty());
    }
}
