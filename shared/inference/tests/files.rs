//! What is decided before the engine sees a file: configurations, graphs, and both together. No library is needed here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use proptest::prelude::*;
use seatrial_inference::{GraphInfo, ModelConfig, Task, ValueKind};

const GOOD: &str = "\
schema: 1
task: binary
runtime: onnx
title: Income
inputs:
  - {name: age, datatype: FP32}
  - {name: workclass, datatype: BYTES}
outputs: {label: output_label, scores: output_probability}
classes: [\"<=50K\", \">50K\"]
positive_class: \">50K\"
dependencies: {scikit-learn: 1.7.2, seven: 7}
";

fn fields(text: &str) -> Vec<String> {
    ModelConfig::from_yaml(text).unwrap_err().into_iter().map(|d| d.field).collect()
}

#[test]
fn a_configuration_is_read() {
    let config = ModelConfig::from_yaml(GOOD).unwrap();
    assert_eq!(config.task, Task::Binary);
    assert_eq!(config.model, "weights/model.onnx");
    assert_eq!(config.positive_index(), Some(1));
    assert_eq!((config.threads, config.integer_classes), (1, false));
    assert_eq!(config.dependencies["seven"], "7");
    let integers =
        ModelConfig::from_yaml(&GOOD.replace("[\"<=50K\", \">50K\"]", "[0, 1]").replace("\">50K\"", "1"))
            .unwrap();
    assert_eq!((integers.classes, integers.integer_classes), (vec!["0".to_owned(), "1".to_owned()], true));
}

#[test]
fn every_defect_is_named_at_once() {
    let bad = "\
schema: 2
task: ternary
runtime: pickle
model: ../model.onnx
inputs:
  - {name: age, datatype: FLOAT}
  - {name: workclass, datatype: BYTES, nullable: true, colour: red}
  - {datatype: FP32, shape: [-1, 0]}
  - {name: packed, datatype: FP32, shape: [-1, 3], features: [a, b]}
  - text
classes: [a, a]
positive_class: c
threads: 0
extra: 1
";
    let expected = [
        "extra",
        "schema",
        "task",
        "runtime",
        "classes[1]",
        "positive_class",
        "model",
        "inputs[0].datatype",
        "inputs[1].colour",
        "inputs[1].nullable",
        "inputs[2].name",
        "inputs[2].shape",
        "inputs[3].shape",
        "inputs[4]",
        "threads",
    ];
    assert_eq!(fields(bad), expected);
    assert_eq!(fields("task: binary"), ["schema", "runtime", "classes", "positive_class", "inputs"]);
    assert_eq!(fields("just text"), [""]);
    assert_eq!(fields("a: [1"), [""]);
    assert_eq!(fields(&GOOD.replace("[\"<=50K\", \">50K\"]", "[a, b, c]")), ["classes", "positive_class"]);
    assert_eq!(fields(&GOOD.replace("workclass", "age")), ["inputs[1]"]);
    assert_eq!(fields(&GOOD.replace("label: output_label", "lable: x")), ["outputs.lable"]);
    let text = ModelConfig::from_yaml(&GOOD.replace("FP32", "float")).unwrap_err()[0].to_string();
    assert!(text.starts_with("inputs[0].datatype: found `float`, expected one of BOOL, "), "{text}");
}

fn graph(name: &str) -> GraphInfo {
    GraphInfo::read(std::fs::File::open(common::fixtures().join(name)).unwrap()).unwrap()
}

#[test]
fn a_graph_tells_its_types() {
    let v1 = graph("submissions/v1/weights/model.onnx");
    assert_eq!(v1.producer, "skl2onnx");
    assert_eq!(v1.inputs.len(), 10);
    assert_eq!(v1.inputs[0].kind, ValueKind::Tensor { element: 1, dims: Some(vec![-1, 1]) });
    assert_eq!(v1.outputs[1].kind, ValueKind::Maps { key: 8 });
    assert!(v1.domains.contains("ai.onnx.ml"));
    assert_eq!(
        graph("refused/external_nested/model.onnx").external.into_iter().collect::<Vec<_>>(),
        ["/etc/hostname"]
    );
    let network = graph("engine/network_logits_batch_of_one/model.onnx");
    assert_eq!(network.inputs.len(), 1, "weights are no inputs");
    assert_eq!(network.inputs[0].kind, ValueKind::Tensor { element: 1, dims: Some(vec![1, 5]) });
}

#[test]
fn disagreements_of_configuration_and_graph_are_named_at_once() {
    let v1 = graph("submissions/v1/weights/model.onnx");
    let text = std::fs::read_to_string(common::fixtures().join("submissions/v1/config.yaml")).unwrap();
    let check = |text: &str, graph: &GraphInfo| {
        let config = ModelConfig::from_yaml(text).unwrap();
        config.check_graph(graph).into_iter().map(|d| d.field).collect::<Vec<_>>()
    };
    assert_eq!(check(&text, &v1), Vec::<String>::new());
    let changed = text
        .replace("{name: age, datatype: FP32}", "{name: years, datatype: FP32}")
        .replace("{name: education_num, datatype: FP32}", "{name: education_num, datatype: INT64}")
        .replace("{name: workclass, datatype: BYTES}", "{name: workclass, datatype: BYTES, shape: [-1, 2]}")
        .replace("scores: output_probability", "scores: probability");
    let expected = ["inputs", "inputs[0].name", "inputs[1].datatype", "inputs[5].shape", "outputs.scores"];
    assert_eq!(check(&changed, &v1), expected);

    let boosting = graph("engine/boosting_multiclass_tensor/model.onnx");
    let text =
        std::fs::read_to_string(common::fixtures().join("engine/boosting_multiclass_tensor/config.yaml"))
            .unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["classes"] = serde_json::json!(["a", "b"]);
    assert_eq!(check(&config.to_string(), &boosting), ["classes"]);
    config["task"] = "regression".into();
    config.as_object_mut().unwrap().remove("classes");
    assert_eq!(
        check(&config.to_string(), &boosting),
        Vec::<String>::new(),
        "its floats could be a value; running it tells"
    );
}

proptest! {
    /// Cut off or changed anywhere, a graph is read or refused, never a panic.
    #[test]
    fn damaged_graphs_are_read_or_refused(at in 0_usize..3_600, byte: u8, cut: bool) {
        let mut bytes = std::fs::read(common::fixtures().join("submissions/v1/weights/model.onnx")).unwrap();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let _ = GraphInfo::read(bytes.as_slice());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = GraphInfo::read(bytes.as_slice());
    }

    #[test]
    fn any_text_is_a_configuration_or_has_defects(text in ".{0,200}") {
        let _ = ModelConfig::from_yaml(&text);
    }
}
