//! How far the live inputs have moved from a reference: what the challenger was trained on, or the benchmark.
//!
//! The reference is kept as a [`Profile`]: a few bins and counts a feature, made once where the file is at hand. Live rows are
//! counted into the same bins. The effect is the Jensen–Shannon distance to base 2, from 0 (the same) to 1 (nothing in
//! common), with the bias of small samples taken off before the root: it keeps its size whatever the number of rows, so the
//! same shift gets the same answer from a hundredth of the data, or `not known`.

use std::collections::BTreeMap;

use seatrial_domain::policy::MetricRule;
use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_stats::Merge;
use seatrial_stats::drift::{
    BinCounts, CategoryBins, Drift, DriftJudgement, NumericBins, jensen_shannon, jensen_shannon_distance,
    judge,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::benchmark::{Benchmark, Values};
use crate::charts::{DriftBar, DriftBars, MAX_POINTS};
use crate::report::{MetricGroup, MetricRow, MetricUnit};
use crate::rows::{self, Name};

/// The name of the profile of a model's benchmark.
pub const BENCHMARK: &str = "the benchmark";

/// Bins of a numeric feature, and the most categories that are told apart.
const BINS: usize = 10;
const CATEGORIES: usize = 20;

/// The most features of a profile; the first by name, so that wide tables stay readable.
pub const MAX_FEATURES: usize = 500;

/// How often no feature at all is called moved when none has: shared over the features.
const ALPHA: f64 = 0.05;

/// What is drawn and named beyond the count.
const NAMED: usize = 5;

/// The distribution of each feature of a reference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// What it is, for example `the benchmark`.
    pub of: String,
    /// Its rows.
    pub rows: u64,
    /// The features.
    pub features: BTreeMap<String, Feature>,
    /// Features beyond [`MAX_FEATURES`] that were left out.
    #[serde(default)]
    pub left_out: u64,
}

/// One feature's bins and how often each occurs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The bins, fixed by the reference.
    pub bins: Bins,
    /// The reference's counts.
    pub counts: BinCounts,
}

/// Bins of numbers, or of categories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// By quantiles, with one for missing values.
    Numeric(NumericBins),
    /// By value, with one for values the reference never had and one for missing values.
    Categories(CategoryBins),
}

impl Profile {
    /// The profile of a table's columns that are features: those that requests bring too. A column that no request has (a label,
    /// a protected attribute that only the benchmark knows) would seem to have moved altogether.
    #[must_use]
    pub fn of(what: &str, table: &Benchmark, is_feature: impl Fn(&str) -> bool) -> Self {
        let mut names: Vec<&str> = table.names().filter(|name| is_feature(name)).collect();
        names.sort_unstable();
        let left_out = names.len().saturating_sub(MAX_FEATURES) as u64;
        let feature = |name: &str| Some((name.to_owned(), Feature::of(table.column(name)?)?));
        let features = names.into_iter().take(MAX_FEATURES).filter_map(feature).collect();
        Self { of: what.to_owned(), rows: table.rows as u64, features, left_out }
    }
}

impl Feature {
    fn of(values: &Values) -> Option<Self> {
        let mut counts = BinCounts::default();
        let numbers = |numbers: Vec<f64>, counts: &mut BinCounts| {
            let bins = NumericBins::from_reference(&numbers, BINS)?;
            numbers.iter().for_each(|x| counts.observe(bins.bin(*x)));
            Some(Bins::Numeric(bins))
        };
        let bins = match values {
            Values::Integers(v) => {
                numbers(v.iter().map(|x| x.map_or(f64::NAN, |x| x as f64)).collect(), &mut counts)?
            }
            Values::Numbers(v) => numbers(v.iter().map(|x| x.unwrap_or(f64::NAN)).collect(), &mut counts)?,
            Values::Flags(v) => {
                let texts: Vec<_> = v.iter().map(|x| x.map(|x| x.to_string())).collect();
                categories(&texts, &mut counts)
            }
            Values::Texts(v) => categories(v, &mut counts),
        };
        Some(Self { bins, counts })
    }

