//! The four submissions behave as the demo needs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use seatrial_inference::{Batch, Model, Side};
use serde_json::json;

fn version(name: &str) -> Model {
    Model::from_folder(common::runtime(), &common::fixtures().join("submissions").join(name)).unwrap()
}

#[test]
fn every_version_takes_the_same_request() {
    let columns: Vec<_> = ["v1", "v2", "v3", "v4"]
        .map(|v| {
            let mut names: Vec<String> = version(v).columns().iter().map(|c| c.name.clone()).collect();
            names.sort();
            names
        })
        .into();
    assert!(columns.iter().all(|c| *c == columns[0]), "{columns:?}");
}

#[test]
fn the_metadata_are_as_the_protocol_wants_them() {
    let signature = serde_json::to_value(version("v4").signature()).unwrap();
    assert_eq!(signature["inputs"][0], json!({"name": "age", "datatype": "FP32", "shape": [-1, 1]}));
    let outputs = json!([
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "scores", "datatype": "FP64", "shape": [-1, 2]},
    ]);
    assert_eq!(signature["outputs"], outputs);
}

#[test]
fn v4_fails_on_late_traffic_and_only_it() {
    let live = common::traffic("live.jsonl", 1_000);
    let late = common::traffic("live_late.jsonl", usize::MAX);
    let unseen = late.iter().filter(|r| r["native_country"] == "Mexico").count();
    assert!(unseen * 4 > late.len(), "{unseen} of {}", late.len());
    for name in ["v1", "v2", "v3", "v4"] {
        let model = version(name);
        model.predict(&Batch::from_rows(&live).unwrap()).unwrap();
        let outcomes = model.predict_each(&Batch::from_rows(&late).unwrap());
        let failed: Vec<usize> = (0..late.len()).filter(|i| outcomes[*i].is_err()).collect();
        if name != "v4" {
            assert!(failed.is_empty(), "{name}");
            continue;
        }
        assert_eq!(failed.len(), unseen);
        assert!(failed.iter().all(|i| late[*i]["native_country"] == "Mexico"));
        let error = outcomes[failed[0]].as_ref().unwrap_err();
        assert_eq!((error.side(), error.code()), (Side::Model, "session-failed"));
        assert!(error.message().contains("Gather"), "{error}");
    }
}

#[test]
fn answers_are_tensors_of_the_protocol() {
    let model = version("v2");
    let batch = Batch::from_rows(&common::traffic("live.jsonl", 3)).unwrap();
    let predictions = model.predict(&batch).unwrap();
    let outputs = seatrial_inference::oip::outputs(model.config(), &predictions);
    assert_eq!(outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["label", "scores"]);
    assert_eq!(outputs[0].shape, [3]);
    assert_eq!(outputs[1].shape, [3, 2]);
    assert_eq!(outputs[1].data[5], json!(predictions[2].scores.as_ref().unwrap()[1]));
    assert!(predictions.iter().all(|p| {
        let scores = p.scores.as_ref().unwrap();
        (scores[0] + scores[1] - 1.0).abs() < 1e-6
            && p.label.as_deref() == Some(["<=50K", ">50K"][usize::from(scores[1] > 0.5)])
    }));
}
