//! The summary of pairs: a commutative monoid with exact sums.
//!
//! Each partition is deduplicated exactly by observation id and counted ([`crate::columnar`]), and the summaries are merged:
//! any order and any split over partitions gives the same bits.

pub mod cells;
pub mod moments;

use std::collections::{BTreeMap, BTreeSet};

use seatrial_stats::Merge;
use seatrial_stats::agreement::Agreement;
use seatrial_stats::auc::PairedAucHistogram;
use seatrial_stats::fairness::FairnessCells;
use seatrial_stats::intervals::PairedCounts;
use seatrial_stats::joint::JointConfusion;
use seatrial_stats::paired::PairedMoments;
use seatrial_stats::sketch::LatencySketch;
use serde::{Deserialize, Serialize};

use crate::pair::Pair;
use cells::{Cells, OTHER, Segment, UNLABELLED, answered};
use moments::{Groups, PairedLoss, PairedReliability};

/// Bins of the score distributions, of equal width over `[0, 1]`.
pub const SCORE_BINS: usize = 50;
/// The most kinds of errors and the most versions that are told apart; the first by their text are kept.
const MOST_KINDS: usize = 64;
/// What stands for an answer that is a number where classes are counted.
pub const NUMBER: &str = "(number)";
/// What stands for no answer where classes are counted.
pub const NO_ANSWER: &str = "(no answer)";

/// What is counted over pairs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Pairs, each once.
    pub pairs: u64,
    /// Pairs that came more than once, beyond the first.
    pub duplicates: u64,
    /// Truth and both answers, by segment and by group of units.
    pub cells: Cells,
    /// Pairs by which version failed.
    pub errors: Groups<PairedCounts>,
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
    /// The class that the scores of a binary model are about. More than one only if the pairs do not belong together.
    pub positive: BTreeSet<String>,
    /// The classes that the versions know, where their packages say it.
    pub known_classes: BTreeSet<String>,
    /// The scores of all answers.
    pub scores: Scores,
    /// Log loss, where truth and both scores are known.
    pub log_loss: Groups<PairedLoss>,
    /// Squared error of the positive class's probability, over the same pairs.
    pub brier: Groups<PairedLoss>,
    /// How often scores are right, over the same pairs.
    pub reliability: Groups<PairedReliability>,
    /// Scores by truth, over the same pairs.
    pub auc: PairedAucHistogram,
    /// Whether each version's score reaches the policy's threshold.
    pub crossings: Groups<PairedCounts>,
    /// Of answers that are numbers.
    pub numbers: Numbers,
    /// Label coverage by the version that really answered.
    pub coverage: BTreeMap<String, Coverage>,
    /// Pairs whose unit is not their request alone: units repeat, so pairs are not independent.
    pub shared_units: u64,
    /// Pairs whose `client_id` another pair has too, where labels come by it: no label is joined to them by it.
    pub reused_client_ids: u64,
    /// Pairs with labels that contradict each other: the latest counts.
    pub contradicted: u64,
    /// Labels of pairs that are younger than the policy's maturity: they do not count yet.
    pub early_labels: u64,
    /// What was wrong with the evidence.
    pub defects: Defects,
}

/// Score distributions in [`SCORE_BINS`] bins; empty without scores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores {
    /// Of the champion.
    pub champion: Vec<u64>,
    /// Of the challenger.
    pub challenger: Vec<u64>,
}

/// What is counted over answers that are numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// Whether the challenger's number is within the tolerance of the champion's: `both` where it is, `champion_only` where it
    /// is not.
    pub agreement: Groups<PairedCounts>,
    /// Absolute errors.
    pub absolute: Groups<PairedMoments>,
    /// Squared errors.
    pub squared: Groups<PairedMoments>,
    /// Errors with their sign.
    pub bias: Groups<PairedMoments>,
}

/// How many of the pairs that are old enough have a label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Pairs that are old enough.
    pub mature: u64,
    /// Of these, with a label.
    pub labelled: u64,
}

impl Coverage {
    /// The share with a label; none without pairs.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.mature > 0).then(|| self.labelled as f64 / self.mature as f64)
    }
}