    fn bin(&self, value: Option<&Value>) -> usize {
        match (&self.bins, value) {
            (Bins::Numeric(bins), value) => bins.bin(value.map_or(f64::NAN, number)),
            (Bins::Categories(bins), Some(Value::String(text))) => bins.bin(Some(text)),
            (Bins::Categories(bins), None | Some(Value::Null)) => bins.bin(None),
            (Bins::Categories(bins), Some(value)) => bins.bin(Some(&value.to_string())),
        }
    }
}

fn categories(texts: &[Option<String>], counts: &mut BinCounts) -> Bins {
    let bins = CategoryBins::most_frequent(texts.iter().flatten().map(String::as_str), CATEGORIES);
    texts.iter().for_each(|text| counts.observe(bins.bin(text.as_deref())));
    Bins::Categories(bins)
}

/// A number as servers send it; what is none is missing.
fn number(value: &Value) -> f64 {
    match value {
        Value::Number(n) => n.as_f64().unwrap_or(f64::NAN),
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

/// Live rows counted into the bins of a profile. Merging adds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveCounts {
    /// Rows.
    pub rows: u64,
    counts: BTreeMap<String, BinCounts>,
}

impl LiveCounts {
    /// Counts the inputs of one row.
    pub fn observe(&mut self, profile: &Profile, inputs: &Map<String, Value>) {
        self.rows += 1;
        for (name, feature) in &profile.features {
            let bin = feature.bin(inputs.get(name));
            if let Some(counts) = self.counts.get_mut(name) {
                counts.observe(bin);
            } else {
                self.counts.entry(name.clone()).or_default().observe(bin);
            }
        }
    }
}

impl Merge for LiveCounts {
    fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        for (name, counts) in &other.counts {
            self.counts.entry(name.clone()).or_default().merge(counts);
        }
    }
}

/// What became of every feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    reference: String,
    live_rows: u64,
    reference_rows: u64,
    confidence: f64,
    /// Features with their effects, the largest first.
    features: Vec<(String, Effect)>,
}

/// One feature's effect.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Effect {
    drift: Option<Drift>,
    judgement: DriftJudgement,
}

impl Effect {
    /// The distance, and its interval.
    fn distance(&self) -> Option<(f64, [f64; 2])> {
        let root = |divergence: f64| jensen_shannon_distance(divergence, 2.0).map(|d| d.min(1.0));
        let drift = self.drift?;
        Some((root(drift.corrected)?, [root(drift.interval.low)?, root(drift.interval.high)?]))
    }
}

/// Compares live rows with a profile, feature by feature. `limit` is a distance.
#[must_use]
pub fn compare(profile: &Profile, live: &LiveCounts, limit: f64) -> Moved {
    let confidence = 1.0 - ALPHA / profile.features.len().max(1) as f64;
    let divergence = limit * limit * std::f64::consts::LN_2;
    let mut features: Vec<(String, Effect)> = profile
        .features
        .iter()
        .map(|(name, feature)| {
            let current = live.counts.get(name).map(BinCounts::counts).unwrap_or_default();
            let drift = jensen_shannon(feature.counts.counts(), current, confidence);
            (name.clone(), Effect { drift, judgement: judge(drift.as_ref(), divergence) })
        })
        .collect();
    let size = |effect: &Effect| effect.drift.map_or(-1.0, |d| d.corrected);
    features.sort_by(|a, b| size(&b.1).total_cmp(&size(&a.1)).then_with(|| a.0.cmp(&b.0)));
    Moved {
        reference: profile.of.clone(),
        live_rows: live.rows,
        reference_rows: profile.rows,
        confidence,
        features,
    }
}

impl Moved {
    /// What live rows are compared with.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// How many live rows there are.
    #[must_use]
    pub fn live_rows(&self) -> u64 {
        self.live_rows
    }

    fn of(&self, judgement: DriftJudgement) -> impl Iterator<Item = &(String, Effect)> {
        self.features.iter().filter(move |(_, effect)| effect.judgement == judgement)
    }

