//! Running versions: smoke test, all rows in batches, single calls for latency.

use std::time::Instant;

use seatrial_domain::policy;
use seatrial_evidence::benchmark::{Benchmark, Values};
use seatrial_evidence::offline::{Answer, Answers};
use seatrial_inference::{Batch, Column, PredictError, Prediction, RemoteCode, Runner, Task};

/// Rows that the smoke test answers.
const SMOKE_ROWS: usize = 16;
/// Rows of a batch.
const BATCH_ROWS: usize = 1_024;
/// Single calls that latency is measured on.
const TIMED_ROWS: usize = 500;
/// Batches, or single calls, in a row that a service fails on wholly before the rest of the rows is given up.
const MOST_AWAY: u32 = 3;
/// Single calls before that, which are not measured.
const WARM_UP: usize = 20;

/// How many rows a loaded version answered, or what is wrong with it.
pub(crate) fn smoke(
    model: &dyn Runner,
    task: policy::Task,
    benchmark: Option<&Benchmark>,
) -> Result<u64, String> {
    let found = model.config().task;
    if !same_task(task, found) {
        return Err(format!(
            "the version's task is {}, and the policy's is {}; submit a version of that task, or set a policy for this one",
            found.as_str(),
            format!("{task:?}").to_lowercase()
        ));
    }
    let Some(benchmark) = benchmark else { return Ok(0) };
    let batch = batch(model, benchmark)
        .map_err(|e| format!("the benchmark does not fit the version's inputs: {}", e.message()))?;
    let first = batch.slice(0, SMOKE_ROWS).unwrap_or(batch);
    let answers = model
        .predict(&first)
        .map_err(|e| format!("the version fails on the first {} rows: {}", first.rows(), e.message()))?;
    let classes = &model.config().classes;
    for (row, answer) in answers.iter().enumerate() {
        if let Some(label) = answer.label.as_ref().filter(|l| !classes.contains(l)) {
            return Err(format!(
                "row {row} is answered with {label:?}, which is not one of {}",
                classes.join(", ")
            ));
        }
        if answer.scores.iter().flatten().chain(&answer.value).any(|x| !x.is_finite()) {
            return Err(format!("row {row} is answered with a score that is not a finite number"));
        }
    }
    Ok(answers.len() as u64)
}

fn same_task(wanted: policy::Task, found: Task) -> bool {
    matches!(
        (wanted, found),
        (policy::Task::Binary, Task::Binary)
            | (policy::Task::Multiclass, Task::Multiclass)
            | (policy::Task::Regression, Task::Regression)
    )
}

/// What the version answers to every row. A benchmark that does not fit its inputs fails on every row, and so does a server that was
/// away for several batches: the rest is not waited for.
pub(crate) fn answers(model: &dyn Runner, benchmark: &Benchmark) -> Answers {
    let mut answers = Answers { classes: model.config().classes.clone(), ..Answers::default() };
    let outcomes: Vec<_> = match batch(model, benchmark) {
        Ok(all) => (0..all.rows())
            .step_by(BATCH_ROWS)
            .filter_map(|start| all.slice(start, BATCH_ROWS))
            .scan(Away::default(), |away, part| Some(asked(model, &part, away)))
            .flatten()
            .collect(),
        Err(error) => vec![Err(error); benchmark.rows],
    };
    let of = |p: Prediction| Answer { label: p.label, scores: p.scores, value: p.value };
    answers.rows = outcomes.into_iter().map(|o| o.map(of).map_err(|e| e.code().to_owned())).collect();
    answers
}

/// The code of a row to which nobody answered, or not in time: of such rows it is not known what the version says.
pub(crate) fn unanswered(answers: &Answers) -> Option<&'static str> {
    let codes = [RemoteCode::Unavailable, RemoteCode::Timeout].map(RemoteCode::as_str);
    answers.rows.iter().filter_map(|row| row.as_ref().err()).find_map(|e| codes.into_iter().find(|c| e == c))
}

/// The batches in a row of which a service answered no row, and how it failed on the last.
#[derive(Default)]
struct Away {
    batches: u32,
    why: Option<PredictError>,
}

/// The outcomes of a batch; of one that is given up, how the service failed before.
fn asked(model: &dyn Runner, part: &Batch, away: &mut Away) -> Vec<Result<Prediction, PredictError>> {
    if let Some(why) = away.why.as_ref().filter(|_| away.batches >= MOST_AWAY) {
        return vec![Err(why.clone()); part.rows()];
    }
    let outcomes = model.predict_each(part);
    let failed = outcomes.iter().all(|o| o.as_ref().is_err_and(PredictError::is_remote));
    *away = match failed {
        true => {
            Away { batches: away.batches + 1, why: outcomes.iter().find_map(|o| o.as_ref().err().cloned()) }
        }
        false => Away::default(),
    };
    outcomes
}

