//! How far a running shadow is: sums of what its replays counted, so that no look reads more than the last few minutes.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::route::{SHADOW_ARM, SHADOW_SUM_ARM};
use seatrial_evidence::shadow_tally::{ShadowTally, StoredShadowTally};
use seatrial_registry::{Tallies, TallyItem};
use seatrial_runtime::Failure;
use seatrial_stats::Merge;

/// The seconds that one sum covers.
const SLOT_SECONDS: i64 = 600;

/// How long after its second a count may still come, once the queues are drained beyond it.
const SETTLED_SECONDS: i64 = 60;

/// How long sums are kept in the table: as long as the longest shadow and some weeks of questions after it.
const SUM_TTL: SignedDuration = SignedDuration::from_hours(24 * 60);

/// The seconds that tallies are filed under have twelve digits.
const LAST_SECOND: i64 = 999_999_999_999;

/// How many sums are written at once.
const WRITES: usize = 16;

/// What is known of a running shadow.
pub(crate) struct Seen {
    /// Everything counted so far.
    pub all: ShadowTally,
    /// Up to where sums are written.
    summed_to: i64,
    /// What was counted after that, by slot.
    slots: BTreeMap<i64, ShadowTally>,
}

/// What the replays of `promotion` counted. A batch that was counted after its slot was summed up (a message that came again
/// after hours) is in the frozen evidence and not here.
///
/// # Errors
/// When the registry cannot be read.
pub(crate) async fn seen(tallies: &dyn Tallies, promotion: &PromotionRecord) -> Result<Seen, Failure> {
    let Some(shadow) = &promotion.shadow else {
        return Ok(Seen { all: ShadowTally::default(), summed_to: 0, slots: BTreeMap::new() });
    };
    let (model, epoch) = (&promotion.model, promotion.epoch);
    let first = slot(shadow.opened_at.as_second());
    let mut seen = Seen { all: ShadowTally::default(), summed_to: first, slots: BTreeMap::new() };
    for item in tallies.tallies_of(model, epoch, SHADOW_SUM_ARM, 0..LAST_SECOND).await? {
        // Without a gap: what follows one is summed up again.
        if item.second == seen.summed_to {
            seen.all.merge(&read(&item, promotion)?.unwrap_or_default());
            seen.summed_to += SLOT_SECONDS;
        }
    }
    // The epoch begins with the promotion, so all its counts belong to the shadow, however far behind a clock is: what has an
    // earlier second than the shadow's first is counted with that.
    let from = if seen.summed_to == first { 0 } else { seen.summed_to };
    for item in tallies.tallies_of(model, epoch, SHADOW_ARM, from..LAST_SECOND).await? {
        if let Some(counts) = read(&item, promotion)? {
            seen.all.merge(&counts);
            seen.slots.entry(slot(item.second).max(first)).or_default().merge(&counts);
        }
    }
    Ok(seen)
}

/// Keeps the sums of the slots that are over: nothing from before `drained` comes any more.
///
/// # Errors
/// When the registry does not answer.
pub(crate) async fn sum_up(
    tallies: &dyn Tallies,
    promotion: &PromotionRecord,
    seen: &Seen,
    drained: Timestamp,
) -> Result<(), Failure> {
    if promotion.shadow.is_none() {
        return Ok(());
    }
    let settled_to = slot(drained.as_second() - SETTLED_SECONDS);
    let slots = (0..).map(|n| seen.summed_to + n * SLOT_SECONDS).take_while(|from| *from < settled_to);
    stream::iter(slots)
        .map(|from| async move {
            let counts = seen.slots.get(&from).cloned().unwrap_or_default();
            let body = StoredShadowTally { schema: 1, promotion: promotion.id.clone(), counts };
            let body = serde_json::to_string(&body).map_err(|e| Failure::internal("writing a sum", e))?;
            let at = Timestamp::from_second(from).unwrap_or(Timestamp::UNIX_EPOCH);
            let item = TallyItem {
                model: promotion.model.clone(),
                epoch: promotion.epoch,
                second: from,
                arm: SHADOW_SUM_ARM.to_owned(),
                id: "sum".to_owned(),
                body,
                expires_at: at.saturating_add(SUM_TTL).unwrap_or(Timestamp::MAX),
            };
            tallies.put_tally(&item).await?;
            Ok::<(), Failure>(())
        })
        .buffer_unordered(WRITES)
        .try_collect::<()>()
        .await
}

