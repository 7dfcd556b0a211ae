//! Reads `config.yaml` field by field and goes on after each defect, so that a submitter sees all of them at once.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path};

use serde_json::{Map, Value};

use crate::config::{InputConfig, ModelConfig, OutputsConfig, ScoreKind, Task};
use crate::datatype::Datatype;
use crate::error::Defect;
use crate::serving;

const KEYS: [&str; 12] = [
    "schema",
    "task",
    "runtime",
    "title",
    "model",
    "inputs",
    "outputs",
    "classes",
    "positive_class",
    "threads",
    "dependencies",
    "serving",
];

pub(crate) fn read(text: &str) -> Result<ModelConfig, Vec<Defect>> {
    let value: Value = serde_yaml_ng::from_str(text)
        .map_err(|e| vec![Defect::new("", format!("text that is not YAML ({e})"), "a YAML mapping")])?;
    let Value::Object(map) = &value else {
        return Err(vec![Defect::new("", kind(&value), "a YAML mapping")]);
    };
    let mut defects = Vec::new();
    let config = whole(&mut Fields { path: String::new(), map, defects: &mut defects });
    if defects.is_empty() { Ok(config) } else { Err(defects) }
}

/// Reads all fields; where one is wrong a harmless value stands in for it, since a defect makes the whole worthless anyway.
fn whole(f: &mut Fields<'_>) -> ModelConfig {
    f.only(&KEYS);
    if f.value("schema", true).is_some_and(|v| v != &Value::from(1)) {
        f.defect("schema", f.found("schema"), "1");
    }
    let task = f.word(
        "task",
        &[("binary", Task::Binary), ("multiclass", Task::Multiclass), ("regression", Task::Regression)],
        None,
    );
    f.word("runtime", &[("onnx", ())], None);
    let (classes, integer_classes) = classes(f, task);
    let positive_class = positive(f, task, &classes);
    ModelConfig {
        task: task.unwrap_or(Task::Regression),
        runtime: "onnx".to_owned(),
        title: f.text("title", false),
        model: model_path(f),
        inputs: inputs(f),
        outputs: outputs(f, task),
        classes,
        integer_classes,
        positive_class,
        threads: threads(f),
        dependencies: dependencies(f),
        serving: serving::read(f.map.get("serving"), f.defects),
    }
}

fn model_path(f: &mut Fields<'_>) -> String {
    let path = f.text("model", false).unwrap_or_else(|| "weights/model.onnx".to_owned());
    if path.is_empty() || !Path::new(&path).components().all(|c| matches!(c, Component::Normal(_))) {
        f.defect("model", format!("`{path}`"), "a path inside the submission, such as `weights/model.onnx`");
    }
    path
}

fn threads(f: &mut Fields<'_>) -> u16 {
    match f.value("threads", false).map(Value::as_u64) {
        None => 1,
        Some(Some(n @ 1..=64)) => n as u16,
        Some(_) => {
            f.defect("threads", f.found("threads"), "a whole number from 1 to 64");
            1
        }
    }
}

fn dependencies(f: &mut Fields<'_>) -> BTreeMap<String, String> {
    let Some(value) = f.value("dependencies", false) else { return BTreeMap::new() };
    let Value::Object(map) = value else {
        f.defect("dependencies", kind(value), "a mapping of names to versions");
        return BTreeMap::new();
    };
    let mut out = BTreeMap::new();
    for (name, version) in map {
        match scalar(version) {
            Some(version) => drop(out.insert(name.clone(), version)),
            None => f.defect(&format!("dependencies.{name}"), kind(version), "a version, as text"),
        }
    }
    out
}

