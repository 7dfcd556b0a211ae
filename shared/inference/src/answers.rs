//! Makes predictions of what a graph answered. Everything that is wrong here is the model's.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::config::{ModelConfig, ScoreKind};
use crate::error::PredictError;

/// Probabilities may leave 0 to 1 by no more than the rounding of single precision.
const SLACK: f64 = 1e-5;

/// The answer to one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The class; without a label output of the graph, the one with the best score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The probability of each class, in the order of the configuration's classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Vec<f64>>,
    /// The predicted number (regression).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// A class as a graph writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RawClass {
    Int(i64),
    Text(String),
}

/// The score output as a graph writes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RawScores {
    /// `width` scores a row.
    Plain { width: usize, data: Vec<f64> },
    /// ZipMap.
    Maps(Vec<Vec<(RawClass, f64)>>),
}

/// The outputs of one run over `rows` rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Raw {
    pub(crate) rows: usize,
    pub(crate) labels: Option<Vec<RawClass>>,
    pub(crate) scores: Option<RawScores>,
    pub(crate) values: Option<Vec<f64>>,
}

fn bad(what: impl Into<String>) -> PredictError {
    PredictError::model("bad-output", what)
}

/// One prediction a row.
pub(crate) fn predictions(config: &ModelConfig, raw: Raw) -> Result<Vec<Prediction>, PredictError> {
    let rows = raw.rows;
    let labels = raw.labels.map(|l| labels(config, rows, &l)).transpose()?;
    let scores = raw.scores.map(|s| scores(config, rows, s)).transpose()?;
    let values = raw.values.map(|v| values(rows, v)).transpose()?;
    let labels = labels.or_else(|| scores.as_ref().map(|s| s.iter().map(|row| best(config, row)).collect()));
    let (mut labels, mut scores) = (labels.map(Vec::into_iter), scores.map(Vec::into_iter));
    let mut values = values.map(Vec::into_iter);
    Ok((0..rows)
        .map(|_| Prediction {
            label: labels.as_mut().and_then(Iterator::next),
            scores: scores.as_mut().and_then(Iterator::next),
            value: values.as_mut().and_then(Iterator::next),
        })
        .collect())
}

/// The place of a class: by its name, or (an integer where the classes have names) by its index.
pub(crate) fn place(config: &ModelConfig, class: &RawClass) -> Option<usize> {
    match class {
        RawClass::Text(text) => config.classes.iter().position(|c| c == text),
        RawClass::Int(i) if config.integer_classes => {
            let text = i.to_string();
            config.classes.iter().position(|c| *c == text)
        }
        RawClass::Int(i) => usize::try_from(*i).ok().filter(|i| *i < config.classes.len()),
    }
}

fn unknown(config: &ModelConfig, row: usize, class: &RawClass) -> PredictError {
    let found = match class {
        RawClass::Int(i) => i.to_string(),
        RawClass::Text(t) => format!("`{}`", t.chars().take(80).collect::<String>()),
    };
    bad(format!(
        "row {row}: the graph answered the class {found}, which is none of {}",
        config.classes.join(", ")
    ))
}

fn labels(config: &ModelConfig, rows: usize, raw: &[RawClass]) -> Result<Vec<String>, PredictError> {
    if raw.len() != rows {
        return Err(bad(format!("the label output holds {} labels, expected {rows}", raw.len())));
    }
    let label = |(row, class)| {
        place(config, class).map(|i| config.classes[i].clone()).ok_or_else(|| unknown(config, row, class))
    };
    raw.iter().enumerate().map(label).collect()
}

fn values(rows: usize, raw: Vec<f64>) -> Result<Vec<f64>, PredictError> {
    if raw.len() != rows {
        return Err(bad(format!("the value output holds {} numbers, expected {rows}", raw.len())));
    }
    match raw.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        Some((row, v)) => Err(PredictError::model("not-finite", format!("row {row}: the value is {v}"))),
        None => Ok(raw),
    }
}

fn scores(config: &ModelConfig, rows: usize, raw: RawScores) -> Result<Vec<Vec<f64>>, PredictError> {
    let raw_rows = match raw {
        RawScores::Plain { width, data } => plain(config, rows, width, &data)?,
        RawScores::Maps(maps) => zipped(config, rows, maps)?,
    };
    raw_rows.into_iter().enumerate().map(|(row, scores)| probabilities(config, row, &scores)).collect()
}

