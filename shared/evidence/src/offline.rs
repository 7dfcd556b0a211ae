//! The rows of the held-out benchmark. Pure: truths and answers in, judged rows out.
//!
//! A row on which a version fails counts as wrong in every metric: a class of its own that no row has, probability 0 for the
//! truth, the wrong side for fairness. Where units repeat, intervals come from the delete-a-group jackknife over units.

use std::collections::{BTreeMap, BTreeSet};

use seatrial_domain::policy::{MetricRule, Policy, applies};
use seatrial_domain::verdict::{MetricClass, Verdict};
use seatrial_stats::auc::{auc, delong};
use seatrial_stats::bootstrap::Bootstrap;
use seatrial_stats::calibration::Calibration;
use seatrial_stats::confusion::Confusion;
use seatrial_stats::fairness::{AbsentClass, FairnessCells, FairnessMetric};
use seatrial_stats::intervals::{PairedCounts, wilson};
use seatrial_stats::jackknife::Grouped;
use seatrial_stats::joint::JointConfusion;
use seatrial_stats::losses::log_loss;
use seatrial_stats::paired::PairedMoments;
use seatrial_stats::sketch::LatencySketch;
use seatrial_stats::{Arm, Interval, Merge};

use crate::evaluation::VersionSummary;
use crate::progress::CONFIDENCE;
use crate::report::{MetricGroup, MetricRow, MetricUnit};
use crate::rows::{self, Estimate, Name};

/// What stands for the answer of a version that failed.
pub const FAILED: &str = "(failed)";

/// What one version answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    /// The classes in the order of its scores.
    pub classes: Vec<String>,
    /// The class of each row, or the kind of its error.
    pub labels: Vec<Result<String, String>>,
    /// The probabilities of each row.
    pub scores: Vec<Option<Vec<f64>>>,
    /// Latencies of single calls.
    pub latency: LatencySketch,
}

/// A benchmark with everything the metrics need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// The true class of each row.
    pub truths: Vec<String>,
    /// The unit of each row, where the benchmark names units.
    pub units: Option<Vec<String>>,
    /// The values of each segment column.
    pub segments: BTreeMap<String, Vec<Option<String>>>,
    /// The positive class, for two classes.
    pub positive: Option<String>,
    /// The champion's answers.
    pub champion: Option<Answers>,
    /// The challenger's.
    pub challenger: Answers,
    /// The seed of every resampling.
    pub seed: u64,
}

impl Answers {
    fn label(&self, row: usize) -> &str {
        self.labels.get(row).and_then(|l| l.as_deref().ok()).unwrap_or(FAILED)
    }

    fn failed(&self, row: usize) -> bool {
        self.label(row) == FAILED
    }

    fn probability(&self, row: usize, class: &str) -> Option<f64> {
        let place = self.classes.iter().position(|c| c == class)?;
        self.scores.get(row)?.as_ref()?.get(place).copied()
    }

    /// The probability of the truth; 0 for a failure. `None` when the version gives no scores.
    fn of_truth(&self, row: usize, truth: &str) -> Option<f64> {
        if self.failed(row) { Some(0.0) } else { Some(self.probability(row, truth)?.clamp(0.0, 1.0)) }
    }

    /// The score for ranking by `positive`; a failure ranks on the wrong end.
    fn rank(&self, row: usize, truth: bool, positive: &str) -> Option<f64> {
        if self.failed(row) { Some(f64::from(u8::from(!truth))) } else { self.probability(row, positive) }
    }

    /// The confidence in the answer and whether it was right, for calibration: of the positive class where there is one.
    fn confidence(&self, row: usize, truth: &str, positive: Option<&str>) -> Option<(f64, bool)> {
        if self.failed(row) {
            return Some((1.0, false));
        }
        let class = positive.unwrap_or_else(|| self.label(row));
        Some((self.probability(row, class)?.clamp(0.0, 1.0), truth == class))
    }
}

/// Rows of the benchmark; merging puts them together.
#[derive(Debug, Clone, Default, PartialEq)]
struct Part(Vec<usize>);

impl Merge for Part {
    fn merge(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }
}