/// The classes as text, and whether every one was written as an integer.
fn classes(f: &mut Fields<'_>, task: Option<Task>) -> (Vec<String>, bool) {
    let wanted = task.is_some_and(Task::is_classification);
    let Some(list) = f.list("classes", wanted) else { return (Vec::new(), false) };
    let expected = match task {
        Some(Task::Binary) => "exactly two classes",
        Some(Task::Multiclass) => "at least two classes",
        Some(Task::Regression) => "no classes for the task `regression`",
        None => "classes",
    };
    let count_fits = match task {
        Some(Task::Binary) => list.len() == 2,
        Some(Task::Multiclass) => list.len() >= 2,
        Some(Task::Regression) => false,
        None => true,
    };
    if !count_fits {
        f.defect("classes", format!("{} classes", list.len()), expected);
    }
    let (mut out, mut seen) = (Vec::new(), HashSet::new());
    for (i, value) in list.iter().enumerate() {
        let Some(class) = scalar(value) else {
            f.defect(&format!("classes[{i}]"), kind(value), "a name or a number");
            continue;
        };
        if !seen.insert(class.clone()) {
            f.defect(&format!("classes[{i}]"), format!("`{class}` again"), "each class once");
        }
        out.push(class);
    }
    (out, !list.is_empty() && list.iter().all(|v| v.is_i64() || v.is_u64()))
}

fn positive(f: &mut Fields<'_>, task: Option<Task>, classes: &[String]) -> Option<String> {
    let value = f.value("positive_class", task == Some(Task::Binary))?;
    match scalar(value) {
        _ if task.is_some_and(|t| t != Task::Binary) => {
            f.defect(
                "positive_class",
                f.found("positive_class"),
                "nothing: only the task `binary` has a positive class",
            );
            None
        }
        Some(class) if classes.is_empty() || classes.contains(&class) => Some(class),
        _ => {
            f.defect(
                "positive_class",
                f.found("positive_class"),
                format!("one of the classes: {}", classes.join(", ")),
            );
            None
        }
    }
}

fn inputs(f: &mut Fields<'_>) -> Vec<InputConfig> {
    let Some(list) = f.list("inputs", true) else { return Vec::new() };
    if list.is_empty() {
        f.defect("inputs", "an empty list", "every input of the graph, with `name` and `datatype`");
    }
    let (mut out, mut names) = (Vec::new(), HashSet::new());
    for (i, value) in list.iter().enumerate() {
        let path = format!("inputs[{i}]");
        let Value::Object(map) = value else {
            f.defect(&path, kind(value), "a mapping with `name` and `datatype`");
            continue;
        };
        let mut item = Fields { path: format!("{path}."), map, defects: f.defects };
        let Some(input) = input(&mut item) else { continue };
        for name in input.features.as_deref().unwrap_or(std::slice::from_ref(&input.name)) {
            if !names.insert(name.clone()) {
                f.defect(&path, format!("column `{name}` again"), "each column once");
            }
        }
        out.push(input);
    }
    out
}

fn input(f: &mut Fields<'_>) -> Option<InputConfig> {
    f.only(&["name", "datatype", "shape", "features", "nullable"]);
    let name = f.text("name", true);
    let datatype = f.text("datatype", true).and_then(|text| {
        let datatype = Datatype::from_name(&text);
        if datatype.is_none() {
            f.defect("datatype", format!("`{text}`"), format!("one of {}", Datatype::names()));
        }
        datatype
    });
    let shape = shape(f);
    let features = f.list("features", false).map(|list| {
        let names: Vec<String> = list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        if names.len() != list.len() || names.is_empty() {
            f.defect("features", f.found("features"), "a list of column names");
        }
        names
    });
    let nullable = match f.value("nullable", false) {
        None => false,
        Some(Value::Bool(b)) => *b,
        Some(_) => {
            f.defect("nullable", f.found("nullable"), "true or false");
            false
        }
    };
    if nullable && datatype.is_some_and(|d| !d.is_float()) {
        f.defect("nullable", "true", "false: only FP32 and FP64 can hold \"no value\"");
    }
    if let (Some(names), Some(shape)) = (&features, &shape)
        && (shape.len() != 2 || (shape[1] != -1 && shape[1] != names.len() as i64))
    {
        f.defect(
            "shape",
            format!("{shape:?}"),
            format!("[-1, {}] for {} features", names.len(), names.len()),
        );
    }
    Some(InputConfig { name: name?, datatype: datatype?, shape, features, nullable })
}

