//! The summary of pairs: a commutative monoid with exact sums.
//!
//! Each partition is deduplicated exactly by observation id ([`distinct`]), summarised, and the summaries are merged: any
//! order and any split over partitions gives the same bits.

use std::collections::BTreeMap;

use seatrial_stats::Merge;
use seatrial_stats::agreement::Agreement;
use seatrial_stats::intervals::PairedCounts;
use seatrial_stats::sketch::LatencySketch;
use serde::{Deserialize, Serialize};

use crate::pair::Pair;
use crate::table::StoredLabel;

/// What is counted over pairs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Pairs, each once.
    pub pairs: u64,
    /// Pairs that came more than once, beyond the first.
    pub duplicates: u64,
    /// Equal and different answers. A pair that neither was served nor replayed by the champion is not in it.
    pub agreement: Agreement,
    /// The champion's answers by class.
    pub by_class: BTreeMap<String, u64>,
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
    /// Pairs whose truth is known.
    pub labelled: u64,
    /// Of these, by which version was right; a failure is wrong.
    pub correct: PairedCounts,
    /// Pairs whose `client_id` another pair has too: no label is joined to them by it.
    pub reused_client_ids: u64,
}

impl Summary {
    /// The summary of pairs that are distinct already; `labels` says the truth where it is known.
    #[must_use]
    pub fn of(pairs: &[Pair], duplicates: u64, labels: &Labels) -> Self {
        let mut summary = Self { duplicates, ..Self::default() };
        for pair in pairs {
            summary.observe(pair, labels);
        }
        summary
    }

    fn observe(&mut self, pair: &Pair, labels: &Labels) {
        self.pairs += 1;
        let (champion, challenger) = (&pair.champion, &pair.challenger);
        let answered = reference(pair);
        if let Some(label) = answered {
            *self.by_class.entry(label.to_owned()).or_default() += 1;
            let other = challenger.label.as_deref().filter(|_| challenger.error.is_none());
            self.agreement.observe(label, other);
        }
        self.errors.observe(champion.error.is_some(), challenger.error.is_some());
        if let Some(kind) = &challenger.error {
            *self.error_kinds.entry(kind.clone()).or_default() += 1;
        }
        if let Some(faithful) = pair.faithful {
            self.checked += 1;
            self.faithful += u64::from(faithful);
        }
        let replayed = |r: &crate::pair::Replayed| r.error.is_none() && r.label.is_some();
        if replayed(champion) && replayed(challenger) {
            self.champion_latency.observe(champion.latency_us);
            self.challenger_latency.observe(challenger.latency_us);
        }
        self.reused_client_ids += u64::from(labels.is_reused(pair));
        if let Some(truth) = labels.of(pair) {
            self.labelled += 1;
            let right = |label: Option<&str>, failed: bool| !failed && label == Some(truth);
            let theirs = right(challenger.label.as_deref(), challenger.error.is_some());
            self.correct.observe(right(answered, false), theirs);
        }
    }

    /// Pairs in which the challenger failed.
    #[must_use]
    pub fn challenger_errors(&self) -> u64 {
        self.errors.both + self.errors.challenger_only
    }

    /// Pairs in which the replayed champion failed.
    #[must_use]
    pub fn champion_errors(&self) -> u64 {
        self.errors.both + self.errors.champion_only
    }

    /// The share of checked replays that gave the served answer; `None` when none could be checked.
    #[must_use]
    pub fn fidelity(&self) -> Option<f64> {
        (self.checked > 0).then(|| self.faithful as f64 / self.checked as f64)
    }
}

impl Merge for Summary {
    fn merge(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.duplicates += other.duplicates;
        self.agreement.merge(&other.agreement);
        for (class, n) in &other.by_class {
            *self.by_class.entry(class.clone()).or_default() += n;
        }
        self.errors.merge(&other.errors);
        for (kind, n) in &other.error_kinds {
            *self.error_kinds.entry(kind.clone()).or_default() += n;
        }
        self.checked += other.checked;
        self.faithful += other.faithful;
        self.champion_latency.merge(&other.champion_latency);
        self.challenger_latency.merge(&other.challenger_latency);
        self.labelled += other.labelled;
        self.correct.merge(&other.correct);
        self.reused_client_ids += other.reused_client_ids;
    }
}

/// The champion's answer: what was really served when it served it without an error, else its replay's.
#[must_use]
pub fn reference(pair: &Pair) -> Option<&str> {
    match (pair.faithful, &pair.served_label) {
        (Some(_), Some(label)) => Some(label),
        _ => pair.champion.label.as_deref().filter(|_| pair.champion.error.is_none()),
    }
}

/// Each pair once, by observation id, and how many came beyond that. Of several the one that speaks against the challenger
/// is kept, else the first by its bytes: the order in which files are read does not matter.
#[must_use]
pub fn distinct(pairs: Vec<Pair>) -> (Vec<Pair>, u64) {
    let before = pairs.len();
    let mut kept: BTreeMap<String, Pair> = BTreeMap::new();
    let order = |p: &Pair| (p.challenger.error.is_none(), serde_json::to_string(p).unwrap_or_default());
    for pair in pairs {
        match kept.entry(pair.observation_id.clone()) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(pair);
            }
            std::collections::btree_map::Entry::Occupied(mut held) => {
                if order(&pair) < order(held.get()) {
                    held.insert(pair);
                }
            }
        }
    }
    let duplicates = (before - kept.len()) as u64;
    (kept.into_values().collect(), duplicates)
}

/// What is known to be true about observations: the latest label of each.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    by_observation: BTreeMap<String, (jiff::Timestamp, String)>,
    by_client: BTreeMap<String, (jiff::Timestamp, String)>,
    client_pairs: BTreeMap<String, u64>,
}

impl Labels {
    /// The labels of these files, for these distinct pairs (of all partitions: a `client_id` that several pairs have names
    /// none of them).
    #[must_use]
    pub fn new<'a>(
        labels: impl IntoIterator<Item = StoredLabel>,
        pairs: impl IntoIterator<Item = &'a Pair>,
    ) -> Self {
        let mut book = Self::default();
        for label in labels {
            let Some(class) = label.label else { continue };
            let said = (label.at, class);
            let later = |held: &mut (jiff::Timestamp, String)| {
                if said > *held {
                    held.clone_from(&said);
                }
            };
            if let Some(id) = label.observation_id {
                book.by_observation.entry(id).and_modify(later).or_insert_with(|| said.clone());
            } else if let Some(id) = label.client_id {
                book.by_client.entry(id).and_modify(later).or_insert_with(|| said.clone());
            }
        }
        for client in pairs.into_iter().filter_map(|p| p.client_id.as_ref()) {
            *book.client_pairs.entry(client.clone()).or_default() += 1;
        }
        book
    }

    /// The true class of a pair, if it is known.
    #[must_use]
    pub fn of(&self, pair: &Pair) -> Option<&str> {
        let by_client =
            || pair.client_id.as_ref().filter(|_| !self.is_reused(pair)).and_then(|c| self.by_client.get(c));
        self.by_observation.get(&pair.observation_id).or_else(by_client).map(|(_, class)| class.as_str())
    }

    fn is_reused(&self, pair: &Pair) -> bool {
        pair.client_id.as_ref().is_some_and(|c| self.client_pairs.get(c).is_some_and(|n| *n > 1))
    }
}
