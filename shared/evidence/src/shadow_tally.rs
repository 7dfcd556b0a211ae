//! What `replay` counts beside the pairs it writes, so that a running shadow can be looked at without reading them.

use std::collections::BTreeMap;

use seatrial_domain::canonical;
use seatrial_domain::ids::PromotionId;
pub use seatrial_domain::route::{SHADOW_ARM, SHADOW_SUM_ARM};
use seatrial_stats::Merge;
use seatrial_stats::agreement::Agreement;
use seatrial_stats::intervals::PairedCounts;
use seatrial_stats::sketch::LatencySketch;
use serde::{Deserialize, Serialize};

use crate::pair::{Pair, Replayed};
use crate::summary::reference;

/// Counts over the pairs of one batch of replays, and the sum of such counts over a shadow.
///
/// A batch that is delivered again has the same [`id`](Self::id) and counts once. Pairs that come again in another batch
/// count again here: only the frozen pairs are deduplicated one by one. So these are for looking on, never for a verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShadowTally {
    /// Pairs.
    pub pairs: u64,
    /// The champion's answers by class: what was served where the champion served it, else its replay's.
    pub by_class: BTreeMap<String, u64>,
    /// The challenger's answers by class.
    pub challenger_classes: BTreeMap<String, u64>,
    /// Equal and different answers.
    pub agreement: Agreement,
    /// Pairs by which version failed.
    pub errors: PairedCounts,
    /// How the challenger failed.
    pub error_kinds: BTreeMap<String, u64>,
    /// Replays of the champion that could be checked against what it really answered.
    pub checked: u64,
    /// Those that gave the same answer.
    pub faithful: u64,
    /// The champion's latencies where both answered.
    pub champion_latency: LatencySketch,
    /// The challenger's latencies where both answered.
    pub challenger_latency: LatencySketch,
}

/// A tally as it is kept: with the promotion it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredShadowTally {
    /// 1.
    pub schema: u32,
    /// The promotion.
    pub promotion: PromotionId,
    /// The counts.
    #[serde(flatten)]
    pub counts: ShadowTally,
}

impl ShadowTally {
    /// The counts over these pairs.
    #[must_use]
    pub fn of(pairs: &[Pair]) -> Self {
        let mut tally = Self::default();
        pairs.iter().for_each(|pair| tally.observe(pair));
        tally
    }

    fn observe(&mut self, pair: &Pair) {
        self.pairs += 1;
        let (champion, challenger) = (&pair.champion, &pair.challenger);
        let answered = challenger.label.as_deref().filter(|_| challenger.error.is_none());
        if let Some(label) = reference(pair) {
            *self.by_class.entry(label.to_owned()).or_default() += 1;
            self.agreement.observe(label, answered);
        }
        if let Some(label) = answered {
            *self.challenger_classes.entry(label.to_owned()).or_default() += 1;
        }
        self.errors.observe(champion.error.is_some(), challenger.error.is_some());
        if let Some(kind) = &challenger.error {
            *self.error_kinds.entry(kind.clone()).or_default() += 1;
        }
        if let Some(faithful) = pair.faithful {
            self.checked += 1;
            self.faithful += u64::from(faithful);
        }
        if [champion, challenger].into_iter().all(Replayed::answered) {
            self.champion_latency.observe(champion.latency_us);
            self.challenger_latency.observe(challenger.latency_us);
        }
    }

    /// The second under which the tally of these pairs is kept: of the latest time the queue took one of them.
    #[must_use]
    pub fn second(pairs: &[Pair]) -> i64 {
        pairs.iter().map(|pair| pair.queued_at.as_second()).max().unwrap_or(0)
    }

    /// The id of the tally of these pairs: by their observation ids alone, since a replay that is done again takes other
    /// times.
    #[must_use]
    pub fn id(pairs: &[Pair]) -> String {
        let mut ids: Vec<&str> = pairs.iter().map(|pair| pair.observation_id.as_str()).collect();
        ids.sort_unstable();
        canonical::sha256(ids.join("\n").as_bytes()).hex()[..32].to_owned()
    }

    /// Pairs in which the challenger failed.
    #[must_use]
    pub fn challenger_errors(&self) -> u64 {
        self.errors.both + self.errors.challenger_only
    }

    /// The share of checked replays that gave the served answer; `None` when none could be checked.
    #[must_use]
    pub fn fidelity(&self) -> Option<f64> {
        (self.checked > 0).then(|| self.faithful as f64 / self.checked as f64)
    }
}

fn add(mine: &mut BTreeMap<String, u64>, theirs: &BTreeMap<String, u64>) {
    for (key, n) in theirs {
        *mine.entry(key.clone()).or_default() += n;
    }
}

impl Merge for ShadowTally {
    fn merge(&mut self, other: &Self) {
        self.pairs += other.pairs;
        add(&mut self.by_class, &other.by_class);
        add(&mut self.challenger_classes, &other.challenger_classes);
        self.agreement.merge(&other.agreement);
        self.errors.merge(&other.errors);
        add(&mut self.error_kinds, &other.error_kinds);
        self.checked += other.checked;
        self.faithful += other.faithful;
        self.champion_latency.merge(&other.champion_latency);
        self.challenger_latency.merge(&other.challenger_latency);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn pair(n: u32, label: Option<&str>) -> Pair {
        let answer = |label: Option<&str>| Replayed {
            label: label.map(str::to_owned),
            error: label.is_none().then(|| "crash".to_owned()),
            latency_us: u64::from(n),
            ..Replayed::default()
        };
        Pair {
            observation_id: format!("o{n}"),
            client_id: None,
            unit: format!("o{n}"),
            at: Timestamp::UNIX_EPOCH,
            queued_at: Timestamp::from_second(i64::from(n)).unwrap(),
            served_version: "v1".into(),
            served_label: Some("a".into()),
            served_score: None,
            served_value: None,
            served_error: false,
            champion: answer(Some("a")),
            challenger: answer(label),
            faithful: Some(true),
            segments: BTreeMap::new(),
        }
    }

    #[test]
    fn sums_of_batches_are_the_counts_of_all_pairs() {
        let pairs: Vec<Pair> =
            (0..30).map(|n| pair(n, [Some("a"), Some("b"), None][n as usize % 3])).collect();
        let whole = ShadowTally::of(&pairs);
        let mut sum = ShadowTally::of(&pairs[20..]);
        sum.merge(&ShadowTally::of(&pairs[..20]));
        assert_eq!(sum, whole);
        assert_eq!((whole.pairs, whole.challenger_errors(), whole.agreement.agreed()), (30, 10, 10));
        assert_eq!(whole.challenger_classes, BTreeMap::from([("a".into(), 10), ("b".into(), 10)]));
        assert_eq!((whole.champion_latency.n(), whole.fidelity()), (20, Some(1.0)));
    }

    #[test]
    fn a_batch_replayed_again_keeps_its_place() {
        let pairs: Vec<Pair> = (0..5).map(|n| pair(n, Some("a"))).collect();
        let mut again = pairs.clone();
        again.reverse();
        again[0].challenger.latency_us = 77;
        assert_eq!(ShadowTally::id(&again), ShadowTally::id(&pairs));
        assert_eq!((ShadowTally::second(&again), ShadowTally::second(&pairs)), (4, 4));
        assert_ne!(ShadowTally::id(&pairs[1..]), ShadowTally::id(&pairs));
    }
}