/// Times single calls of both versions on the same rows: rows evenly over the benchmark, the two in random order on each.
pub(crate) fn latency(
    seed: u64,
    benchmark: &Benchmark,
    champion: Option<(&dyn Runner, &mut Answers)>,
    challenger: (&dyn Runner, &mut Answers),
) {
    let mut versions: Vec<(Batch, &dyn Runner, &mut Answers)> = Vec::new();
    for (model, answers) in champion.into_iter().chain([challenger]) {
        let Ok(all) = batch(model, benchmark) else { return };
        versions.push((all, model, answers));
    }
    let mut failed = vec![0; versions.len()];
    let step = (benchmark.rows / TIMED_ROWS).max(1);
    for (call, row) in (0..benchmark.rows).step_by(step).take(TIMED_ROWS).enumerate() {
        let swap = seatrial_evidence::keys::partition(&format!("{seed}/{call}"), 2) == 1;
        let count = versions.len();
        for place in 0..count {
            let at = if swap { count - 1 - place } else { place };
            let (all, model, answers) = &mut versions[at];
            let Some(single) = all.slice(row, 1) else { continue };
            let began = Instant::now();
            let answered = model.predict(&single);
            let took = began.elapsed().as_micros() as u64;
            failed[at] =
                if answered.as_ref().is_err_and(PredictError::is_remote) { failed[at] + 1 } else { 0 };
            if failed[at] >= MOST_AWAY || answered.as_ref().is_err_and(PredictError::concerns_all_rows) {
                // Its errors are counted among the answers; five hundred timeouts would tell no more.
                return;
            }
            if answered.is_ok() && call >= WARM_UP {
                answers.latency.observe(took);
            }
        }
    }
}

/// The version's input columns.
pub(crate) fn batch(model: &dyn Runner, benchmark: &Benchmark) -> Result<Batch, PredictError> {
    let columns = model
        .columns()
        .iter()
        .filter_map(|spec| Some((spec.name.clone(), column(benchmark.column(&spec.name)?))));
    let found: Vec<_> = columns.collect();
    Batch::from_columns(found)?.select(&model.columns().iter().map(|c| c.name.as_str()).collect::<Vec<_>>())
}

fn column(values: &Values) -> Column {
    match values {
        Values::Integers(v) => Column::i64_opt(v.clone()),
        Values::Numbers(v) => Column::f64_opt(v.clone()),
        Values::Flags(v) => Column::bool_opt(v.clone()),
        Values::Texts(v) => Column::strings_opt(v.clone()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use seatrial_inference::{ColumnSpec, ModelConfig, OipTensor, Signature};

    use super::*;

    /// A service that fails on a batch with a negative `x`.
    #[derive(Debug)]
    struct Service {
        config: ModelConfig,
        signature: Signature,
    }

    impl Service {
        fn new() -> Self {
            let config = "schema: 1\ntask: regression\nruntime: onnx\ninputs: [{name: x, datatype: FP64}]\noutputs: {value: y}\n";
            let signature = Signature { inputs: Vec::new(), outputs: Vec::new() };
            Self { config: ModelConfig::from_yaml(config).unwrap(), signature }
        }
    }

    impl Runner for Service {
        fn config(&self) -> &ModelConfig {
            &self.config
        }
        fn signature(&self) -> &Signature {
            &self.signature
        }
        fn columns(&self) -> &[ColumnSpec] {
            &[]
        }
        fn batch_from_oip(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
            Batch::from_oip(tensors)
        }
        fn predict(&self, batch: &Batch) -> Result<Vec<Prediction>, PredictError> {
            let x = |row| batch.row(row).unwrap()["x"].as_f64().unwrap();
            let predicted = |row| match x(row) {
                x if x < 0.0 => Err(PredictError::remote(RemoteCode::Failed, "it failed")),
                x => Ok(Prediction { label: None, scores: None, value: Some(x) }),
            };
            (0..batch.rows()).map(predicted).collect()
        }
    }

    #[test]
    fn a_service_is_given_up_after_batches_in_a_row_without_any_answer() {
        let (service, mut away) = (Service::new(), Away::default());
        let mut ask = |x: &[f64]| {
            let batch = Batch::from_columns(vec![("x".into(), Column::f64(x.to_vec()))]).unwrap();
            let outcomes = asked(&service, &batch, &mut away);
            outcomes.into_iter().map(|o| o.map_err(|e| e.code())).collect::<Vec<Result<Prediction, &str>>>()
        };
        let one = || Ok(Prediction { label: None, scores: None, value: Some(1.0) });
        let failed = || Err::<Prediction, _>("remote-failed");
        for _ in 0..3 {
            for _ in 0..MOST_AWAY - 1 {
                assert_eq!(ask(&[-1.0, -1.0]), [failed(), failed()]);
            }
            assert_eq!(ask(&[1.0, -1.0]), [one(), failed()], "one bad row gives up no other");
        }
        for _ in 0..MOST_AWAY {
            ask(&[-1.0]);
        }
        assert_eq!(ask(&[1.0]), [failed()], "it is not asked any more");
    }
}
