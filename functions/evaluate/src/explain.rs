//! Which columns both versions' answers rest on, where the policy asks: Shapley values on a sample of the benchmark, against a
//! sample of the challenger's training data.
//!
//! Both versions are explained on the same rows against the same background; else what differs might be the rows. Rows are
//! taken evenly over their files, whatever order these have.

use std::path::Path;

use seatrial_domain::canonical;
use seatrial_domain::head::BenchmarkRef;
use seatrial_domain::ids::{Digest, VersionRef};
use seatrial_domain::package::REFERENCE;
use seatrial_domain::policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::verdict::Verdict;
use seatrial_evidence::benchmark::Benchmark;
use seatrial_evidence::explanations::{
    ExplanationMethod, ExplanationScale, Explanations, RowExplanation, Sample, VersionExplanation,
};
use seatrial_evidence::report::{MetricGroup, MetricRow, MetricUnit};
use seatrial_evidence::rows::{self, Name};
use seatrial_inference::explain::{Explanation, Method, Sampling, Scale, explain};
use seatrial_inference::{Batch, Model, Runtime};

use crate::run::batch;

/// The most numbers of one version that the document holds: some ten megabytes.
const MOST_NUMBERS: usize = 400_000;
/// The most rows that one version is run on while its values are estimated.
const MOST_RUNS: usize = 500_000;
/// The fewest rows of a sample that say anything.
const FEWEST_ROWS: usize = 10;
/// The row in the report.
const NAME: Name<'_> =
    Name { group: MetricGroup::Offline, name: "explanations", segment: None, unit: MetricUnit::Number };

/// A version that is explained.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) version: &'a VersionRef,
    pub(crate) folder: &'a Path,
    pub(crate) model: &'a Model,
}

/// A file of rows.
#[derive(Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) digest: &'a Digest,
    pub(crate) table: &'a Benchmark,
}

/// What came of it.
pub(crate) struct Outcome {
    /// The row that says whether the requirement is met.
    pub(crate) row: MetricRow,
    /// The evidence; none where nothing could be explained.
    pub(crate) document: Option<Explanations>,
}

/// An unmet requirement.
pub(crate) fn unmet(asked: &policy::Explanations, why: impl Into<String>) -> Outcome {
    Outcome { row: row(asked, 0, Verdict::Inconclusive, why), document: None }
}

fn row(asked: &policy::Explanations, n: usize, verdict: Verdict, why: impl Into<String>) -> MetricRow {
    MetricRow { class: asked.class, ..rows::check(NAME, n as u64, verdict, why) }
}

/// The benchmark, if there is one to explain rows of.
pub(crate) fn sample_of<'a>(
    benchmark: Option<(&'a BenchmarkRef, &'a Benchmark)>,
) -> Result<File<'a>, &'static str> {
    benchmark.map(|(reference, table)| File { digest: &reference.digest, table }).ok_or(
        "the policy asks for explanations, and there is no benchmark to explain rows of; set one with `seatrial benchmark set`",
    )
}

/// Explains the challenger, and the champion where there is one.
pub(crate) fn run(
    runtime: &'static Runtime,
    asked: &policy::Explanations,
    record: &PromotionRecord,
    (champion, challenger): (Option<Subject<'_>>, Subject<'_>),
    (reference, benchmark): (File<'_>, File<'_>),
) -> Outcome {
    let versions = || champion.into_iter().chain([challenger]);
    let columns = versions().map(|v| v.model.columns().len() * v.model.config().classes.len().max(1)).max();
    let affordable = (MOST_NUMBERS / columns.unwrap_or(1).max(1)).max(FEWEST_ROWS);
    let wanted = (asked.rows as usize).min(affordable);
    let all: Vec<&Model> = versions().map(|v| v.model).collect();
    let (sample, left_out) = answered(&all, benchmark.table, wanted);
    let (background, unfit) = answered(&[challenger.model], reference.table, asked.background as usize);
    if background.len() < FEWEST_ROWS {
        let why = format!(
            "the policy asks for explanations, and the challenger answers only {} of {} rows of its own {REFERENCE}; expected its input columns ({}), as the model takes them, in at least {FEWEST_ROWS} rows",
            background.len(),
            background.len() + unfit,
            names(challenger.model)
        );
        return unmet(asked, why);
    }
    if sample.len() < FEWEST_ROWS {
        let found = sample.len();
        return unmet(
            asked,
            format!(
                "only {found} rows of the benchmark's sample are answered by every version; expected at least {FEWEST_ROWS}"
            ),
        );
    }
    let seed = canonical::sha256(format!("explanations of {}", record.id).as_bytes()).hex()[..16].to_owned();
    let one = |subject: Subject<'_>| {
        let found = of_version(
            runtime,
            asked,
            &seed,
            subject,
            (benchmark.table, &sample),
            (reference.table, &background),
        );
        found.map_err(|why| format!("{} could not be explained: {why}", subject.version.version))
    };
    let (champion, challenger) = (champion.map(one), one(challenger));
    let failures: Vec<String> =
        champion.iter().chain([&challenger]).filter_map(|found| found.as_ref().err()).cloned().collect();
    let mut notes = failures.clone();
    if left_out > 0 {
        notes
            .push(format!("{left_out} rows of the benchmark's sample are left out: a version fails on them"));
    }
    if wanted < asked.rows as usize {
        notes.push(format!("{wanted} rows are explained instead of {}: there are many columns", asked.rows));
    }
    let places = |rows: &[usize]| rows.iter().map(|row| *row as u64).collect();
    let document = Explanations {
        schema: 1,
        model: record.model.clone(),
        promotion: record.id.clone(),
        background: Sample {
            digest: reference.digest.clone(),
            of: reference.table.rows as u64,
            rows: places(&background),
        },
        sample: Sample {
            digest: benchmark.digest.clone(),
            of: benchmark.table.rows as u64,
            rows: places(&sample),
        },
        champion: champion.and_then(Result::ok),
        challenger: challenger.ok(),
        notes,
    };
    let n = sample.len();
    if !failures.is_empty() {
        let kept = document.champion.is_some() || document.challenger.is_some();
        let row = row(asked, n, Verdict::Inconclusive, failures.join("; "));
        return Outcome { row, document: kept.then_some(document) };
    }
    let who = if document.champion.is_some() { "both versions" } else { "the version" };
    let why = format!(
        "Shapley values of {who} on {n} benchmark rows, against {} rows of the challenger's {REFERENCE}",
        background.len()
    );
    Outcome { row: row(asked, n, Verdict::Pass, why), document: Some(document) }
}

