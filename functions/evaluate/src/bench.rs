//! From a benchmark file and two loaded versions to what the metrics need.

use std::collections::BTreeMap;

use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_evidence::benchmark::{Benchmark, Values};
use seatrial_evidence::offline::{Judged, Truths};
use seatrial_inference::{Runner, Task};
use seatrial_runtime::Failure;

use crate::run;

/// The column that holds the truth.
const LABEL: &str = "label";
/// The column that names what rows belong together.
const UNIT: &str = "unit";
/// The column that says how much a row counts.
const WEIGHT: &str = "weight";

/// Runs both versions on all rows.
pub(crate) fn judge(
    record: &PromotionRecord,
    policy: &Policy,
    benchmark: &Benchmark,
    champion: Option<&dyn Runner>,
    challenger: &dyn Runner,
) -> Result<Judged, Failure> {
    let config = challenger.config();
    if let Some(other) = champion.map(|c| c.config().task).filter(|task| *task != config.task) {
        return Err(Failure::invalid(format!(
            "the champion answers {}, the challenger {}: their answers cannot be compared; promote the challenger as a model of its own",
            other.as_str(),
            config.task.as_str()
        )));
    }
    let truths = if config.task.is_classification() {
        Truths::Classes(classes(benchmark, &config.classes)?)
    } else {
        Truths::Numbers(numbers(benchmark, LABEL, "every row needs the number that is true of it")?)
    };
    let weights = match benchmark.column(WEIGHT) {
        Some(_) => Some(weights(benchmark)?),
        None => None,
    };
    let units = benchmark.texts(UNIT).map(|units| {
        let named = units.into_iter().enumerate();
        named.map(|(row, unit)| unit.unwrap_or_else(|| format!("row {row}"))).collect()
    });
    let segments: BTreeMap<String, Vec<Option<String>>> = policy
        .segment_columns()
        .into_iter()
        .filter_map(|column| Some((column.clone(), benchmark.texts(&column)?)))
        .collect();
    let positive = match config.task {
        Task::Binary => policy.positive_class.clone().or_else(|| config.positive_class.clone()),
        _ => None,
    };
    // The first eight bytes of the promotion's hash: the same promotion resamples and times in the same order.
    let digest = seatrial_domain::canonical::sha256(record.id.as_str().as_bytes());
    let seed = u64::from_str_radix(&digest.hex()[..16], 16).unwrap_or(0);
    let mut champion_answers = champion.map(|model| run::answers(model, benchmark));
    if let Some(code) = champion_answers.as_ref().and_then(run::unanswered) {
        // That nobody answered says nothing about the champion, and counted as wrong it would make any challenger look better.
        return Err(Failure::unavailable("asking the champion about the benchmark", code));
    }
    let mut challenger_answers = run::answers(challenger, benchmark);
    run::latency(
        seed,
        benchmark,
        champion.zip(champion_answers.as_mut()),
        (challenger, &mut challenger_answers),
    );
    Ok(Judged {
        truths,
        weights,
        units,
        segments,
        positive,
        champion: champion_answers,
        challenger: challenger_answers,
        seed,
    })
}

fn classes(benchmark: &Benchmark, classes: &[String]) -> Result<Vec<String>, Failure> {
    let labels = benchmark.texts(LABEL).ok_or_else(|| missing(benchmark))?;
    let truths: Option<Vec<String>> = labels.into_iter().collect();
    let truths = truths.ok_or_else(|| {
        Failure::invalid("the benchmark has rows without a `label`; every row needs its truth")
    })?;
    if !truths.iter().any(|t| classes.contains(t)) {
        return Err(Failure::invalid(format!(
            "no `label` of the benchmark is a class of the version: found {:?}, expected one of {}; set a benchmark that is labelled with the model's classes",
            truths.first().map_or("", String::as_str),
            classes.join(", ")
        )));
    }
    Ok(truths)
}

/// A column of finite numbers, none missing.
fn numbers(benchmark: &Benchmark, column: &str, need: &str) -> Result<Vec<f64>, Failure> {
    let wrong = |row: usize, found: &str| {
        Failure::invalid(format!(
            "row {row} of the benchmark has {found} as its `{column}`; {need}: a finite number"
        ))
    };
    let values: Vec<Option<f64>> = match benchmark.column(column) {
        Some(Values::Integers(v)) => v.iter().map(|x| x.map(|x| x as f64)).collect(),
        Some(Values::Numbers(v)) => v.clone(),
        Some(Values::Flags(_) | Values::Texts(_)) => {
            return Err(Failure::invalid(format!(
                "the benchmark's column `{column}` holds text or flags; {need}: a finite number"
            )));
        }
        None => return Err(missing(benchmark)),
    };
    let finite = |(row, value): (usize, Option<f64>)| match value {
        Some(x) if x.is_finite() => Ok(x),
        Some(x) => Err(wrong(row, &x.to_string())),
        None => Err(wrong(row, "nothing")),
    };
    values.into_iter().enumerate().map(finite).collect()
}

fn weights(benchmark: &Benchmark) -> Result<Vec<f64>, Failure> {
    let weights = numbers(benchmark, WEIGHT, "it says how much a row counts")?;
    if let Some((row, found)) = weights.iter().enumerate().find(|(_, w)| **w < 0.0) {
        return Err(Failure::invalid(format!(
            "row {row} of the benchmark has the `{WEIGHT}` {found}; expected zero or more"
        )));
    }
    if weights.iter().sum::<f64>() <= 0.0 {
        return Err(Failure::invalid(format!(
            "every row of the benchmark has the `{WEIGHT}` 0; nothing would count"
        )));
    }
    Ok(weights)
}

/// What a person who decides should know about the run itself.
pub(crate) fn notes(judged: &Judged) -> Vec<String> {
    let mut notes = Vec::new();
    let rows = judged.truths.len();
    if let Truths::Classes(truths) = &judged.truths {
        let unknown = truths.iter().filter(|t| !judged.challenger.classes.contains(t)).count();
        if unknown > 0 {
            notes.push(format!("{unknown} of {rows} benchmark rows have a label that is no class of the challenger; it cannot be right on them"));
        }
    }
    if judged.weights.is_some() {
        notes.push(format!(
            "the benchmark weighs its rows: its {rows} rows say as much as {:.0} rows that weigh the same",
            judged.effective_rows()
        ));
    }
    let versions = judged.champion.iter().map(|c| ("champion", c));
    for (who, answers) in versions.chain([("challenger", &judged.challenger)]) {
        let failed = answers.rows.iter().filter(|row| row.is_err()).count();
        if failed > 0 {
            notes.push(format!("the {who} failed on {failed} of {rows} benchmark rows; they count as wrong"));
        }
    }
    notes
}

fn missing(benchmark: &Benchmark) -> Failure {
    let found: Vec<&str> = benchmark.names().take(30).collect();
    Failure::invalid(format!(
        "the benchmark has no column `{LABEL}` with the truth; found {}",
        found.join(", ")
    ))
}