/// The counts of an item; none of another promotion's.
fn read(item: &TallyItem, promotion: &PromotionRecord) -> Result<Option<ShadowTally>, Failure> {
    let tally: StoredShadowTally = serde_json::from_str(&item.body)
        .map_err(|e| Failure::internal("reading a tally of the shadow", e))?;
    Ok((tally.promotion == promotion.id).then_some(tally.counts))
}

fn slot(second: i64) -> i64 {
    second.div_euclid(SLOT_SECONDS) * SLOT_SECONDS
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use seatrial_domain::ids::ModelName;
    use seatrial_domain::promotion::ShadowTimes;
    use seatrial_registry::contract::Scenario;
    use seatrial_registry::{MemoryRegistry, Records, StoreError};

    use super::*;

    const OPENED: i64 = 1_800_000_300;

    /// Counts what is read, beside the registry in memory.
    struct Watched(MemoryRegistry, Mutex<Vec<(String, usize)>>);

    #[async_trait]
    impl Tallies for Watched {
        async fn put_tally(&self, tally: &TallyItem) -> Result<bool, StoreError> {
            self.0.put_tally(tally).await
        }
        async fn tallies_of(
            &self,
            model: &ModelName,
            epoch: u64,
            arm: &str,
            seconds: std::ops::Range<i64>,
        ) -> Result<Vec<TallyItem>, StoreError> {
            let found = self.0.tallies_of(model, epoch, arm, seconds).await?;
            self.1.lock().unwrap().push((arm.to_owned(), found.len()));
            Ok(found)
        }
    }

    async fn promotion() -> PromotionRecord {
        let registry = MemoryRegistry::default();
        let scenario = Scenario::with_champion(&registry).await;
        scenario.register(2).await;
        let run = scenario.start(2).await;
        let mut record = registry.promotion(&scenario.model, &run.id).await.unwrap().unwrap();
        record.shadow = Some(ShadowTimes {
            opened_at: Timestamp::from_second(OPENED).unwrap(),
            closed_at: None,
            stopped_early: false,
        });
        record
    }

    #[tokio::test]
    async fn sums_say_the_same_and_leave_little_to_read() {
        let record = promotion().await;
        let watched = Watched(MemoryRegistry::default(), Mutex::default());
        for n in 0..600 {
            let mut counts = ShadowTally { pairs: 3, ..ShadowTally::default() };
            counts.challenger_classes.insert(format!("c{}", n % 2), 3);
            let body = StoredShadowTally { schema: 1, promotion: record.id.clone(), counts };
            let item = TallyItem {
                model: record.model.clone(),
                epoch: record.epoch,
                second: OPENED + n * 10,
                arm: SHADOW_ARM.into(),
                id: format!("t{n}"),
                body: serde_json::to_string(&body).unwrap(),
                expires_at: Timestamp::MAX,
            };
            watched.put_tally(&item).await.unwrap();
        }
        let before = seen(&watched, &record).await.unwrap();
        assert_eq!(before.all.pairs, 1_800);
        for minutes in [0, 3, 45, 45, 95] {
            let drained = Timestamp::from_second(OPENED + minutes * 60).unwrap();
            let now = seen(&watched, &record).await.unwrap();
            sum_up(&watched, &record, &now, drained).await.unwrap();
            assert_eq!(seen(&watched, &record).await.unwrap().all, before.all, "after {minutes} minutes");
        }
        watched.1.lock().unwrap().clear();
        seen(&watched, &record).await.unwrap();
        let reads = watched.1.lock().unwrap().clone();
        assert!(reads.iter().all(|(_, items)| *items < 120), "{reads:?}");
    }
}
