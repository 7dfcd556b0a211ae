//! Requests and answers as JSON of the Open Inference Protocol.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answers::{Prediction, Raw, RawClass, RawScores, predictions};
use crate::batch::flatten;
use crate::bind::{Elements, Fed};
use crate::cells::Cell;
use crate::config::ModelConfig;
use crate::datatype::Datatype;
use crate::error::PredictError;
use crate::oip::OipTensor;
use crate::plan_outputs::PlannedOutputs;

/// The body that asks for these tensors' predictions.
pub(super) fn request(outputs: &PlannedOutputs, inputs: &[Fed<'_>]) -> String {
    let wanted = [&outputs.label, &outputs.scores, &outputs.value];
    let wanted: Vec<Value> = wanted.into_iter().flatten().map(|name| json!({ "name": name })).collect();
    let inputs: Vec<Value> = inputs.iter().map(tensor).collect();
    json!({ "inputs": inputs, "outputs": wanted }).to_string()
}

fn tensor(fed: &Fed<'_>) -> Value {
    let (datatype, data) = match &fed.elements {
        Elements::Bool(v) => (Datatype::Bool, json!(v)),
        Elements::Uint8(v) => (Datatype::Uint8, json!(v)),
        Elements::Uint16(v) => (Datatype::Uint16, json!(v)),
        Elements::Uint32(v) => (Datatype::Uint32, json!(v)),
        Elements::Uint64(v) => (Datatype::Uint64, json!(v)),
        Elements::Int8(v) => (Datatype::Int8, json!(v)),
        Elements::Int16(v) => (Datatype::Int16, json!(v)),
        Elements::Int32(v) => (Datatype::Int32, json!(v)),
        Elements::Int64(v) => (Datatype::Int64, json!(v)),
        // "No value" (NaN) has no JSON form but null, which is what the protocol's servers take for it.
        Elements::Fp32(v) => (Datatype::Fp32, json!(v)),
        Elements::Fp64(v) => (Datatype::Fp64, json!(v)),
        Elements::Bytes(v) => (Datatype::Bytes, json!(v)),
    };
    json!({ "name": fed.name, "shape": fed.shape, "datatype": datatype.name(), "data": data })
}

/// An answer; what else a server says in it is not read.
#[derive(Deserialize)]
struct Answer {
    outputs: Vec<OipTensor>,
}

fn bad(what: impl Into<String>) -> PredictError {
    PredictError::model("bad-output", what)
}

/// The predictions in an answer.
pub(super) fn answer(
    config: &ModelConfig,
    outputs: &PlannedOutputs,
    rows: usize,
    body: &[u8],
) -> Result<Vec<Prediction>, PredictError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|e| {
        bad(format!("the answer is none of the Open Inference Protocol ({e}); expected {{\"outputs\": […]}}"))
    })?;
    let output = |name: &String| {
        let found = answer.outputs.iter().find(|o| o.name == *name);
        let there = || answer.outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| bad(format!("the answer holds no output `{name}`; it holds: {}", there())))
    };
    let of = |name: &Option<String>| name.as_ref().map(output).transpose();
    let raw = Raw {
        rows,
        labels: of(&outputs.label)?.map(labels).transpose()?,
        scores: of(&outputs.scores)?.map(scores).transpose()?,
        values: of(&outputs.value)?.map(|tensor| Ok(numbers(tensor)?.1)).transpose()?,
    };
    predictions(config, raw)
}

fn labels(tensor: &OipTensor) -> Result<Vec<RawClass>, PredictError> {
    let class = |cell: Cell| match cell {
        Cell::Text(text) => Ok(RawClass::Text(text)),
        Cell::Int(i) => Ok(RawClass::Int(i)),
        Cell::Bool(b) => Ok(RawClass::Int(b.into())),
        other => Err(bad(format!("output `{}` holds {other:?}, expected classes", tensor.name))),
    };
    cells(tensor)?.1.into_iter().map(class).collect()
}

fn scores(tensor: &OipTensor) -> Result<RawScores, PredictError> {
    let (width, data) = numbers(tensor)?;
    Ok(RawScores::Plain { width, data })
}