    /// All features in one row: fails when one has surely moved beyond the limit, passes when none can have.
    #[must_use]
    pub fn row(&self, rule: &MetricRule, min_n: u64) -> MetricRow {
        let name =
            Name { group: MetricGroup::Shadow, name: "drift", segment: None, unit: MetricUnit::Number };
        let mut row = rows::without(name, rule, String::new());
        row.n = self.live_rows;
        row.margin = None;
        if let Some((effect, interval)) = self.features.first().and_then(|(_, effect)| effect.distance()) {
            row.challenger = Some(effect);
            row.interval = Some(interval);
            row.confidence = Some(self.confidence);
        }
        let seen = format!(
            "{} features of {} live rows beside {} rows of {}",
            self.features.len(),
            self.live_rows,
            self.reference_rows,
            self.reference
        );
        let Some(limit) = rule.limit else {
            row.class = MetricClass::Info;
            row.why = format!("{seen}: {}; shown only: the policy sets no limit", self.largest());
            return row;
        };
        if self.live_rows < min_n {
            row.n_needed = Some(min_n);
            row.why = format!("{seen}; {min_n} live rows are needed");
            return row;
        }
        let moved = self.of(DriftJudgement::Drifted).count();
        let open = self.of(DriftJudgement::NotKnown).count();
        let (verdict, what) = if moved > 0 {
            (Verdict::Fail, format!("{moved} moved beyond {limit}: {}", self.list(DriftJudgement::Drifted)))
        } else if open > 0 || self.features.is_empty() {
            (
                Verdict::Inconclusive,
                format!(
                    "of {open} it is not known whether they moved beyond {limit}: {}",
                    self.list(DriftJudgement::NotKnown)
                ),
            )
        } else {
            (Verdict::Pass, format!("none moved beyond {limit}; {}", self.largest()))
        };
        row.verdict = verdict;
        row.why =
            format!("{seen}: {what} (Jensen–Shannon distance, intervals for all features at once at 95 %)");
        row
    }

    /// How far live rows are from the reference, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} live rows beside {}: {}", self.live_rows, self.reference, self.largest())
    }

    fn largest(&self) -> String {
        self.features.iter().find_map(said).map_or_else(
            || "no feature could be compared".to_owned(),
            |largest| format!("the largest shift is {largest}"),
        )
    }

    fn list(&self, judgement: DriftJudgement) -> String {
        let all = self.of(judgement).count();
        let mut named: Vec<String> = self
            .of(judgement)
            .take(NAMED)
            .map(|feature| said(feature).unwrap_or_else(|| format!("{} (no value)", feature.0)))
            .collect();
        if all > NAMED {
            named.push(format!("and {} more", all - NAMED));
        }
        named.join(", ")
    }

    /// The bars of the chart.
    #[must_use]
    pub fn bars(&self, limit: Option<f64>) -> DriftBars {
        let bars: Vec<DriftBar> = self
            .features
            .iter()
            .filter_map(|(name, effect)| {
                let (size, interval) = effect.distance()?;
                Some(DriftBar {
                    feature: name.clone(),
                    effect: size,
                    interval: Some(interval),
                    limit,
                    n: effect.drift.map_or(0, |d| d.current_n),
                    verdict: match effect.judgement {
                        DriftJudgement::Stable => Verdict::Pass,
                        DriftJudgement::Drifted => Verdict::Fail,
                        DriftJudgement::NotKnown => Verdict::Inconclusive,
                    },
                })
            })
            .collect();
        DriftBars {
            current: "live requests".into(),
            reference: self.reference.clone(),
            measure: "Jensen–Shannon distance, bias-corrected".into(),
            left_out: bars.len().saturating_sub(MAX_POINTS) as u64,
            bars: bars.into_iter().take(MAX_POINTS).collect(),
        }
    }
}

fn said((name, effect): &(String, Effect)) -> Option<String> {
    let (size, [low, high]) = effect.distance()?;
    Some(format!("{name} {size:.3} ({low:.3} to {high:.3})"))
}
