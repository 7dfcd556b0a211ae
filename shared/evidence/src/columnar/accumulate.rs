//! What a worker counts over the rows of its partitions.

use std::collections::BTreeMap;

use seatrial_stats::auc::PairedAucHistogram;
use seatrial_stats::losses::log_loss;
use seatrial_stats::sketch::DenseSketch;

use super::counter::Counter;
use super::labels::Said;
use super::row::{Flags, Row, Texts};
use super::spec::Spec;
use crate::summary::cells::{Cell, Cells, FIRST_CLASS, IMMATURE, UNLABELLED};
use crate::summary::{Coverage, Defects, NUMBER, Numbers, SCORE_BINS, Scores, Summary};
use crate::table::{TableError, failed};

/// Combinations of segments beyond which their texts are forgotten between partitions: some megabytes.
const COMBINATIONS: usize = 20_000;

/// The label of a row as far as it was heard.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Joined {
    pub(crate) at: i64,
    pub(crate) said: Option<Said>,
    pub(crate) contradicted: bool,
}

impl Joined {
    /// Takes in one label: the latest counts, of equally late ones the larger by its content.
    pub(crate) fn hear<'a>(&mut self, at: i64, said: Said, text: impl Fn(u16) -> &'a str) {
        let Some(held) = self.said else {
            (self.at, self.said) = (at, Some(said));
            return;
        };
        let order = match (said, held) {
            (Said::Class(a), Said::Class(b)) if a == b => std::cmp::Ordering::Equal,
            (Said::Class(a), Said::Class(b)) => text(a).cmp(text(b)),
            (Said::Number(a), Said::Number(b)) => a.total_cmp(&b),
            _ => std::cmp::Ordering::Equal,
        };
        self.contradicted |= order.is_ne();
        if (at, order) > (self.at, std::cmp::Ordering::Equal) {
            (self.at, self.said) = (at, Some(said));
        }
    }
}

/// Both versions' probabilities of a row, and the classes they are of.
type Lists<'a> = ((&'a [f64], &'a [f64]), &'a (Vec<u16>, Vec<u16>));

#[derive(Debug)]
pub(crate) struct Accumulator {
    pub(crate) duplicates: u64,
    pub(crate) misplaced: u64,
    pub(crate) reused_clients: u64,
    counter: Counter,
    /// By combination: its segments.
    combinations: Vec<Vec<u32>>,
    summary: Summary,
    latency: (DenseSketch, DenseSketch),
    error_kinds: Vec<u64>,
    coverage: Vec<Coverage>,
    auc: PairedAucHistogram,
}

