//! State machines as written: states, their edges, their expressions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::repository;

/// One state machine.
pub struct Machine {
    /// Its name: `promotion` for `promotion.asl.json`.
    pub name: String,
    /// The text of the file.
    pub text: String,
    /// The text, parsed.
    pub root: Value,
}

/// Every state machine in `statemachines/`.
///
/// # Errors
/// When a file cannot be read or is no JSON.
pub fn machines() -> Result<Vec<Machine>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository("statemachines"))? {
        let path = entry?.path();
        let file = path.file_name().and_then(|f| f.to_str()).unwrap_or_default();
        if let Some(name) = file.strip_suffix(".asl.json") {
            let text = fs::read_to_string(&path)?;
            let root = serde_json::from_str(&text).with_context(|| format!("{file} is no JSON"))?;
            found.push(Machine { name: name.to_owned(), text, root });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The state machine of that name.
///
/// # Errors
/// When there is none.
pub fn machine(name: &str) -> Result<Machine> {
    machines()?.into_iter().find(|m| m.name == name).with_context(|| format!("there is no {name}.asl.json"))
}

/// A task inside a Map.
pub struct Inner<'a> {
    /// The Map's name.
    pub map: &'a str,
    /// The Map, which may catch what the task does not.
    pub around: &'a Value,
    /// The task's name.
    pub name: &'a str,
    /// The task.
    pub task: &'a Value,
}

impl Machine {
    /// The states by name.
    #[must_use]
    pub fn states(&self) -> BTreeMap<&str, &Value> {
        self.root["States"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, state)| (name.as_str(), state))
            .collect()
    }

    /// The tasks by name.
    #[must_use]
    pub fn tasks(&self) -> BTreeMap<&str, &Value> {
        self.states().into_iter().filter(|(_, state)| state["Type"] == "Task").collect()
    }

    /// The tasks that a Map runs for each of its items.
    ///
    /// # Panics
    /// When a Map or a Parallel runs others of these: whoever asks would not see what is in them.
    #[must_use]
    pub fn inner_tasks(&self) -> Vec<Inner<'_>> {
        let mut found = Vec::new();
        for (map, around) in self.states() {
            assert!(around["Type"] != "Parallel", "{}: {map} is a Parallel", self.name);
            for (name, task) in around["ItemProcessor"]["States"].as_object().into_iter().flatten() {
                let kind = task["Type"].as_str().unwrap_or_default();
                assert!(
                    !["Map", "Parallel"].contains(&kind),
                    "{}: {map} holds {name}, which has states of its own",
                    self.name
                );
                if kind == "Task" {
                    found.push(Inner { map, around, name, task });
                }
            }
        }
        found
    }

    /// The states that can be reached from `start` on.
    #[must_use]
    pub fn reachable(&self, start: &str) -> BTreeSet<String> {
        let states = self.states();
        let mut seen = BTreeSet::new();
        let mut open = vec![start.to_owned()];
        while let Some(name) = open.pop() {
            if seen.insert(name.clone())
                && let Some(state) = states.get(name.as_str())
            {
                open.extend(edges(state));
            }
        }
        seen
    }

    /// The names in `${...}`.
    #[must_use]
    pub fn substitutions(&self) -> BTreeSet<String> {
        substitutions(&self.text)
    }
}

/// Where a state can go.
#[must_use]
pub fn edges(state: &Value) -> Vec<String> {
    let rules = |key: &str| state[key].as_array().into_iter().flatten().map(|rule| rule["Next"].clone());
    [state["Next"].clone(), state["Default"].clone()]
        .into_iter()
        .chain(rules("Choices"))
        .chain(rules("Catch"))
        .filter_map(|next| next.as_str().map(str::to_owned))
        .collect()
}

/// Whether an execution ends in this state.
#[must_use]
pub fn is_terminal(state: &Value) -> bool {
    state["End"] == true || state["Type"] == "Succeed" || state["Type"] == "Fail"
}

/// The names in `${...}` of a text.
#[must_use]
pub fn substitutions(text: &str) -> BTreeSet<String> {
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Every string in a value.
#[must_use]
pub fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// The JSONata expressions in a value, without their `{% %}`.
#[must_use]
pub fn expressions(value: &Value) -> Vec<&str> {
    strings(value).into_iter().filter_map(expression).collect()
}

/// The JSONata expression that a string is.
#[must_use]
pub fn expression(text: &str) -> Option<&str> {
    Some(text.strip_prefix("{%")?.strip_suffix("%}")?.trim())
}

/// A JSONata expression without what stands in quotes, and what stood there.
#[must_use]
pub fn unquoted(expression: &str) -> (String, Vec<String>) {
    let (mut code, mut quoted) = (String::new(), Vec::new());
    for (i, part) in expression.split('\'').enumerate() {
        if i % 2 == 0 {
            code.push_str(part);
            code.push_str("''");
        } else {
            quoted.push(part.to_owned());
        }
    }
    (code, quoted)
}

/// The variables and functions `$name` that an expression names, apart from those it sets itself (`$x := …`).
#[must_use]
pub fn names(expression: &str) -> BTreeSet<String> {
    let (code, _) = unquoted(expression);
    let mut used = BTreeSet::new();
    let mut own = BTreeSet::new();
    for rest in code.split('$').skip(1) {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if after.trim_start().starts_with(":=") {
            own.insert(name.to_owned());
        }
        used.insert(name.to_owned());
    }
    used.difference(&own).cloned().collect()
}

/// The fields that follow each occurrence of `path.` in an expression.
#[must_use]
pub fn fields_of(expression: &str, path: &str) -> Vec<String> {
    let (code, _) = unquoted(expression);
    code.split(&format!("{path}."))
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_leave_out_texts_and_what_an_expression_sets_itself() {
        let found = names("( $c := $string($failure.Cause); $c & ' costs $five' & $held.model )");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["failure", "held", "string"]);
        assert_eq!(
            fields_of("$states.result.Payload.why & $states.result.Payload.state", "$states.result.Payload"),
            ["why", "state"]
        );
    }
}
