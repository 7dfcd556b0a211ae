//! Which outputs of a graph hold the label, the scores or the value.

use crate::config::ModelConfig;
use crate::error::Defect;
use crate::onnx::{GraphInfo, ValueInfo, ValueKind};

/// The outputs that are read, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PlannedOutputs {
    pub(crate) label: Option<String>,
    pub(crate) scores: Option<String>,
    pub(crate) value: Option<String>,
}

/// What an output can be, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Integers, truth values or text: classes.
    Label,
    /// Floats: scores or values.
    Floats,
    /// ZipMap: scores by class.
    Maps,
    /// Nothing that can be read.
    Unreadable,
}

fn role(value: &ValueInfo) -> Role {
    match value.kind {
        ValueKind::Tensor { element: 1 | 11, .. } => Role::Floats,
        ValueKind::Tensor { element: 6..=9, .. } => Role::Label,
        ValueKind::Maps { key: 7 | 8 } => Role::Maps,
        _ => Role::Unreadable,
    }
}

pub(crate) fn plan(config: &ModelConfig, graph: &GraphInfo, defects: &mut Vec<Defect>) -> PlannedOutputs {
    for output in graph.outputs.iter().filter(|o| role(o) == Role::Unreadable) {
        // Not merely passed over: the engine's binding cannot describe such types.
        let found = format!("the output `{}` of a type that cannot be read", output.name);
        let expected = "FP32, FP64, INT32, INT64, BOOL or BYTES tensors, or ZipMap's maps";
        defects.push(Defect::new(&config.model, found, expected));
    }
    let mut find =
        |field: &str, given: Option<&String>, roles: &[Role]| find(field, given, roles, graph, defects);
    let wanted = &config.outputs;
    if !config.task.is_classification() {
        let value = find("outputs.value", wanted.value.as_ref(), &[Role::Floats]);
        if value.is_none() && wanted.value.is_none() {
            defects.push(Defect::new(
                "outputs.value",
                "nothing",
                "the graph's output with the value: a float tensor",
            ));
        }
        return PlannedOutputs { value, ..PlannedOutputs::default() };
    }
    let label = find("outputs.label", wanted.label.as_ref(), &[Role::Label]);
    let scores = find("outputs.scores", wanted.scores.as_ref(), &[Role::Maps, Role::Floats]);
    if label.is_none() && scores.is_none() && wanted.label.is_none() && wanted.scores.is_none() {
        let expected = "the graph's outputs with the label or the scores";
        defects.push(Defect::new("outputs", "nothing that fits", expected));
    }
    if let Some(defect) = scores.as_ref().and_then(|name| score_width(config, graph, name)) {
        defects.push(defect);
    }
    PlannedOutputs { label, scores, value: None }
}

/// The named output if it fits, else the first that fits.
fn find(
    field: &str,
    given: Option<&String>,
    roles: &[Role],
    graph: &GraphInfo,
    defects: &mut Vec<Defect>,
) -> Option<String> {
    let Some(name) = given else {
        return graph.outputs.iter().find(|o| roles.contains(&role(o))).map(|o| o.name.clone());
    };
    match graph.outputs.iter().find(|o| &o.name == name) {
        Some(output) if roles.contains(&role(output)) => Some(name.clone()),
        Some(_) => {
            let expected = match roles {
                [Role::Label] => "an output of integers or text",
                [Role::Floats] => "an output of floats",
                _ => "an output of floats, or ZipMap's",
            };
            defects.push(Defect::new(field, format!("`{name}`, of another type"), expected));
            None
        }
        None => {
            let names: Vec<&str> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
            let expected = format!("an output of the graph: {}", names.join(", "));
            defects.push(Defect::new(field, format!("`{name}`"), expected));
            None
        }
    }
}

/// A defect if the graph says how many scores a row has and that is not the number of classes.
fn score_width(config: &ModelConfig, graph: &GraphInfo, name: &str) -> Option<Defect> {
    let output = graph.outputs.iter().find(|o| o.name == name)?;
    let ValueKind::Tensor { dims: Some(dims), .. } = &output.kind else { return None };
    let width = dims.get(1).copied().unwrap_or(1);
    let classes = config.classes.len() as i64;
    let fits = width == -1 || width == classes || (width == 1 && classes == 2);
    (!fits).then(|| {
        let expected = format!("{width}, the scores a row in the graph's output `{name}`");
        Defect::new("classes", format!("{classes} classes"), expected)
    })
}
