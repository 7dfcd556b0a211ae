//! Brings `config.yaml` and the graph together, once, when a version is loaded: what goes where, or every disagreement.

use std::collections::HashSet;

use crate::config::{InputConfig, ModelConfig};
use crate::datatype::Datatype;
use crate::error::Defect;
use crate::onnx::{GraphInfo, ValueInfo, ValueKind};
use crate::plan_outputs::{self, PlannedOutputs};

/// Operators that the engine itself brings. Any other would need a library of somebody's, and none is ever loaded.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// A column that a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// What the graph makes of it.
    pub datatype: Datatype,
    /// The shape of one row's value, -1 for what varies; empty for a plain value.
    pub item: Vec<i64>,
    /// Whether it may be missing.
    pub nullable: bool,
}

/// Where the values of a graph's input come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// From the column of its own name.
    Column,
    /// From these columns, side by side.
    Packed(Vec<String>),
}

/// One input of the graph, ready to be fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedInput {
    pub(crate) name: String,
    pub(crate) datatype: Datatype,
    /// Sizes after the batch, -1 for what varies; empty for a graph that takes `[N]`.
    pub(crate) item: Vec<i64>,
    pub(crate) source: Source,
    pub(crate) nullable: bool,
}

/// How a version is fed and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) columns: Vec<ColumnSpec>,
    pub(crate) outputs: PlannedOutputs,
    /// The graph takes one row at a time.
    pub(crate) one_by_one: bool,
}

pub(crate) fn plan(config: &ModelConfig, graph: &GraphInfo) -> Result<Plan, Vec<Defect>> {
    let mut defects = Vec::new();
    let (inputs, one_by_one) = inputs(config, graph, &mut defects);
    let outputs = plan_outputs::plan(config, graph, &mut defects);
    for domain in graph.domains.iter().filter(|d| !DOMAINS.contains(&d.as_str())) {
        let expected = "only operators of ONNX, ai.onnx.ml and com.microsoft: no operator library is loaded";
        defects.push(Defect::new(&config.model, format!("operators of the domain `{domain}`"), expected));
    }
    for location in graph.external.iter().filter(|l| !inside(l)) {
        let expected = "weights in the graph itself, or in a file beside it";
        defects.push(Defect::new(&config.model, format!("weights in `{location}`"), expected));
    }
    if !defects.is_empty() {
        return Err(defects);
    }
    Ok(Plan { columns: columns(&inputs), inputs, outputs, one_by_one })
}

/// Whether a path stays inside its folder, by its words; symbolic links are looked at when the file is loaded.
pub(crate) fn inside(location: &str) -> bool {
    let mut parts = std::path::Path::new(location).components().peekable();
    parts.peek().is_some()
        && parts.all(|c| matches!(c, std::path::Component::Normal(_)))
        && !location.contains('\\')
}

fn inputs(config: &ModelConfig, graph: &GraphInfo, defects: &mut Vec<Defect>) -> (Vec<PlannedInput>, bool) {
    let mut planned = Vec::new();
    let mut one_by_one = false;
    let named: HashSet<&str> = config.inputs.iter().map(|i| i.name.as_str()).collect();
    for value in graph.inputs.iter().filter(|v| !named.contains(v.name.as_str())) {
        let expected = format!("an entry for `{}`, an input of the graph", value.name);
        defects.push(Defect::new("inputs", "nothing", expected));
    }
    for (i, input) in config.inputs.iter().enumerate() {
        let place = format!("inputs[{i}]");
        let Some(value) = graph.inputs.iter().find(|v| v.name == input.name) else {
            let names: Vec<&str> = graph.inputs.iter().map(|v| v.name.as_str()).collect();
            let expected = format!("an input of the graph: {}", names.join(", "));
            defects.push(Defect::new(format!("{place}.name"), format!("`{}`", input.name), expected));
            continue;
        };
        match one_input(&place, input, value) {
            Ok((input, single)) => {
                one_by_one |= single;
                planned.push(input);
            }
            Err(defect) => defects.push(defect),
        }
    }
    (planned, one_by_one)
}