/// All rows by the policy's offline rules.
#[must_use]
pub fn rows(data: &Judged, policy: &Policy) -> Vec<MetricRow> {
    let bench = Bench::new(data);
    let offline = &policy.offline;
    let mut rows = Vec::new();
    for (metric, rule) in offline.metrics.iter().filter(|(metric, _)| applies(metric, policy.task)) {
        let unit = unit_of(metric);
        let name = Name { group: MetricGroup::Offline, name: metric, segment: None, unit };
        let paired = data.champion.is_some();
        match metric.as_str() {
            "segment_accuracy" => rows.extend(bench.segments(policy, rule)),
            "demographic_parity" | "equalised_odds" => rows.extend(bench.fairness(policy, metric, rule)),
            _ => match bench.estimate(metric) {
                Ok(estimate) => {
                    let min_n =
                        if metric.starts_with("latency") { 100.min(offline.min_n) } else { offline.min_n };
                    rows.push(rows::judge(name, rule, &estimate, min_n, paired));
                }
                Err(why) => {
                    let rule = MetricRule { class: MetricClass::Info, ..*rule };
                    rows.push(rows::without(name, &rule, why));
                }
            },
        }
    }
    rows.sort_by_key(|r| (r.segment.is_some(), r.class != MetricClass::Guardrail));
    rows
}

/// Every offline row without a benchmark: never a pass.
#[must_use]
pub fn rows_without_benchmark(policy: &Policy) -> Vec<MetricRow> {
    let why =
        "no benchmark is set for the model: nothing could be measured; set one with `seatrial benchmark set`";
    let row = |(metric, rule): (&String, &MetricRule)| {
        let name = Name { group: MetricGroup::Offline, name: metric, segment: None, unit: unit_of(metric) };
        rows::without(name, rule, why)
    };
    policy.offline.metrics.iter().map(row).collect()
}

const fn of_segment(segment: &str) -> Name<'_> {
    Name {
        group: MetricGroup::Offline,
        name: "segment_accuracy",
        segment: Some(segment),
        unit: MetricUnit::Share,
    }
}

fn unit_of(metric: &str) -> MetricUnit {
    match metric {
        m if m.starts_with("latency") => MetricUnit::Microseconds,
        "log_loss" | "ece" => MetricUnit::Number,
        _ => MetricUnit::Share,
    }
}

struct Bench<'a> {
    data: &'a Judged,
    all: Vec<usize>,
    /// Rows by unit, where units repeat; by row otherwise.
    grouped: Grouped<Part>,
    clustered: bool,
}

type Metric<'a> = Box<dyn Fn(&Answers, &[usize]) -> Option<f64> + 'a>;

impl<'a> Bench<'a> {
    fn new(data: &'a Judged) -> Self {
        let all: Vec<usize> = (0..data.truths.len()).collect();
        let units = data.units.as_ref();
        let clustered = units.is_some_and(|u| u.iter().collect::<BTreeSet<_>>().len() < u.len());
        let mut grouped = Grouped::<Part>::default();
        for row in &all {
            let unit = units.map_or_else(|| row.to_string(), |u| u[*row].clone());
            grouped.of_unit(&unit).0.push(*row);
        }
        Self { data, all, grouped, clustered }
    }

    fn truth(&self, row: usize) -> &str {
        &self.data.truths[row]
    }