/// The numbers of a tensor, and how many there are after the first dimension. What is declared as single precision is read so: the
/// text of a number holds more digits than it has.
fn numbers(tensor: &OipTensor) -> Result<(usize, Vec<f64>), PredictError> {
    let single = tensor.datatype == Datatype::Fp32.name();
    let number = |cell: Cell| match cell {
        Cell::Float(f) if single => Ok(f64::from(f as f32)),
        Cell::Float(f) => Ok(f),
        Cell::Int(i) => Ok(i as f64),
        // A server's "not a number".
        Cell::Missing => Ok(f64::NAN),
        other => Err(bad(format!("output `{}` holds {other:?}, expected numbers", tensor.name))),
    };
    let (width, cells) = cells(tensor)?;
    Ok((width, cells.into_iter().map(number).collect::<Result<_, _>>()?))
}

/// The elements of a tensor, as many as its shape says, and how many a row has.
fn cells(tensor: &OipTensor) -> Result<(usize, Vec<Cell>), PredictError> {
    let name = &tensor.name;
    let shape: Option<Vec<usize>> = tensor.shape.iter().map(|d| usize::try_from(*d).ok()).collect();
    let shape = shape.filter(|s| !s.is_empty());
    let shape = shape.ok_or_else(|| {
        bad(format!("output `{name}` has the shape {:?}, expected the rows first", tensor.shape))
    })?;
    if binary(tensor.parameters.as_ref()) || !tensor.data.is_array() {
        let what = format!("output `{name}` holds no `data` as a list; binary tensors are not read here");
        return Err(bad(what));
    }
    let mut cells = Vec::new();
    flatten(&tensor.data, &mut cells).map_err(|e| bad(format!("output `{name}`: {}", e.message())))?;
    let elements = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    if elements != Some(cells.len()) {
        let found = cells.len();
        return Err(bad(format!(
            "output `{name}` has {found} elements, expected those of the shape {shape:?}"
        )));
    }
    Ok((shape[1..].iter().product(), cells))
}

