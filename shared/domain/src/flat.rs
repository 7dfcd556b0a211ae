//! A document as a flat list of settings, one text a path, so that two of them can be laid side by side.
//!
//! No difference is ever lost: what is too long is cut and carries the beginning of its SHA-256, and so does what is left
//! out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::canonical::sha256;

/// Settings by their paths, for example `outputs.scores` or `inputs[age]`.
pub type Flat = BTreeMap<String, String>;

/// The longest value that is kept whole, in characters.
const VALUE_CHARS: usize = 200;
/// The longest path that is kept whole, in characters.
const PATH_CHARS: usize = 120;
/// The most that is kept of one document, in bytes.
const TOTAL_BYTES: usize = 16 * 1024;
/// The path under which stands what was left out.
const REST: &str = "…";

/// A setting that two documents do not have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path.
    pub path: String,
    /// Its value in the first; none where it is not there.
    pub before: Option<String>,
    /// Its value in the second; none where it is not there.
    pub after: Option<String>,
}

/// The settings of `value`, within bounds. What has no value (`null`) is not there.
///
/// Items of a list that have a name (`name`, `email` or `id`) go by it and not by their place, so that one more item at the
/// front is one difference.
#[must_use]
pub fn flatten(value: &Value) -> Flat {
    let mut all = Vec::new();
    walk("", value, &mut all);
    bounded(all.into_iter().map(|(path, text)| (cut(&path, PATH_CHARS), cut(&text, VALUE_CHARS))).collect())
}

/// Every setting in which `after` is not what `before` is, by path.
#[must_use]
pub fn differences(before: &Flat, after: &Flat) -> Vec<Difference> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    differing
        .map(|path| Difference {
            path: path.clone(),
            before: before.get(path).cloned(),
            after: after.get(path).cloned(),
        })
        .collect()
}

fn walk(path: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let key = named(key);
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                walk(&path, value, out);
            }
        }
        Value::Array(items) if items.iter().any(|i| !is_plain(i)) => {
            let names = names(items);
            for (place, item) in items.iter().enumerate() {
                let (field, name) = match &names {
                    Some((field, names)) => (*field, named(names[place])),
                    None => ("", place.to_string()),
                };
                match item.as_object() {
                    Some(map) if map.values().all(is_plain) => {
                        out.push((format!("{path}[{name}]"), row(map, field)));
                    }
                    _ => walk(&format!("{path}[{name}]"), item, out),
                }
            }
        }
        plain => out.push((path.to_owned(), text(plain))),
    }
}

/// Whether `value` is shown as one text: a scalar, or a list of scalars.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => items.iter().all(|i| !i.is_array() && !i.is_object()),
        _ => true,
    }
}

/// The names of a list's items and the field they stand in, where every item has its own.
fn names(items: &[Value]) -> Option<(&'static str, Vec<&str>)> {
    ["name", "email", "id"].into_iter().find_map(|field| {
        let names: Option<Vec<&str>> = items.iter().map(|item| item.get(field)?.as_str()).collect();
        let names = names.filter(|names| names.iter().collect::<BTreeSet<_>>().len() == names.len())?;
        Some((field, names))
    })
}

/// A small object in one line, without the field that stands in its path.
fn row(map: &Map<String, Value>, name: &str) -> String {
    let fields = map.iter().filter(|(key, value)| *key != name && !value.is_null());
    fields.map(|(key, value)| format!("{}: {}", named(key), text(value))).collect::<Vec<_>>().join(", ")
}

/// A key as it stands in a path: in quotes where it could be taken for something else.
fn named(key: &str) -> String {
    let odd = key.is_empty() || key == REST || key.contains(['.', '[', ']', '"', ':', ',']);
    if odd { Value::from(key).to_string() } else { key.to_owned() }
}

/// A value in words: as JSON, but texts stand without quotes where they cannot be taken for anything else.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let odd = text.is_empty() || text.contains([',', '[', ']', '"', '{', '}']);
            if odd || serde_json::from_str::<Value>(text).is_ok() { value.to_string() } else { text.clone() }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// `text`, cut to `most` characters; the SHA-256 of the whole then stands at its end.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most).collect();
    format!("{kept}… ({})", sha256(text.as_bytes()).short())
}