fn plain(
    config: &ModelConfig,
    rows: usize,
    width: usize,
    data: &[f64],
) -> Result<Vec<Vec<f64>>, PredictError> {
    let classes = config.classes.len();
    if width == 0 || (width != classes && !(width == 1 && classes == 2)) {
        return Err(bad(format!(
            "the score output holds {width} scores a row, expected {classes}, one a class"
        )));
    }
    if Some(data.len()) != rows.checked_mul(width) {
        return Err(bad(format!(
            "the score output holds {} scores, expected {rows} rows of {width}",
            data.len()
        )));
    }
    Ok(data.chunks_exact(width).map(<[f64]>::to_vec).collect())
}

fn zipped(
    config: &ModelConfig,
    rows: usize,
    maps: Vec<Vec<(RawClass, f64)>>,
) -> Result<Vec<Vec<f64>>, PredictError> {
    if maps.len() != rows {
        return Err(bad(format!("the score output holds {} maps, expected {rows}", maps.len())));
    }
    let mut places: HashMap<RawClass, usize> = HashMap::new();
    let mut out = Vec::with_capacity(rows);
    for (row, map) in maps.into_iter().enumerate() {
        let mut scores = vec![None; config.classes.len()];
        for (class, score) in map {
            let at = match places.get(&class) {
                Some(at) => *at,
                None => {
                    let at = place(config, &class).ok_or_else(|| unknown(config, row, &class))?;
                    places.insert(class, at);
                    at
                }
            };
            scores[at] = Some(score);
        }
        let complete: Option<Vec<f64>> = scores.into_iter().collect();
        out.push(
            complete.ok_or_else(|| bad(format!("row {row}: the graph's map lacks the score of a class")))?,
        );
    }
    Ok(out)
}

/// The probabilities of one row, made of what the graph answered.
fn probabilities(config: &ModelConfig, row: usize, raw: &[f64]) -> Result<Vec<f64>, PredictError> {
    if let Some((i, v)) = raw.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        let class = config.classes.get(i).map_or("the only score", String::as_str);
        return Err(PredictError::model("not-finite", format!("row {row}: the score of `{class}` is {v}")));
    }
    match (config.outputs.score_kind, raw) {
        (ScoreKind::Logit, [z]) => Ok(one_column(config, sigmoid(*z), sigmoid(-z))),
        (ScoreKind::Logit, _) => Ok(softmax(raw)),
        (ScoreKind::Probability, _) => {
            if let Some(p) = raw.iter().find(|p| **p < -SLACK || **p > 1.0 + SLACK) {
                let what = format!(
                    "row {row}: the score {p} is no probability; a graph of logits needs `score_kind: logit`"
                );
                return Err(bad(what));
            }
            let clamped: Vec<f64> = raw.iter().map(|p| p.clamp(0.0, 1.0)).collect();
            Ok(if let [p] = clamped.as_slice() { one_column(config, *p, 1.0 - p) } else { clamped })
        }
    }
}