/// What was wrong with the evidence: counted, never silently dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Defects {
    /// The champion's scores that are not numbers from 0 to 1 (or not finite, where answers are numbers): left out.
    pub champion_scores: u64,
    /// The challenger's.
    pub challenger_scores: u64,
    /// Pairs whose producer's clock was more than a minute ahead of the queue's.
    pub clock_ahead: u64,
    /// Pairs whose producer's clock was more than an hour behind the queue's.
    pub clock_behind: u64,
    /// Pairs that lie in a partition that is not theirs: left out.
    pub misplaced: u64,
    /// Labels that are of the wrong kind or not finite: left out.
    pub unusable_labels: u64,
    /// Files that cannot be read, with the reason: what is in them is missing.
    pub unreadable: BTreeMap<String, String>,
}

impl Defects {
    /// Whether evidence is missing that was frozen: no verdict over the rest is a pass.
    #[must_use]
    pub fn incomplete(&self) -> bool {
        self.misplaced > 0 || !self.unreadable.is_empty()
    }
}

impl Summary {
    /// Equal and different answers. A pair that neither was served nor replayed by the champion is not in it.
    #[must_use]
    pub fn agreement(&self) -> Agreement {
        let mut agreement = Agreement::default();
        let classes = self.cells.classes();
        for (cell, n) in self.cells.whole() {
            if let Some(champion) = answered(cell.champion) {
                let challenger = answered(cell.challenger).map(|class| classes[class].as_str());
                agreement.observe_n(&classes[champion], challenger, n);
            }
        }
        agreement
    }

    /// The champion's answers by class.
    #[must_use]
    pub fn by_class(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (cell, n) in self.cells.whole() {
            if let Some(class) = answered(cell.champion) {
                *counts.entry(self.cells.classes()[class].clone()).or_default() += n;
            }
        }
        counts
    }

    /// Label coverage of all pairs.
    #[must_use]
    pub fn labelled(&self) -> Coverage {
        self.coverage_of(&Segment::whole(), |_| true)
    }

    /// Label coverage of the pairs of a segment whose cell is chosen.
    pub fn coverage_of(&self, segment: &Segment, chosen: impl Fn(cells::Cell) -> bool) -> Coverage {
        let mut coverage = Coverage::default();
        for (cell, n) in self.cells.of(segment).filter(|(cell, _)| chosen(*cell)) {
            coverage.mature += if cell.truth >= UNLABELLED { n } else { 0 };
            coverage.labelled += if cell.class().is_some() { n } else { 0 };
        }
        coverage
    }

    /// Truth and both answers where the truth is known; no answer is [`NO_ANSWER`].
    #[must_use]
    pub fn joint(&self) -> JointConfusion {
        let mut joint = JointConfusion::default();
        let classes = self.cells.classes();
        let name = |code: u16| answered(code).map_or(NO_ANSWER, |class| classes[class].as_str());
        for (cell, n) in self.cells.whole() {
            if let Some(truth) = cell.class() {
                joint.observe_n(&classes[truth], name(cell.champion), name(cell.challenger), n);
            }
        }
        joint
    }

    /// The decisions by value of a protected column, of the pairs with a truth: yes is the positive class, and a version that
    /// gives no answer decides wrongly. Of one group of units, if one is given; with `champion` false as if the champion never
    /// said yes.
    #[must_use]
    pub fn fairness(&self, column: &str, positive: &str, group: Option<u8>, champion: bool) -> FairnessCells {
        self.fairness_of(column, positive, group, champion, &[])
    }

    /// The same without some of the values.
    #[must_use]
    pub fn fairness_of(
        &self,
        column: &str,
        positive: &str,
        group: Option<u8>,
        champion: bool,
        without: &[String],
    ) -> FairnessCells {
        let mut fairness = FairnessCells::default();
        let positive = self.cells.class(positive);
        for (segment, cells) in self.cells.of_column(column) {
            if without.contains(&segment.value) {
                continue;
            }
            for (cell, &n) in cells.iter().filter(|(cell, _)| group.is_none_or(|g| cell.group == g)) {
                let Some(truth) = cell.class() else { continue };
                let truth = Some(truth) == positive;
                let yes = |code: u16| answered(code).map_or(!truth, |class| Some(class) == positive);
                let (first, second) = (champion && yes(cell.champion), yes(cell.challenger));
                fairness.observe_n(&segment.value, truth, first, second, n);
            }
        }
        fairness
    }

    /// Pairs in which the challenger failed.
    #[must_use]
    pub fn challenger_errors(&self) -> u64 {
        let errors = self.errors.total();
        errors.both + errors.challenger_only
    }

