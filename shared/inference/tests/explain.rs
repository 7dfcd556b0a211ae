//! Shapley values beside those of Python's `shap` (`tests/oracles/make_shap_oracles.py`), over the fixtures' own graphs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::PathBuf;

use seatrial_inference::explain::{Explanation, Method, Sampling, Scale, explain};
use seatrial_inference::{Batch, Column, Model, Prediction};
use serde_json::{Map, Value};

const SAMPLING: Sampling = Sampling { seed: 7, orders: 200, most_runs: 400_000 };

fn oracle(section: &str) -> Vec<Value> {
    let path = common::workspace().join("tests/oracles/shap.json");
    common::json(&path)[section].as_array().unwrap().clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// The rows of a fixture, as many as are asked for or more.
type Table = fn(&str, usize) -> Vec<Map<String, Value>>;

struct Case {
    name: String,
    folder: PathBuf,
    model: Model,
    rows: Batch,
    background: Batch,
    targets: Vec<Value>,
}

impl Case {
    fn explained(&self) -> Explanation {
        let found =
            explain(common::runtime(), &self.folder, &self.model, &self.rows, &self.background, SAMPLING);
        let found = found.unwrap_or_else(|e| panic!("{}: {e}", self.name));
        additive(&self.name, &found);
        found
    }

    /// The oracle's values of one row, in the order of the model's columns.
    fn of_row(&self, target: usize, row: usize, oracle: &Value) -> Vec<f64> {
        let values = numbers(&self.targets[target]["values"][row]);
        let Some(names) = oracle["columns"].as_array() else { return values };
        let place = |name: &str| names.iter().position(|n| n == name).unwrap();
        self.model.columns().iter().map(|c| values[place(&c.name)]).collect()
    }
}

/// The rows of the oracle's fixture: those of `io.json`, or the first of the benchmark as the traffic file has them.
fn case(oracle: &Value, table: Table) -> Case {
    let name = oracle["fixture"].as_str().unwrap().to_owned();
    let folder = common::fixtures().join(&name);
    let model = Model::from_folder(common::runtime(), &folder).unwrap();
    let count = |key: &str| oracle[key].as_u64().unwrap() as usize;
    let all = table(&name, count("rows") + count("background"));
    let all = Batch::from_rows(&all).unwrap();
    let all = all.select(&model.columns().iter().map(|c| c.name.as_str()).collect::<Vec<_>>()).unwrap();
    Case {
        name,
        folder,
        rows: all.slice(0, count("rows")).unwrap(),
        background: all.slice(count("rows"), count("background")).unwrap(),
        model,
        targets: oracle["targets"].as_array().unwrap().clone(),
    }
}

fn of_io(name: &str, _: usize) -> Vec<Map<String, Value>> {
    common::objects(&common::json(&common::fixtures().join(name).join("io.json"))["rows"])
}

/// The oracle keeps the rows it used of the benchmarks, since Parquet is not read here.
fn of_oracle(name: &str, count: usize) -> Vec<Map<String, Value>> {
    let file = if name.starts_with("regression") { "friedman" } else { "adult" };
    let path = common::workspace().join("tests/oracles/shap.json");
    common::objects(&common::json(&path)["rows"][file]).into_iter().take(count).collect()
}

fn additive(name: &str, found: &Explanation) {
    for row in &found.rows {
        for (k, output) in row.output.iter().enumerate() {
            let sum = found.expected[k] + row.values[k].iter().sum::<f64>();
            assert!((sum - output).abs() < 1e-9 * output.abs().max(1.0), "{name}: {sum} is not {output}");
        }
    }
}

/// The oracle adds leaves in double precision as we do; what differs is the order.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 2e-6 * b.abs().max(1.0)
}

fn exact(case: &Case, oracle: &Value, scale: Scale) {
    let found = case.explained();
    assert_eq!((found.method, found.why_sampled.as_deref()), (Method::Trees, None), "{}", case.name);
    assert_eq!(found.scale, scale, "{}", case.name);
    assert_eq!(found.rows.len(), case.rows.rows());
    // The oracle has the classes in the graph's order, which is the alphabet's; the configuration may have another.
    let mut names: Vec<&String> = found.outputs.iter().collect();
    names.sort();
    for (k, name) in found.outputs.iter().enumerate() {
        let target = names.iter().position(|n| *n == name).unwrap();
        assert!(near(found.expected[k], number(&case.targets[target]["expected"])), "{}", case.name);
        for (i, row) in found.rows.iter().enumerate() {
            assert_eq!(row.errors, None, "exact values have no error");
            assert!(near(row.output[k], number(&case.targets[target]["output"][i])), "{}", case.name);
            let theirs = case.of_row(target, i, oracle);
            for (a, b) in row.values[k].iter().zip(&theirs) {
                assert!(near(*a, *b), "{} row {i}: {:?} is not {theirs:?}", case.name, row.values[k]);
            }
        }
    }
}