fn bounded(all: Flat) -> Flat {
    let (mut kept, mut rest, mut bytes) = (Flat::new(), Flat::new(), 0);
    for (path, text) in all {
        bytes += path.len() + text.len();
        if bytes <= TOTAL_BYTES {
            kept.insert(path, text)
        } else {
            rest.insert(path, text)
        };
    }
    if !rest.is_empty() {
        let mut whole = String::new();
        for (path, text) in &rest {
            whole.extend([path, "\0", text, "\0"]);
        }
        let digest = sha256(whole.as_bytes());
        kept.insert(REST.into(), format!("{} more settings ({})", rest.len(), digest.short()));
    }
    kept
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: &Value) -> Vec<String> {
        flatten(value).into_iter().map(|(path, text)| format!("{path} = {text}")).collect()
    }

    #[test]
    fn every_setting_has_a_path_and_named_items_go_by_their_names() {
        let value = json!({
            "task": "binary", "threads": 2, "none": null, "empty": {}, "steps": [1.0, 5.0],
            "outputs": { "scores": "probabilities", "score_kind": "logit" },
            "inputs": [{ "name": "age", "datatype": "FP32", "shape": [-1, 1] }, { "name": "sex", "datatype": "BYTES" }],
            "nested": [{ "deep": { "x": true } }, "flat"],
            "dependencies": { "scikit-learn": "1.5", "odd.name": "x" },
        });
        assert_eq!(
            shown(&value),
            [
                "dependencies.\"odd.name\" = x",
                "dependencies.scikit-learn = \"1.5\"",
                "empty = {}",
                "inputs[age] = datatype: FP32, shape: [-1, 1]",
                "inputs[sex] = datatype: BYTES",
                "nested[0].deep.x = true",
                "nested[1] = flat",
                "outputs.score_kind = logit",
                "outputs.scores = probabilities",
                "steps = [1.0, 5.0]",
                "task = binary",
                "threads = 2",
            ]
        );
    }

    #[test]
    fn a_difference_names_both_values_and_nothing_else_is_listed() {
        let before = flatten(&json!({ "a": 1, "b": "x", "list": [{ "name": "p", "v": 1 }] }));
        let after =
            flatten(&json!({ "a": 1, "c": "y", "list": [{ "name": "o", "v": 1 }, { "name": "p", "v": 1 }] }));
        let found: Vec<_> = differences(&before, &after)
            .into_iter()
            .map(|d| (d.path, d.before.unwrap_or_default(), d.after.unwrap_or_default()))
            .collect();
        let row = |path: &str, before: &str, after: &str| (path.into(), before.into(), after.into());
        assert_eq!(found, [row("b", "x", ""), row("c", "", "y"), row("list[o]", "", "v: 1")]);
        assert_eq!(differences(&before, &before), []);
    }

    #[test]
    fn values_of_different_kinds_never_look_the_same() {
        for (one, other) in [
            (json!({ "a": "1" }), json!({ "a": 1 })),
            (json!({ "a": "true" }), json!({ "a": true })),
            (json!({ "a": ["x, y"] }), json!({ "a": ["x", "y"] })),
            (json!({ "a": "[x]" }), json!({ "a": ["x"] })),
            (json!({ "a": "" }), json!({})),
            (json!({ "a.b": 1 }), json!({ "a": { "b": 1 } })),
        ] {
            assert_ne!(flatten(&one), flatten(&other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_cut_or_left_out_still_differs() {
        let long = |end: &str| flatten(&json!({ "features": format!("{}{end}", "x".repeat(5_000)) }));
        assert_ne!(long("a"), long("b"));
        assert!(long("a")["features"].chars().count() < 300);
        let many = |last: u32| {
            let mut map = Map::new();
            for n in 0..5_000 {
                map.insert(format!("key-{n:05}"), if n == 4_999 { last } else { n }.into());
            }
            flatten(&Value::Object(map))
        };
        let (one, other) = (many(1), many(2));
        assert!(one.iter().map(|(path, text)| path.len() + text.len()).sum::<usize>() < TOTAL_BYTES + 200);
        let found = differences(&one, &other);
        assert_eq!(found.len(), 1);
        assert!(found[0].path == REST && found[0].before.as_ref().unwrap().contains("more settings"));
    }
}
