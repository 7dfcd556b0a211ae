//! Every fixture of the engine answers as Python's ONNX Runtime did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use seatrial_inference::{Batch, Model, OipTensor, Prediction};
use serde_json::{Value, json};

/// Labels exactly, numbers to 1e-6 (relative above 1: values are years and hours).
fn assert_equal(name: &str, found: &[Prediction], expected: &Value) {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
    let count = expected.as_object().unwrap().values().next().unwrap().as_array().unwrap().len();
    assert_eq!(found.len(), count, "{name}");
    for (row, prediction) in found.iter().enumerate() {
        let at = |key: &str| expected.get(key).map(|list| &list[row]);
        assert_eq!(prediction.label.as_deref(), at("label").and_then(Value::as_str), "{name}, row {row}");
        let scores: Option<Vec<f64>> =
            at("scores").map(|s| s.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect());
        assert_eq!(prediction.scores.is_some(), scores.is_some(), "{name}, row {row}");
        for (a, b) in prediction.scores.iter().flatten().zip(scores.iter().flatten()) {
            assert!(near(*a, *b), "{name}, row {row}: score {a}, expected {b}");
        }
        assert_eq!(
            prediction.scores.as_ref().map(Vec::len),
            scores.as_ref().map(Vec::len),
            "{name}, row {row}"
        );
        match (prediction.value, at("value").and_then(Value::as_f64)) {
            (Some(a), Some(b)) => assert!(near(a, b), "{name}, row {row}: value {a}, expected {b}"),
            (a, b) => assert_eq!(a, b, "{name}, row {row}"),
        }
    }
}

fn each(mut test: impl FnMut(&str, &Model, &Value)) {
    let mut count = 0;
    for entry in std::fs::read_dir(common::fixtures().join("engine")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let model = Model::from_folder(common::runtime(), &folder).unwrap_or_else(|e| panic!("{name}: {e}"));
        test(&name, &model, &common::json(&folder.join("io.json")));
        count += 1;
    }
    assert!(count >= 16, "only {count} fixtures");
}

#[test]
fn predictions_equal_pythons() {
    each(|name, model, io| {
        let batch = Batch::from_rows(&common::objects(&io["rows"])).unwrap();
        assert_equal(name, &model.predict(&batch).unwrap_or_else(|e| panic!("{name}: {e}")), &io["expected"]);
    });
}

#[test]
fn a_row_alone_is_answered_as_in_its_batch() {
    each(|name, model, io| {
        let rows = common::objects(&io["rows"]);
        let one = |row: &serde_json::Map<String, Value>| {
            model.predict(&Batch::from_rows(std::slice::from_ref(row)).unwrap()).unwrap().remove(0)
        };
        let found: Vec<Prediction> = rows.iter().map(one).collect();
        assert_equal(name, &found, &io["expected"]);
    });
}

#[test]
fn tensors_of_the_protocol_answer_as_rows_do() {
    each(|name, model, io| {
        let rows = common::objects(&io["rows"]);
        let n = rows.len() as i64;
        let tensor = |column: &seatrial_inference::ColumnSpec, nested: bool| OipTensor {
            name: column.name.clone(),
            shape: vec![n, 1],
            datatype: column.datatype.name().to_owned(),
            data: rows
                .iter()
                .map(|r| if nested { json!([r[&column.name]]) } else { r[&column.name].clone() })
                .collect(),
            parameters: None,
        };
        for nested in [false, true] {
            let tensors: Vec<OipTensor> = model.columns().iter().map(|c| tensor(c, nested)).collect();
            let batch = model.batch_from_oip(&tensors).unwrap();
            assert_equal(name, &model.predict(&batch).unwrap(), &io["expected"]);
        }
    });
}

#[test]
fn a_packed_tensor_is_split_into_its_columns() {
    let mut packed = 0;
    each(|name, model, io| {
        let [input] = model.config().inputs.as_slice() else { return };
        let Some(features) = &input.features else { return };
        packed += 1;
        let rows = common::objects(&io["rows"]);
        let data = rows.iter().flat_map(|r| features.iter().map(|f| r[f].clone())).collect();
        let tensor = OipTensor {
            name: input.name.clone(),
            shape: vec![rows.len() as i64, features.len() as i64],
            datatype: "FP32".to_owned(),
            data,
            parameters: None,
        };
        let batch = model.batch_from_oip(std::slice::from_ref(&tensor)).unwrap();
        assert_equal(name, &model.predict(&batch).unwrap(), &io["expected"]);
        let names: Vec<&str> = batch.names().collect();
        assert_eq!(names, features.iter().map(String::as_str).collect::<Vec<_>>(), "recorded by column");

        let narrow = OipTensor { shape: vec![rows.len() as i64 * features.len() as i64, 1], ..tensor };
        assert_eq!(model.batch_from_oip(&[narrow]).unwrap_err().code(), "wrong-shape");
    });
    assert!(packed >= 10, "only {packed} packed fixtures");
}

#[test]
fn many_threads_share_a_model() {
    each(|name, model, io| {
        let batch = Batch::from_rows(&common::objects(&io["rows"])).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_equal(name, &model.predict(&batch).unwrap(), &io["expected"]));
            }
        });
    });
}