/// One input, and whether the graph takes it one row at a time.
fn one_input(place: &str, input: &InputConfig, value: &ValueInfo) -> Result<(PlannedInput, bool), Defect> {
    let ValueKind::Tensor { element, dims } = &value.kind else {
        return Err(Defect::new(place, "an input of the graph that is no tensor", "tensors only"));
    };
    let Some(datatype) = Datatype::from_onnx(*element) else {
        let found = format!("element type {element} of ONNX in the graph");
        return Err(Defect::new(place, found, format!("one of {}", Datatype::names())));
    };
    if datatype != input.datatype {
        let field = format!("{place}.datatype");
        return Err(Defect::new(
            field,
            format!("`{}`", input.datatype),
            format!("`{datatype}`, as in the graph"),
        ));
    }
    let shape = shape(input, dims.as_deref())
        .map_err(|(found, expected)| Defect::new(format!("{place}.shape"), found, expected))?;
    let batch = dims.as_ref().and_then(|d| d.first()).copied().unwrap_or(-1);
    if batch > 1 {
        let expected = "a batch that varies; export the model with a dynamic first dimension";
        return Err(Defect::new(place, format!("a batch of exactly {batch} in the graph"), expected));
    }
    let item = shape.get(1..).unwrap_or_default().to_vec();
    let source = match &input.features {
        None => Source::Column,
        Some(names) if shape.len() == 2 && (item[0] == -1 || item[0] == names.len() as i64) => {
            Source::Packed(names.clone())
        }
        Some(names) => {
            let found = format!("{} features", names.len());
            return Err(Defect::new(
                format!("{place}.features"),
                found,
                format!("as many as the shape {shape:?} takes"),
            ));
        }
    };
    let planned = PlannedInput { name: input.name.clone(), datatype, item, source, nullable: input.nullable };
    Ok((planned, batch == 1))
}

/// The shape that both sides agree on: what one leaves open the other fills in.
fn shape(input: &InputConfig, dims: Option<&[i64]>) -> Result<Vec<i64>, (String, String)> {
    let default = || vec![-1, input.features.as_ref().map_or(1, |f| f.len() as i64)];
    match (&input.shape, dims) {
        (None, None) => Ok(default()),
        (Some(given), None) => Ok(given.clone()),
        (_, Some([])) => {
            Err(("a graph that takes a single value".to_owned(), "a graph that takes a batch".to_owned()))
        }
        (None, Some(graph)) => Ok(merged(&default(), graph).unwrap_or_else(|| graph.to_vec())),
        (Some(given), Some(graph)) => {
            merged(given, graph).ok_or_else(|| (format!("{given:?}"), format!("{graph:?}, as in the graph")))
        }
    }
}

fn merged(given: &[i64], graph: &[i64]) -> Option<Vec<i64>> {
    if given.len() != graph.len() {
        return None;
    }
    let pairs = given.iter().zip(graph).enumerate();
    pairs
        .map(|(i, (a, b))| match (*a, *b) {
            _ if i == 0 => Some(-1), // the batch is looked at apart
            (a, -1) => Some(a),
            (-1, b) => Some(b),
            (a, b) => (a == b).then_some(a),
        })
        .collect()
}

fn columns(inputs: &[PlannedInput]) -> Vec<ColumnSpec> {
    let mut out = Vec::new();
    for input in inputs {
        let spec = |name: &String, item: Vec<i64>| ColumnSpec {
            name: name.clone(),
            datatype: input.datatype,
            item,
            nullable: input.nullable,
        };
        match &input.source {
            Source::Packed(names) => out.extend(names.iter().map(|name| spec(name, Vec::new()))),
            Source::Column if input.item.iter().all(|d| *d == 1) => out.push(spec(&input.name, Vec::new())),
            Source::Column => out.push(spec(&input.name, input.item.clone())),
        }
    }
    out
}