    /// Pairs in which the replayed champion failed.
    #[must_use]
    pub fn champion_errors(&self) -> u64 {
        let errors = self.errors.total();
        errors.both + errors.champion_only
    }

    /// The share of checked replays that gave the served answer; `None` when none could be checked.
    #[must_use]
    pub fn fidelity(&self) -> Option<f64> {
        (self.checked > 0).then(|| self.faithful as f64 / self.checked as f64)
    }

    /// Classes that truths or answers name and no version knows, with their counts as `(truths, champion, challenger)`.
    #[must_use]
    pub fn unknown_classes(&self) -> BTreeMap<String, (u64, u64, u64)> {
        let mut unknown: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
        if self.known_classes.is_empty() {
            return unknown;
        }
        let classes = self.cells.classes();
        let name = |class: Option<usize>| {
            class.map(|c| &classes[c]).filter(|c| !self.known_classes.contains(*c)).cloned()
        };
        for (cell, n) in self.cells.whole() {
            if let Some(class) = name(cell.class()) {
                unknown.entry(class).or_default().0 += n;
            }
            if let Some(class) = name(answered(cell.champion)) {
                unknown.entry(class).or_default().1 += n;
            }
            if let Some(class) = name(answered(cell.challenger)) {
                unknown.entry(class).or_default().2 += n;
            }
        }
        unknown
    }

    /// Kinds beyond the most that are told apart become one. What is not among the first now never will be, so the order of
    /// merging does not matter.
    pub(crate) fn fold(&mut self) {
        fold(&mut self.error_kinds, |mine, n| *mine += n);
        fold(&mut self.coverage, |mine, n: Coverage| {
            mine.mature += n.mature;
            mine.labelled += n.labelled;
        });
    }
}

fn fold<T: Default>(kinds: &mut BTreeMap<String, T>, add: impl Fn(&mut T, T)) {
    let beyond: Vec<String> = kinds.keys().filter(|kind| *kind != OTHER).skip(MOST_KINDS).cloned().collect();
    for kind in beyond {
        if let Some(n) = kinds.remove(&kind) {
            add(kinds.entry(OTHER.to_owned()).or_default(), n);
        }
    }
}

fn add(mine: &mut Vec<u64>, theirs: &[u64]) {
    if mine.is_empty() {
        *mine = theirs.to_vec();
        return;
    }
    mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
}

impl Merge for Summary {
    fn merge(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.duplicates += other.duplicates;
        self.cells.merge(&other.cells);
        self.errors.merge(&other.errors);
        for (kind, n) in &other.error_kinds {
            *self.error_kinds.entry(kind.clone()).or_default() += n;
        }
        self.checked += other.checked;
        self.faithful += other.faithful;
        self.champion_latency.merge(&other.champion_latency);
        self.challenger_latency.merge(&other.challenger_latency);
        self.positive.extend(other.positive.iter().cloned());
        self.known_classes.extend(other.known_classes.iter().cloned());
        add(&mut self.scores.champion, &other.scores.champion);
        add(&mut self.scores.challenger, &other.scores.challenger);
        self.log_loss.merge(&other.log_loss);
        self.brier.merge(&other.brier);
        self.reliability.merge(&other.reliability);
        self.auc.merge(&other.auc);
        self.crossings.merge(&other.crossings);
        self.numbers.agreement.merge(&other.numbers.agreement);
        self.numbers.absolute.merge(&other.numbers.absolute);
        self.numbers.squared.merge(&other.numbers.squared);
        self.numbers.bias.merge(&other.numbers.bias);
        for (version, n) in &other.coverage {
            let mine = self.coverage.entry(version.clone()).or_default();
            mine.mature += n.mature;
            mine.labelled += n.labelled;
        }
        self.shared_units += other.shared_units;
        self.reused_client_ids += other.reused_client_ids;
        self.contradicted += other.contradicted;
        self.early_labels += other.early_labels;
        self.defects.merge(&other.defects);
        self.fold();
    }
}

impl Merge for Defects {
    fn merge(&mut self, other: &Self) {
        self.champion_scores += other.champion_scores;
        self.challenger_scores += other.challenger_scores;
        self.clock_ahead += other.clock_ahead;
        self.clock_behind += other.clock_behind;
        self.misplaced += other.misplaced;
        self.unusable_labels += other.unusable_labels;
        for (file, why) in &other.unreadable {
            self.unreadable.entry(file.clone()).or_insert_with(|| why.clone());
        }
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
