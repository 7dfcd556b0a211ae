//! What must not load, whose error is whose, and that nothing outside a version's folder is read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;

use seatrial_inference::{Batch, LoadError, Model, ModelConfig, Runtime, RuntimeError, Side};
use serde_json::json;

fn load(name: &str) -> Result<Model, LoadError> {
    Model::from_folder(common::runtime(), &common::fixtures().join("refused").join(name))
}

fn rows(value: &serde_json::Value) -> Batch {
    Batch::from_rows(&common::objects(value)).unwrap()
}

#[test]
fn weights_outside_the_folder_are_refused() {
    for (name, location) in [
        ("external_absolute", "/etc/hostname"),
        ("external_parent", "../outside.bin"),
        ("external_nested", "/etc/hostname"),
    ] {
        let error = load(name).unwrap_err();
        assert!(matches!(error, LoadError::Defects(_)), "{name}: {error}");
        assert!(error.to_string().contains(&format!("weights in `{location}`")), "{name}: {error}");
    }
}

#[test]
fn weights_beside_the_graph_are_read_from_a_folder_but_not_from_memory() {
    let model = load("external_inside").unwrap();
    assert_eq!(model.predict(&rows(&json!([{"x": 4}]))).unwrap()[0].value, Some(8.0));

    let folder = common::fixtures().join("refused/external_inside");
    let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
    let error = Model::from_bytes(common::runtime(), &bytes, model.config()).unwrap_err();
    assert!(error.to_string().contains("loaded from memory"), "{error}");
    assert!(matches!(load("external_missing").unwrap_err(), LoadError::File { .. }));
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    let folder = std::env::temp_dir().join(format!("seatrial-inference-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let source = common::fixtures().join("refused/external_inside");
    for file in ["model.onnx", "config.yaml"] {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    std::os::unix::fs::symlink("/etc/hostname", folder.join("weights.bin")).unwrap();
    let error = Model::from_folder(common::runtime(), &folder).unwrap_err();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(error.to_string().contains("no links out of the folder"), "{error}");
}

#[test]
fn unknown_operators_and_unreadable_outputs_are_refused() {
    let error = load("custom_operator").unwrap_err().to_string();
    assert!(error.contains("operators of the domain `com.example.custom`"), "{error}");
    let error = load("nested_sequence").unwrap_err().to_string();
    assert!(error.contains("the output `value` of a type that cannot be read"), "{error}");
}

#[test]
fn bytes_that_are_no_graph_are_refused() {
    let config = ModelConfig::from_yaml(
        "{schema: 1, task: regression, runtime: onnx, inputs: [{name: x, datatype: FP32}]}",
    )
    .unwrap();
    let bytes = std::fs::read(common::fixtures().join("refused/not_finite/model.onnx")).unwrap();
    for bad in [b"".as_slice(), b"not a model", b"\x80\x04\x95pickle", &bytes[..bytes.len() - 3]] {
        assert!(matches!(Model::from_bytes(common::runtime(), bad, &config), Err(LoadError::Graph(_))));
    }
}

#[test]
fn answers_that_are_no_numbers_are_the_models_error() {
    let model = load("not_finite").unwrap();
    for (x, word) in [(-1.0, "NaN"), (0.0, "-inf")] {
        let error = model.predict(&rows(&json!([{"x": 1.0}, {"x": x}]))).unwrap_err();
        assert_eq!((error.side(), error.code()), (Side::Model, "not-finite"));
        assert_eq!(error.message(), format!("row 1: the value is {word}"));
    }
    let each = model.predict_each(&rows(&json!([{"x": 1.0}, {"x": -1.0}, {"x": 1.0}, {"x": 0}, {"x": 1}])));
    let good: Vec<bool> = each.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true, false, true]);
}

#[test]
fn what_does_not_fit_is_the_clients_error() {
    let folder = common::fixtures().join("submissions/v1");
    let model = Model::from_folder(common::runtime(), &folder).unwrap();
    let good = json!(common::traffic("live.jsonl", 1)[0]);
    let change = |key: &str, value: serde_json::Value| {
        let mut row = good.clone();
        row[key] = value;
        model.predict(&rows(&json!([row]))).map(|_| ()).map_err(|e| (e.side(), e.code()))
    };
    assert_eq!(change("age", json!(39.5)), Ok(()));
    assert_eq!(change("age", json!(true)), Ok(()), "truth values are 0 and 1");
    let client = |code| Err((Side::Client, code));
    assert_eq!(change("age", json!("39")), client("wrong-type"));
    assert_eq!(change("workclass", json!(3)), client("wrong-type"));
    assert_eq!(change("age", json!(null)), client("null-value"));
    assert_eq!(change("workclass", json!(null)), client("null-value"));
    assert_eq!(change("age", json!([1, 2])), client("wrong-shape"));
    assert_eq!(change("age", json!(1e300)), client("out-of-range"));
    assert_eq!(change("workclass", json!("a\0b")), client("out-of-range"));
    assert_eq!(change("label", json!(">50K")), client("unknown-column"));

    let mut row = good.clone();
    row.as_object_mut().unwrap().remove("age");
    let error = model.predict(&rows(&json!([row, row]))).unwrap_err();
    assert_eq!(error.code(), "missing-column");
    assert!(error.message().contains("column `age` is missing"), "{error}");
    assert_eq!(model.predict_each(&rows(&json!([row, row]))).len(), 2);
}

#[test]
fn a_process_has_one_library() {
    let first = common::runtime();
    assert!(std::ptr::eq(first, common::runtime()));
    assert!(!first.build_info().is_empty());
    assert!(matches!(Runtime::load(Path::new("/etc/hostname")), Err(RuntimeError::Other { .. })));
    assert!(matches!(Runtime::load(Path::new("/nowhere/lib.so")), Err(RuntimeError::Missing { .. })));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// A damaged graph is refused, or loads and answers or fails as any model does; the process goes on.
    #[test]
    fn a_damaged_graph_never_takes_the_process_down(at in 0_usize..3_600, byte: u8) {
        let folder = common::fixtures().join("submissions/v1");
        let config = ModelConfig::from_yaml(&std::fs::read_to_string(folder.join("config.yaml")).unwrap()).unwrap();
        let mut bytes = std::fs::read(folder.join("weights/model.onnx")).unwrap();
        bytes[at] = byte;
        if let Ok(model) = Model::from_bytes(common::runtime(), &bytes, &config) {
            let _ = model.predict(&Batch::from_rows(&common::traffic("live.jsonl", 5)).unwrap());
        }
    }
}