    fn jackknife(&self, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Interval> {
        self.grouped.jackknife(CONFIDENCE, |part| statistic(&part.0)).map(|j| j.interval)
    }

    /// Any metric of one version's answers, by the jackknife.
    fn by_jackknife(&self, metric: &Metric<'_>) -> Estimate {
        let ours = self.data.champion.as_ref();
        let theirs = &self.data.challenger;
        let champion = ours.and_then(|c| metric(c, &self.all));
        let challenger = metric(theirs, &self.all);
        let delta = |part: &[usize]| Some(metric(theirs, part)? - metric(ours?, part)?);
        Estimate {
            how: "delete-a-group jackknife",
            n: self.all.len() as u64,
            champion,
            challenger,
            delta: champion.zip(challenger).map(|(x, y)| y - x),
            interval: ours.and_then(|_| self.jackknife(delta)),
            own: self.jackknife(|part| metric(theirs, part)),
        }
    }

    fn metric(&self, name: &str) -> Result<Metric<'_>, String> {
        let positive = self.data.positive.as_deref();
        Ok(match name {
            "accuracy" => Box::new(|a, part| {
                let right = part.iter().filter(|&&r| a.label(r) == self.truth(r)).count();
                (!part.is_empty()).then(|| right as f64 / part.len() as f64)
            }),
            "macro_f1" => Box::new(|a, part| self.confusion(a, part).macro_f1()),
            "log_loss" => Box::new(|a, part| {
                let losses = part.iter().map(|&r| log_loss(a.of_truth(r, self.truth(r))?));
                let sum: f64 = losses.collect::<Option<Vec<_>>>()?.iter().sum();
                (!part.is_empty()).then(|| sum / part.len() as f64)
            }),
            "auc" => {
                let positive = positive.ok_or("AUC is defined for two classes; this model has several")?;
                Box::new(move |a, part| {
                    let (truths, scores) = self.ranks(a, part, positive)?;
                    auc(&truths, &scores)
                })
            }
            "ece" => Box::new(move |a, part| {
                let mut calibration = Calibration::default();
                for &r in part {
                    let (confidence, hit) = a.confidence(r, self.truth(r), positive)?;
                    calibration.observe(confidence, hit);
                }
                calibration.ece()
            }),
            other => return Err(format!("{other} is not measured on a benchmark")),
        })
    }

    fn confusion(&self, a: &Answers, part: &[usize]) -> Confusion {
        let mut confusion = Confusion::default();
        part.iter().for_each(|&r| confusion.observe(self.truth(r), a.label(r)));
        confusion
    }

    fn ranks(&self, a: &Answers, part: &[usize], positive: &str) -> Option<(Vec<bool>, Vec<f64>)> {
        let truths: Vec<bool> = part.iter().map(|&r| self.truth(r) == positive).collect();
        let scores =
            part.iter().zip(&truths).map(|(&r, &t)| a.rank(r, t, positive)).collect::<Option<_>>()?;
        Some((truths, scores))
    }

    fn estimate(&self, name: &str) -> Result<Estimate, String> {
        if let Some(q) = name.strip_prefix("latency_p").and_then(|p| p.parse::<f64>().ok()) {
            return Ok(rows::latency(
                self.data.champion.as_ref().map(|c| &c.latency),
                &self.data.challenger.latency,
                q / 100.0,
            ));
        }
        let metric = self.metric(name)?;
        let mut estimate = self.by_jackknife(&metric);
        if self.clustered || name == "ece" {
            return Ok(estimate);
        }
        // Rows are independent: the methods made for them are exact, or nearly so.
        if name == "accuracy" {
            let right =
                self.all.iter().filter(|&&r| self.data.challenger.label(r) == self.truth(r)).count() as u64;
            estimate.own = wilson(right, estimate.n, CONFIDENCE);
        }
        let Some(champion) = &self.data.champion else { return Ok(estimate) };
        let bootstrap = Bootstrap::with_seed(self.data.seed);
        let made = match name {
            "accuracy" => self
                .correctness(champion, &self.all)
                .difference(CONFIDENCE)
                .map(|d| (Some(d.interval), "Newcombe, paired")),
            "macro_f1" => {
                let mut joint = JointConfusion::default();
                self.all.iter().for_each(|&r| {
                    joint.observe(self.truth(r), champion.label(r), self.data.challenger.label(r));
                });
                joint.macro_f1(bootstrap).map(|m| (m.interval, "Poisson bootstrap of joint cells"))
            }
            "log_loss" => {
                let mut moments = PairedMoments::default();
                for &r in &self.all {
                    let loss = |a: &Answers| a.of_truth(r, self.truth(r)).and_then(log_loss);
                    if let (Some(x), Some(y)) = (loss(champion), loss(&self.data.challenger)) {
                        moments.observe(x, y);
                    }
                }
                moments.mean_difference(CONFIDENCE).map(|d| (Some(d.interval), "paired t"))
            }
            "auc" => self.data.positive.as_deref().and_then(|positive| {
                let (truths, ours) = self.ranks(champion, &self.all, positive)?;
                let (_, theirs) = self.ranks(&self.data.challenger, &self.all, positive)?;
                delong(&truths, &ours, &theirs).map(|d| (d.interval(CONFIDENCE), "DeLong, paired"))
            }),
            _ => None,
        };
        if let Some((interval, how)) = made {
            (estimate.interval, estimate.how) = (interval, how);
        }
        Ok(estimate)
    }