#[test]
fn trees_over_plain_inputs_have_the_values_of_pythons_tree_explainer() {
    let all = oracle("trees");
    assert_eq!(all.len(), 6);
    for oracle in &all {
        let case = case(oracle, of_io);
        let scale = match case.name.as_str() {
            "engine/boosting_regression" => Scale::Value,
            name if name.contains("forest") => Scale::Probability,
            _ => Scale::Margin,
        };
        exact(&case, oracle, scale);
    }
}

#[test]
fn trees_behind_an_encoding_have_the_values_of_pythons_exact_explainer_over_the_public_columns() {
    let all = oracle("columns");
    assert_eq!(all.len(), 4);
    for oracle in &all {
        let case = case(oracle, of_oracle);
        let scale = if case.name.starts_with("regression") { Scale::Value } else { Scale::Margin };
        exact(&case, oracle, scale);
    }
}

#[test]
fn other_models_have_pythons_values_within_the_error_that_is_stated() {
    let all = oracle("sampled");
    assert_eq!(all.len(), 3);
    let mut largest: f64 = 0.0;
    for oracle in &all {
        let case = case(oracle, of_oracle);
        let found = case.explained();
        assert_eq!(found.method, Method::Permutations { orders: 200 }, "{}", case.name);
        let why = found.why_sampled.clone().unwrap();
        let expected = if case.name.ends_with("r3") {
            "goes on after the trees, with the operator Add"
        } else {
            "its graph has no trees"
        };
        assert!(why.contains(expected), "{}: {why}", case.name);
        assert!(near(found.expected[0], number(&case.targets[0]["expected"])), "{}", case.name);
        for (i, row) in found.rows.iter().enumerate() {
            assert!(near(row.output[0], number(&case.targets[0]["output"][i])), "{}", case.name);
            let (theirs, errors) = (case.of_row(0, i, oracle), row.errors.as_ref().unwrap());
            for ((a, b), error) in row.values[0].iter().zip(&theirs).zip(&errors[0]) {
                assert!(
                    (a - b).abs() < 5.0 * error + 2e-6,
                    "{} row {i}: {a} ± {error}, exactly {b}",
                    case.name
                );
                largest = largest.max(*error / case.targets[0]["output"][i].as_f64().unwrap().abs().max(1.0));
            }
        }
        let again = case.explained();
        assert_eq!(again, found, "the same seed is the same estimate");
    }
    assert!(largest < 0.1, "an error that says nothing: {largest}");
}

#[test]
fn every_fixture_can_be_explained_and_says_how() {
    let mut methods = Vec::new();
    for entry in std::fs::read_dir(common::fixtures().join("engine")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let model = Model::from_folder(common::runtime(), &folder).unwrap();
        let all = Batch::from_rows(&common::objects(&common::json(&folder.join("io.json"))["rows"])).unwrap();
        let (rows, background) = (all.slice(0, 4).unwrap(), all.slice(4, 20).unwrap());
        let sampling = Sampling { orders: 16, ..SAMPLING };
        let found = explain(common::runtime(), &folder, &model, &rows, &background, sampling);
        let found = found.unwrap_or_else(|e| panic!("{name}: {e}"));
        additive(&name, &found);
        assert_eq!(found.features.len(), model.columns().len(), "{name}");
        let answered = model.predict(&rows).unwrap();
        let first = |p: &Prediction| p.value.or_else(|| p.scores.clone().map(|s| s[0])).unwrap();
        if found.scale != Scale::Margin && found.outputs.len() != 1 || found.scale == Scale::Value {
            for (row, p) in found.rows.iter().zip(&answered) {
                assert!(near(row.output[0], first(p)), "{name}: what is explained is what is answered");
            }
        }
        let trees = name.contains("boosting") || name.contains("forest");
        assert_eq!(found.method == Method::Trees, trees, "{name}: {:?}", found.why_sampled);
        methods.push(found.method);
    }
    assert!(methods.len() >= 16);
}

#[test]
fn what_cannot_be_explained_says_why() {
    let folder = common::fixtures().join("submissions/v4");
    let model = Model::from_folder(common::runtime(), &folder).unwrap();
    let names: Vec<&str> = model.columns().iter().map(|c| c.name.as_str()).collect();
    let rows = Batch::from_rows(&common::traffic("live.jsonl", 20)).unwrap().select(&names).unwrap();
    let run = |rows: &Batch, background: &Batch| {
        let sampling = Sampling { orders: 8, ..SAMPLING };
        explain(common::runtime(), &folder, &model, rows, background, sampling)
    };
    assert!(run(&rows, &rows).is_ok());
    let without = rows.select(&names[1..]).unwrap();
    assert!(run(&rows, &without).unwrap_err().message().contains("column `age` is missing"));
    // A country that the version's table does not hold, anywhere in the background.
    let country = |i: usize| if i == 3 { "Atlantis".to_owned() } else { "United-States".to_owned() };
    let others: Vec<(String, Column)> = names
        .iter()
        .map(|n| {
            let column = if *n == "native_country" {
                Column::strings((0..20).map(country).collect())
            } else {
                rows.column(n).unwrap().clone()
            };
            ((*n).to_owned(), column)
        })
        .collect();
    let failed = run(&rows, &Batch::from_columns(others).unwrap()).unwrap_err();
    assert_eq!(failed.code(), "session-failed", "{failed}");
}