/// A single score is the positive class's; without one named, that of the second class.
fn one_column(config: &ModelConfig, positive: f64, negative: f64) -> Vec<f64> {
    if config.positive_index() == Some(0) { vec![positive, negative] } else { vec![negative, positive] }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

pub(crate) fn softmax(z: &[f64]) -> Vec<f64> {
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = z.iter().map(|v| (v - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

/// The class with the best score; of equals the first, as NumPy's `argmax`.
fn best(config: &ModelConfig, scores: &[f64]) -> String {
    let mut top = 0;
    for (i, score) in scores.iter().enumerate() {
        if *score > scores[top] {
            top = i;
        }
    }
    config.classes.get(top).cloned().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn config(classes: &str, more: &str) -> ModelConfig {
        let inputs = "inputs: [{name: x, datatype: FP32}]";
        ModelConfig::from_yaml(&format!("{{schema: 1, runtime: onnx, {inputs}, classes: {classes}, {more}}}"))
            .unwrap()
    }

    fn plain(width: usize, data: &[f64]) -> Option<RawScores> {
        Some(RawScores::Plain { width, data: data.to_vec() })
    }

    fn failure(config: &ModelConfig, raw: Raw) -> (&'static str, String) {
        let error = predictions(config, raw).unwrap_err();
        assert_eq!(error.side(), crate::Side::Model);
        (error.code(), error.message().to_owned())
    }

    #[test]
    fn integer_labels_are_classes_where_all_classes_are_integers_and_indices_elsewhere() {
        let raw =
            || Raw { rows: 2, labels: Some(vec![RawClass::Int(1), RawClass::Int(0)]), ..Raw::default() };
        let labels = |c: &ModelConfig| -> Vec<String> {
            predictions(c, raw()).unwrap().into_iter().map(|p| p.label.unwrap()).collect()
        };
        assert_eq!(labels(&config("[1, 0]", "task: multiclass")), ["1", "0"]);
        assert_eq!(labels(&config("[no, yes, maybe]", "task: multiclass")), ["yes", "no"]);
        assert_eq!(labels(&config("['1', '0']", "task: multiclass")), ["0", "1"], "quoted: names");
    }

    #[test]
    fn a_single_score_is_the_positive_class() {
        let raw = || Raw { rows: 1, scores: plain(1, &[0.9]), ..Raw::default() };
        let first = config("[bad, good]", "task: binary, positive_class: bad");
        let found = predictions(&first, raw()).unwrap().remove(0);
        assert_eq!(found.label.as_deref(), Some("bad"));
        assert_eq!(found.scores.unwrap()[0], 0.9);
        let second = config("[bad, good]", "task: binary, positive_class: good");
        assert_eq!(predictions(&second, raw()).unwrap()[0].label.as_deref(), Some("good"));
    }

    #[test]
    fn logits_become_probabilities_even_when_they_are_large() {
        let logit = config("[a, b, c]", "task: multiclass, outputs: {score_kind: logit}");
        let raw = Raw { rows: 1, scores: plain(3, &[1000.0, -1000.0, 1000.0]), ..Raw::default() };
        let found = predictions(&logit, raw).unwrap().remove(0);
        assert_eq!(found.scores.unwrap(), [0.5, 0.0, 0.5]);
        assert_eq!(found.label.as_deref(), Some("a"), "of equals the first");
    }

    #[test]
    fn answers_that_do_not_fit_are_the_models_error() {
        let c = config("[a, b]", "task: binary, positive_class: b");
        let labels = |l: &[RawClass], rows| Raw { rows, labels: Some(l.to_vec()), ..Raw::default() };
        let scores = |s: Option<RawScores>, rows| Raw { rows, scores: s, ..Raw::default() };
        let text = RawClass::Text;
        for (raw, code, word) in [
            (labels(&[text("c".into())], 1), "bad-output", "the class `c`, which is none of a, b"),
            (labels(&[RawClass::Int(2)], 1), "bad-output", "the class 2"),
            (labels(&[RawClass::Int(-1)], 1), "bad-output", "the class -1"),
            (labels(&[text("a".into())], 2), "bad-output", "1 labels, expected 2"),
            (scores(plain(3, &[0.1, 0.2, 0.7]), 1), "bad-output", "3 scores a row, expected 2"),
            (scores(plain(2, &[0.5, 0.5]), 2), "bad-output", "2 scores, expected 2 rows of 2"),
            (scores(plain(0, &[]), 1), "bad-output", "0 scores a row"),
            (scores(plain(2, &[-3.0, 4.0]), 1), "bad-output", "needs `score_kind: logit`"),
            (scores(plain(2, &[f64::NAN, 0.5]), 1), "not-finite", "the score of `a` is NaN"),
            (scores(plain(2, &[0.5, f64::INFINITY]), 1), "not-finite", "the score of `b` is inf"),
            (
                scores(Some(RawScores::Maps(vec![vec![(text("a".into()), 1.0)]])), 1),
                "bad-output",
                "lacks the score",
            ),
            (
                scores(Some(RawScores::Maps(vec![vec![(text("z".into()), 1.0)]])), 1),
                "bad-output",
                "the class `z`",
            ),
            (scores(Some(RawScores::Maps(Vec::new())), 1), "bad-output", "0 maps, expected 1"),
        ] {
            let (found, message) = failure(&c, raw);
            assert_eq!(found, code, "{message}");
            assert!(message.contains(word), "{message}");
        }
    }
}