fn binary(parameters: Option<&Map<String, Value>>) -> bool {
    parameters.is_some_and(|p| p.contains_key("binary_data_size"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Batch, Column, ModelConfig, Prediction, Remote};

    fn remote(task: &str, more: &str) -> Remote {
        let image = format!("sha256:{}", "a".repeat(64));
        let text = format!(
            "{{schema: 1, runtime: remote, task: {task}, {more}
              inputs: [{{name: x, datatype: FP32, nullable: true}}, {{name: p, datatype: FP64, features: [a, b]}}, {{name: t, datatype: BYTES}}],
              remote: {{http: {{url: 'https://h.example/v2/models/m', image: '{image}'}}}}}}"
        );
        Remote::new(&ModelConfig::from_yaml(&text).unwrap()).unwrap()
    }

    fn batch() -> Batch {
        let columns = [
            ("x", Column::f64_opt(vec![Some(0.1), None])),
            ("a", Column::f64_opt(vec![Some(1.0), Some(2.0)])),
            ("b", Column::f64_opt(vec![Some(3.0), Some(4.0)])),
            ("t", Column::strings_opt(vec![Some("é\"".into()), Some(String::new())])),
        ];
        Batch::from_columns(columns.map(|(name, column)| (name.to_owned(), column)).into()).unwrap()
    }

    #[test]
    fn a_request_is_the_protocols_with_the_configurations_inputs() {
        let asks = remote("binary", "classes: [n, y], positive_class: y,").requests(&batch()).unwrap();
        let [ask] = asks.as_slice() else { unreachable!("{asks:?}") };
        let body: serde_json::Value = serde_json::from_str(&ask.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "inputs": [
                    { "name": "x", "shape": [2, 1], "datatype": "FP32", "data": [0.1_f32, null] },
                    { "name": "p", "shape": [2, 2], "datatype": "FP64", "data": [1.0, 3.0, 2.0, 4.0] },
                    { "name": "t", "shape": [2, 1], "datatype": "BYTES", "data": ["é\"", ""] },
                ],
                "outputs": [{ "name": "label" }, { "name": "scores" }],
            })
        );
    }

    #[test]
    fn a_large_batch_is_asked_in_parts_and_a_large_row_not_at_all() {
        let remote = remote("binary", "classes: [n, y], positive_class: y,");
        let of = |texts: Vec<String>| {
            let n = texts.len();
            let floats = || Column::f64_opt(vec![Some(1.0); n]);
            let texts = Column::strings_opt(texts.into_iter().map(Some).collect());
            let columns = [("x", floats()), ("a", floats()), ("b", floats()), ("t", texts)];
            Batch::from_columns(columns.map(|(name, column)| (name.to_owned(), column)).into()).unwrap()
        };
        let asks = remote.requests(&of(vec!["x".repeat(2 << 20); 5])).unwrap();
        assert!(asks.len() > 1 && asks.iter().all(|a| a.body.len() <= super::super::LARGEST));
        assert_eq!(asks.iter().map(|a| a.rows).sum::<usize>(), 5);
        let error = remote.requests(&of(vec!["x".repeat(6 << 20)])).unwrap_err();
        assert_eq!((error.side(), error.code()), (crate::Side::Client, "too-large"));
    }

    #[test]
    fn an_answer_becomes_the_predictions_that_a_graph_of_these_numbers_would_give() {
        let remote = remote("binary", "classes: [n, y], positive_class: y,");
        let flat = br#"{"model_name": "m", "outputs": [
            {"name": "other", "shape": [1], "datatype": "FP32", "data": [1]},
            {"name": "scores", "shape": [2, 2], "datatype": "FP32", "data": [0.9, 0.1, 0.25, 0.75]},
            {"name": "label", "shape": [2], "datatype": "BYTES", "data": ["n", "y"]}]}"#;
        let nested = br#"{"outputs": [
            {"name": "label", "shape": [2, 1], "datatype": "INT64", "data": [[0], [1]]},
            {"name": "scores", "shape": [2, 2], "datatype": "FP32", "data": [[0.9, 0.1], [0.25, 0.75]]}]}"#;
        let one = |label: &str, scores: [f32; 2]| Prediction {
            label: Some(label.into()),
            scores: Some(scores.map(f64::from).to_vec()),
            value: None,
        };
        for body in [&flat[..], nested] {
            assert_eq!(remote.answer(2, body).unwrap(), [one("n", [0.9, 0.1]), one("y", [0.25, 0.75])]);
        }
    }

    #[test]
    fn whatever_else_is_answered_is_the_models_error() {
        let remote = remote("regression", "");
        let value = |shape: &str, data: &str| {
            format!(
                r#"{{"outputs": [{{"name": "value", "shape": {shape}, "datatype": "FP64", "data": {data}}}]}}"#
            )
        };
        assert_eq!(remote.answer(2, value("[2]", "[1, 2.5]").as_bytes()).unwrap()[1].value, Some(2.5));
        for (body, code, word) in [
            ("no JSON".to_owned(), "bad-output", "none of the Open Inference Protocol"),
            ("{}".to_owned(), "bad-output", "outputs"),
            (r#"{"outputs": []}"#.to_owned(), "bad-output", "no output `value`"),
            (value("[1]", "[1]"), "bad-output", "1 numbers, expected 2"),
            (value("[2]", "[1]"), "bad-output", "1 elements"),
            (value("[]", "[1]"), "bad-output", "the rows first"),
            (value("[-1]", "[1]"), "bad-output", "the rows first"),
            (value("[2]", "null"), "bad-output", "no `data` as a list"),
            (value("[2]", r#"["a", "b"]"#), "bad-output", "expected numbers"),
            (value("[2]", "[1, null]"), "not-finite", "NaN"),
        ] {
            let error = remote.answer(2, body.as_bytes()).unwrap_err();
            assert_eq!((error.side(), error.code()), (crate::Side::Model, code), "{body}");
            assert!(error.message().contains(word), "{}", error.message());
        }
    }
}
