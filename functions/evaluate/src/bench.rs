//! From a benchmark file and two loaded versions to what the metrics need.

use std::collections::BTreeMap;

use seatrial_domain::policy::Policy;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_evidence::benchmark::Benchmark;
use seatrial_evidence::offline::Judged;
use seatrial_inference::{Model, Task};
use seatrial_runtime::Failure;

use crate::run;

/// The column that holds the truth.
const LABEL: &str = "label";
/// The column that names what rows belong together.
const UNIT: &str = "unit";

/// Runs both versions on all rows.
pub(crate) fn judge(
    record: &PromotionRecord,
    policy: &Policy,
    benchmark: &Benchmark,
    champion: Option<&Model>,
    challenger: &Model,
) -> Result<Judged, Failure> {
    if !challenger.config().task.is_classification() {
        return Err(Failure::invalid(
            "regression versions are not evaluated by this release; expected binary or multiclass",
        ));
    }
    let labels = benchmark.texts(LABEL).ok_or_else(|| missing(benchmark))?;
    let truths: Option<Vec<String>> = labels.into_iter().collect();
    let truths = truths.ok_or_else(|| {
        Failure::invalid("the benchmark has rows without a `label`; every row needs its truth")
    })?;
    let classes = &challenger.config().classes;
    if !truths.iter().any(|t| classes.contains(t)) {
        return Err(Failure::invalid(format!(
            "no `label` of the benchmark is a class of the version: found {:?}, expected one of {}; set a benchmark that is labelled with the model's classes",
            truths.first().map_or("", String::as_str),
            classes.join(", ")
        )));
    }
    let units = benchmark.texts(UNIT).map(|units| {
        units
            .into_iter()
            .enumerate()
            .map(|(row, unit)| unit.unwrap_or_else(|| format!("row {row}")))
            .collect()
    });
    let segments: BTreeMap<String, Vec<Option<String>>> = policy
        .segment_columns()
        .into_iter()
        .filter_map(|column| Some((column.clone(), benchmark.texts(&column)?)))
        .collect();
    let positive = match challenger.config().task {
        Task::Binary => policy.positive_class.clone().or_else(|| challenger.config().positive_class.clone()),
        _ => None,
    };
    // The first eight bytes of the promotion's hash: the same promotion resamples and times in the same order.
    let seed = u64::from_str_radix(
        &seatrial_domain::canonical::sha256(record.id.as_str().as_bytes()).hex()[..16],
        16,
    )
    .unwrap_or(0);
    let mut champion_answers = champion.map(|model| run::answers(model, benchmark));
    let mut challenger_answers = run::answers(challenger, benchmark);
    run::latency(
        seed,
        benchmark,
        champion.zip(champion_answers.as_mut()),
        (challenger, &mut challenger_answers),
    );
    Ok(Judged {
        truths,
        units,
        segments,
        positive,
        champion: champion_answers,
        challenger: challenger_answers,
        seed,
    })
}

/// What a person who decides should know about the run itself.
pub(crate) fn notes(judged: &Judged) -> Vec<String> {
    let mut notes = Vec::new();
    let unknown = judged.truths.iter().filter(|t| !judged.challenger.classes.contains(t)).count();
    if unknown > 0 {
        notes.push(format!("{unknown} of {} benchmark rows have a label that is no class of the challenger; it cannot be right on them", judged.truths.len()));
    }
    for (who, answers) in
        judged.champion.iter().map(|c| ("champion", c)).chain([("challenger", &judged.challenger)])
    {
        let failed = answers.labels.iter().filter(|l| l.is_err()).count();
        if failed > 0 {
            notes.push(format!(
                "the {who} failed on {failed} of {} benchmark rows; they count as wrong",
                answers.labels.len()
            ));
        }
    }
    notes
}

fn missing(benchmark: &Benchmark) -> Failure {
    let found: Vec<&str> = benchmark.names().take(30).collect();
    Failure::invalid(format!(
        "the benchmark has no column `{LABEL}` with the true classes; found {}",
        found.join(", ")
    ))
}