    fn correctness(&self, champion: &Answers, part: &[usize]) -> PairedCounts {
        let mut counts = PairedCounts::default();
        for &r in part {
            counts
                .observe(champion.label(r) == self.truth(r), self.data.challenger.label(r) == self.truth(r));
        }
        counts
    }

    /// Accuracy in each segment.
    fn segments(&self, policy: &Policy, rule: &MetricRule) -> Vec<MetricRow> {
        let mut rows = Vec::new();
        for column in policy.segment_columns() {
            let Some(values) = self.data.segments.get(&column) else {
                rows.push(rows::without(
                    of_segment(&column),
                    rule,
                    format!("the benchmark has no column {column}"),
                ));
                continue;
            };
            let mut parts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (row, value) in values.iter().enumerate() {
                if let Some(value) = value {
                    parts.entry(value).or_default().push(row);
                }
            }
            for named in policy.named_segments.iter().filter_map(|s| s.strip_prefix(&format!("{column}="))) {
                parts.entry(named).or_default();
            }
            for (value, part) in parts {
                let segment = format!("{column}={value}");
                rows.push(self.segment(policy, rule, &segment, &part));
            }
        }
        rows
    }

    fn segment(&self, policy: &Policy, rule: &MetricRule, segment: &str, part: &[usize]) -> MetricRow {
        let named = policy.named_segments.iter().any(|s| s == segment);
        let n = part.len() as u64;
        let share = |a: &Answers| {
            let right = part.iter().filter(|&&r| a.label(r) == self.truth(r)).count();
            (n > 0).then(|| right as f64 / n as f64)
        };
        let right = part.iter().filter(|&&r| self.data.challenger.label(r) == self.truth(r)).count() as u64;
        let champion = self.data.champion.as_ref();
        let difference = champion.and_then(|c| self.correctness(c, part).difference(CONFIDENCE));
        let estimate = Estimate {
            how: "Newcombe, paired",
            n,
            champion: champion.and_then(share),
            challenger: share(&self.data.challenger),
            delta: difference.map(|d| d.delta),
            interval: difference.map(|d| d.interval),
            own: wilson(right, n, CONFIDENCE),
        };
        let mut row =
            rows::judge(of_segment(segment), rule, &estimate, policy.segment_min_n, champion.is_some());
        if n < policy.segment_min_n && !named {
            row.class = MetricClass::Info;
            row.why = format!("not judged: {}", row.why);
        }
        row
    }