/// Up to `wanted` rows, evenly over the table, that all of these models answer; and how many they do not.
fn answered(models: &[&Model], table: &Benchmark, wanted: usize) -> (Vec<usize>, usize) {
    let count = wanted.min(table.rows);
    let rows: Vec<usize> = (0..count).map(|i| i * table.rows / count).collect();
    let mut good = vec![true; rows.len()];
    for model in models {
        let part = batch(*model, table).ok().and_then(|all| all.rows_at(&rows));
        let answers = part.map(|part| model.predict_each(&part)).unwrap_or_default();
        let fine = |i: usize| answers.get(i).is_some_and(Result::is_ok);
        good.iter_mut().enumerate().for_each(|(i, good)| *good &= fine(i));
    }
    let kept: Vec<usize> = rows.iter().zip(&good).filter(|(_, good)| **good).map(|(row, _)| *row).collect();
    let left_out = rows.len() - kept.len();
    (kept, left_out)
}

fn names(model: &Model) -> String {
    let all: Vec<&str> = model.columns().iter().map(|c| c.name.as_str()).take(20).collect();
    all.join(", ")
}

fn of_version(
    runtime: &'static Runtime,
    asked: &policy::Explanations,
    seed: &str,
    subject: Subject<'_>,
    (benchmark, sample): (&Benchmark, &[usize]),
    (reference, background): (&Benchmark, &[usize]),
) -> Result<VersionExplanation, String> {
    let of = |what: &str, table: &Benchmark, rows: &[usize]| -> Result<Batch, String> {
        let all = batch(subject.model, table)
            .map_err(|e| format!("{what} does not fit its inputs: {}", e.message()))?;
        all.rows_at(rows).ok_or_else(|| format!("{what} has no rows"))
    };
    let (rows, background) = (of("the benchmark", benchmark, sample)?, of(REFERENCE, reference, background)?);
    let sampling = Sampling {
        seed: u64::from_str_radix(seed, 16).unwrap_or(0),
        orders: asked.orders as usize,
        most_runs: MOST_RUNS,
    };
    let found = explain(runtime, subject.folder, subject.model, &rows, &background, sampling);
    let Explanation { method, why_sampled, scale, outputs, features, expected, rows } =
        found.map_err(|e| e.message().to_owned())?;
    let method = match method {
        Method::Trees => ExplanationMethod::Trees,
        Method::Permutations { orders } => ExplanationMethod::Permutations {
            orders: orders as u64,
            seed: seed.to_owned(),
            why: why_sampled.unwrap_or_default(),
        },
    };
    let scale = match scale {
        Scale::Margin => ExplanationScale::Margin,
        Scale::Probability => ExplanationScale::Probability,
        Scale::Value => ExplanationScale::Value,
    };
    let rows =
        rows.into_iter().map(|r| RowExplanation { output: r.output, values: r.values, errors: r.errors });
    Ok(VersionExplanation::new(
        subject.version.clone(),
        (method, scale),
        (outputs, features),
        expected,
        rows.collect(),
    ))
}