fn shape(f: &mut Fields<'_>) -> Option<Vec<i64>> {
    let list = f.list("shape", false)?;
    let dims: Vec<i64> = list.iter().filter_map(Value::as_i64).collect();
    if dims.len() == list.len() && !dims.is_empty() && dims.iter().all(|d| *d == -1 || *d > 0) {
        return Some(dims);
    }
    f.defect("shape", f.found("shape"), "a list of sizes, -1 for what varies, the batch first: [-1, 1]");
    None
}

fn outputs(f: &mut Fields<'_>, task: Option<Task>) -> OutputsConfig {
    let Some(value) = f.value("outputs", false) else { return OutputsConfig::default() };
    let Value::Object(map) = value else {
        f.defect("outputs", kind(value), "a mapping with `label` and `scores`, or `value`");
        return OutputsConfig::default();
    };
    let mut f = Fields { path: "outputs.".to_owned(), map, defects: f.defects };
    match task {
        Some(Task::Regression) => f.only(&["value"]),
        Some(_) => f.only(&["label", "scores", "score_kind"]),
        None => f.only(&["label", "scores", "value", "score_kind"]),
    }
    let kinds = [("probability", ScoreKind::Probability), ("logit", ScoreKind::Logit)];
    OutputsConfig {
        label: f.text("label", false),
        scores: f.text("scores", false),
        value: f.text("value", false),
        score_kind: f.word("score_kind", &kinds, Some(ScoreKind::Probability)).unwrap_or_default(),
    }
}

/// One mapping of the file, and where its defects go.
struct Fields<'a> {
    /// What stands before a key in a defect's place: empty, or `inputs[2].`.
    path: String,
    map: &'a Map<String, Value>,
    defects: &'a mut Vec<Defect>,
}

impl<'a> Fields<'a> {
    fn defect(&mut self, key: &str, found: impl Into<String>, expected: impl Into<String>) {
        self.defects.push(Defect::new(format!("{}{key}", self.path), found, expected));
    }

    fn found(&self, key: &str) -> String {
        self.map.get(key).map_or_else(|| "nothing".to_owned(), shown)
    }

    fn only(&mut self, known: &[&str]) {
        for key in self.map.keys().filter(|k| !known.contains(&k.as_str())) {
            self.defects.push(Defect::new(
                format!("{}{key}", self.path),
                "an unknown key",
                format!("one of {}", known.join(", ")),
            ));
        }
    }

    /// The value of a key; `null` counts as missing.
    fn value(&mut self, key: &str, required: bool) -> Option<&'a Value> {
        let value = self.map.get(key).filter(|v| !v.is_null());
        if value.is_none() && required {
            self.defect(key, "nothing", "a value: this key is required");
        }
        value
    }

    fn text(&mut self, key: &str, required: bool) -> Option<String> {
        let value = self.value(key, required)?;
        let text = value.as_str().filter(|t| !t.trim().is_empty()).map(str::to_owned);
        if text.is_none() {
            self.defect(key, shown(value), "text");
        }
        text
    }

    fn list(&mut self, key: &str, required: bool) -> Option<&'a Vec<Value>> {
        let value = self.value(key, required)?;
        let list = value.as_array();
        if list.is_none() {
            self.defect(key, shown(value), "a list");
        }
        list
    }

    /// One of several words; `default` stands for a missing key, which is a defect without one.
    fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)], default: Option<T>) -> Option<T> {
        let Some(value) = self.value(key, default.is_none()) else { return default };
        let found = words.iter().find(|(word, _)| value.as_str() == Some(word)).map(|(_, t)| *t);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.defect(key, shown(value), words.join(" or "));
        }
        found
    }
}

/// A value as a defect shows it, cut short.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        format!("`{text}`")
    } else {
        format!("`{}…`", text.chars().take(60).collect::<String>())
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Text of a name, a number or a truth value.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}