    /// The paired increase of a fairness difference, for each protected column.
    fn fairness(&self, policy: &Policy, metric: &str, rule: &MetricRule) -> Vec<MetricRow> {
        let kind = if metric == "demographic_parity" {
            FairnessMetric::DemographicParity
        } else {
            FairnessMetric::EqualisedOdds(AbsentClass::Leave)
        };
        let bootstrap = Bootstrap::with_seed(self.data.seed);
        let mut rows = Vec::new();
        for column in &policy.protected {
            let name = Name {
                group: MetricGroup::Offline,
                name: metric,
                segment: Some(column),
                unit: MetricUnit::Share,
            };
            let Some(positive) = self.data.positive.as_deref() else {
                let rule = MetricRule { class: MetricClass::Info, ..*rule };
                rows.push(rows::without(
                    name,
                    &rule,
                    "this difference is defined for two classes; this model has several",
                ));
                continue;
            };
            let Some(values) = self.data.segments.get(column) else {
                rows.push(rows::without(name, rule, format!("the benchmark has no column {column}")));
                continue;
            };
            let (cells, left_out) =
                self.cells(values, positive, self.data.champion.as_ref()).of_at_least(policy.segment_min_n);
            // Beside a version that never says yes the increase is the challenger's own difference.
            let own = self
                .cells(values, positive, None)
                .of_at_least(policy.segment_min_n)
                .0
                .increase(kind, bootstrap);
            let paired = self.data.champion.as_ref().and_then(|_| cells.increase(kind, bootstrap));
            let estimate = Estimate {
                how: "Poisson bootstrap of joint cells",
                n: cells.n(),
                champion: paired.map(|p| p.champion),
                challenger: own.map(|p| p.challenger),
                delta: paired.map(|p| p.delta),
                interval: paired.and_then(|p| p.interval),
                own: own.and_then(|p| p.interval),
            };
            let mut row =
                rows::judge(name, rule, &estimate, policy.offline.min_n, self.data.champion.is_some());
            if !left_out.is_empty() {
                row.why.push_str(&format!(
                    "; groups with fewer than {} rows are left out: {}",
                    policy.segment_min_n,
                    left_out.join(", ")
                ));
            }
            rows.push(row);
        }
        rows
    }

    fn cells(&self, values: &[Option<String>], positive: &str, champion: Option<&Answers>) -> FairnessCells {
        let mut cells = FairnessCells::default();
        for (row, group) in values.iter().enumerate() {
            let Some(group) = group else { continue };
            let truth = self.truth(row) == positive;
            // A failure is the wrong decision.
            let decided = |a: &Answers| if a.failed(row) { !truth } else { a.label(row) == positive };
            cells.observe(group, truth, champion.is_some_and(decided), decided(&self.data.challenger));
        }
        cells
    }
}

/// One version on the benchmark, for people.
#[must_use]
pub fn summary(data: &Judged, answers: &Answers, policy: &Policy) -> VersionSummary {
    let bench = Bench::new(data);
    let confusion = bench.confusion(answers, &bench.all);
    let mut errors = BTreeMap::new();
    for kind in answers.labels.iter().filter_map(|l| l.as_ref().err()) {
        *errors.entry(kind.clone()).or_default() += 1;
    }
    let groups = policy.protected.iter().filter_map(|column| {
        let (values, positive) = (data.segments.get(column)?, data.positive.as_deref()?);
        Some((column.clone(), bench.cells(values, positive, Some(answers)).rates(Arm::Champion)))
    });
    let q = |q| answers.latency.quantile_us(q);
    VersionSummary {
        answered: answers.labels.iter().filter(|l| l.is_ok()).count() as u64,
        errors,
        accuracy: confusion.accuracy(),
        macro_f1: confusion.macro_f1(),
        classes: confusion.classes(),
        confusion: confusion.cells().map(|(t, p, n)| (t.to_owned(), p.to_owned(), n)).collect(),
        groups: groups.collect(),
        latency_us: q(0.5).zip(q(0.95)).zip(q(0.99)).map(|((a, b), c)| [a, b, c]),
    }
}

/// The worst guardrail row, and a sentence about it.
#[must_use]
pub fn verdict(rows: &[MetricRow]) -> (Verdict, String) {
    let guardrails: Vec<&MetricRow> = rows.iter().filter(|r| r.class == MetricClass::Guardrail).collect();
    let verdict = Verdict::worst(guardrails.iter().map(|r| r.verdict));
    let of = |v: Verdict| guardrails.iter().filter(move |r| r.verdict == v);
    let why = match (verdict, of(verdict).next()) {
        (_, None) => "no guardrail could be judged".to_owned(),
        (Verdict::Pass, _) => format!("all {} guardrails pass", guardrails.len()),
        (word, Some(first)) => {
            let also = of(verdict).count() - 1;
            let more = if also > 0 { format!(" (and {also} more)") } else { String::new() };
            let what = if word == Verdict::Fail { "fails" } else { "is inconclusive" };
            format!("{} {what}: {}{more}", first.name, first.why)
        }
    };
    (verdict, why)
}