impl Accumulator {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            duplicates: 0,
            misplaced: 0,
            reused_clients: 0,
            counter: Counter::new(spec.named.iter().cloned().collect()),
            combinations: Vec::new(),
            summary: Summary::default(),
            latency: Default::default(),
            error_kinds: Vec::new(),
            coverage: Vec::new(),
            auc: PairedAucHistogram::default(),
        }
    }

    pub(crate) fn make_room(&mut self, classes: usize) {
        self.counter.make_room(classes);
    }

    /// Forgets combinations if they are many. Only between partitions: no row may hold one.
    pub(crate) fn forget_combinations(&mut self, texts: &mut Texts) {
        if self.combinations.len() > COMBINATIONS {
            self.combinations = Vec::new();
            texts.combinations = Default::default();
        }
    }

    /// A combination of segments, seen for the first time or again.
    pub(crate) fn combination(&mut self, code: u32, text: &str, spec: &Spec) -> Result<(), TableError> {
        if (code as usize) < self.combinations.len() {
            return Ok(());
        }
        let values: BTreeMap<String, String> = serde_json::from_str(text).map_err(failed("read"))?;
        let segments = spec
            .columns
            .iter()
            .filter_map(|column| Some(self.counter.slice(column, values.get(column)?)))
            .collect();
        self.combinations.push(segments);
        Ok(())
    }

    #[inline]
    pub(crate) fn count(
        &mut self,
        row: &Row,
        joined: Joined,
        positive: Option<u16>,
        lists: Option<Lists<'_>>,
        spec: &Spec,
    ) {
        let s = &mut self.summary;
        let has = |flag| row.flags.has(flag);
        let group = row.group;
        s.pairs += 1;
        s.shared_units += u64::from(has(Flags::SHARES_UNIT));
        s.errors.of(group).observe(has(Flags::CHAMPION_FAILED), row.error > 0);
        if row.error > 0 {
            bump(&mut self.error_kinds, row.error);
        }
        s.checked += u64::from(has(Flags::CHECKED));
        s.faithful += u64::from(has(Flags::FAITHFUL));
        s.defects.clock_ahead += u64::from(has(Flags::AHEAD));
        s.defects.clock_behind += u64::from(has(Flags::BEHIND));
        s.defects.champion_scores += u64::from(has(Flags::BAD_CHAMPION));
        s.defects.challenger_scores += u64::from(has(Flags::BAD_CHALLENGER));
        if has(Flags::TIMED) {
            self.latency.0.observe(u64::from(row.champion_us));
            self.latency.1.observe(u64::from(row.challenger_us));
        }
        s.contradicted += u64::from(joined.contradicted);
        let mature = has(Flags::MATURE);
        s.early_labels += u64::from(!mature && joined.said.is_some());
        let said = joined.said.filter(|_| mature);
        let truth = match said {
            _ if !mature => IMMATURE,
            None => UNLABELLED,
            Some(Said::Class(code)) => FIRST_CLASS + code,
            Some(Said::Number(_)) => FIRST_CLASS,
        };
        if mature {
            let version = usize::from(row.version);
            if version >= self.coverage.len() {
                self.coverage.resize(version + 1, Coverage::default());
            }
            self.coverage[version].mature += 1;
            self.coverage[version].labelled += u64::from(said.is_some());
        }
        let cell = Cell { group, truth, champion: row.reference, challenger: row.answer };
        let segments = self.combinations.get(row.combination as usize).map_or(&[][..], |s| s);
        self.counter.count(segments, cell);
        if spec.numbers {
            numbers(&mut s.numbers, row, said, spec);
            return;
        }
        scores(&mut s.scores, row);
        let (champion, challenger) = (row.champion, row.challenger);
        let both = !champion.is_nan() && !challenger.is_nan();
        if let (true, Some(threshold)) = (both, spec.threshold) {
            s.crossings.of(group).observe(champion >= threshold, challenger >= threshold);
        }
        let Some(Said::Class(truth)) = said else { return };
        if let Some(lists) = lists {
            if let Some((x, y)) = several(lists, truth) {
                s.log_loss.of(group).observe(x, y);
            }
            if both && row.reference > 0 && row.answer > 0 {
                let paired = s.reliability.of(group);
                paired.champion.observe(champion, row.reference == truth + 1);
                paired.challenger.observe(challenger, row.answer == truth + 1);
            }
        } else if let (true, Some(positive)) = (both, positive) {
            let is = truth == positive;
            let loss = |p: f64| log_loss(if is { p } else { 1.0 - p }).unwrap_or(0.0);
            let square = |p: f64| {
                let miss = if is { 1.0 - p } else { p };
                miss * miss
            };
            s.log_loss.of(group).observe(loss(champion), loss(challenger));
            s.brier.of(group).observe(square(champion), square(challenger));
            let paired = s.reliability.of(group);
            paired.champion.observe(champion, is);
            paired.challenger.observe(challenger, is);
            self.auc.observe(is, champion, challenger, usize::from(group));
        }
    }

    pub(crate) fn finish(
        self,
        texts: &Texts,
        positive: Option<String>,
        known: std::collections::BTreeSet<String>,
    ) -> Summary {
        let mut summary = self.summary;
        summary.duplicates = self.duplicates;
        summary.reused_client_ids = self.reused_clients;
        summary.auc = self.auc;
        summary.defects = Defects { misplaced: self.misplaced, ..summary.defects };
        summary.champion_latency = self.latency.0.finish();
        summary.challenger_latency = self.latency.1.finish();
        for (code, &n) in self.error_kinds.iter().enumerate().filter(|(_, n)| **n > 0) {
            summary.error_kinds.insert(texts.errors.text(code as u32).to_owned(), n);
        }
        for (code, &seen) in self.coverage.iter().enumerate().filter(|(_, c)| c.mature > 0) {
            summary.coverage.insert(texts.versions.text(code as u32).to_owned(), seen);
        }
        let (segments, named) = self.counter.into_segments();
        let mut classes: Vec<String> = texts.classes.texts().map(str::to_owned).collect();
        if summary.numbers != Numbers::default() {
            classes = vec![NUMBER.to_owned()];
        }
        summary.cells = Cells::new(&classes, segments, named);
        summary.positive = positive.into_iter().collect();
        summary.known_classes = known;
        summary.fold();
        summary
    }
}

fn bump(counts: &mut Vec<u64>, code: u16) {
    let code = usize::from(code);
    if code >= counts.len() {
        counts.resize(code + 1, 0);
    }
    counts[code] += 1;
}

fn scores(scores: &mut Scores, row: &Row) {
    let add = |bins: &mut Vec<u64>, score: f64| {
        if score.is_nan() {
            return;
        }
        if bins.is_empty() {
            bins.resize(SCORE_BINS, 0);
        }
        bins[((score * SCORE_BINS as f64) as usize).min(SCORE_BINS - 1)] += 1;
    };
    add(&mut scores.champion, row.champion);
    add(&mut scores.challenger, row.challenger);
}

fn numbers(numbers: &mut Numbers, row: &Row, said: Option<Said>, spec: &Spec) {
    let (champion, challenger) = (row.champion, row.challenger);
    if !champion.is_nan() {
        let agree = !challenger.is_nan() && spec.agrees(champion, challenger);
        numbers.agreement.of(row.group).observe(true, agree);
    }
    let Some(Said::Number(truth)) = said else { return };
    if champion.is_nan() || challenger.is_nan() {
        return;
    }
    let (x, y) = (champion - truth, challenger - truth);
    numbers.absolute.of(row.group).observe(x.abs(), y.abs());
    numbers.squared.of(row.group).observe(x * x, y * y);
    numbers.bias.of(row.group).observe(x, y);
}

/// Both versions' log loss over several classes; none where the probability of the true class is not known.
fn several(((champion, challenger), order): Lists<'_>, truth: u16) -> Option<(f64, f64)> {
    let loss = |list: &[f64], classes: &[u16]| {
        let at = classes.iter().position(|&class| class == truth)?;
        if list.len() != classes.len() {
            return None;
        }
        log_loss(*list.get(at)?)
    };
    Some((loss(champion, &order.0)?, loss(challenger, &order.1)?))
}
