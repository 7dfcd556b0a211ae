//! The CloudFormation template as written: its short tags become the long form, nothing is resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use crate::repository;

/// The template.
pub struct Template {
    /// The text of the file.
    pub text: String,
    root: Value,
}

impl Template {
    /// Reads `infra/template.yaml`.
    ///
    /// # Errors
    /// When it cannot be read or is no YAML.
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(repository("infra/template.yaml"))?;
        let yaml: Yaml = serde_yaml_ng::from_str(&text).context("infra/template.yaml is no YAML")?;
        Ok(Self { root: plain(yaml), text })
    }

    /// The names of the parameters.
    #[must_use]
    pub fn parameters(&self) -> BTreeSet<String> {
        self.root["Parameters"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    /// The default of a parameter, as text.
    #[must_use]
    pub fn default(&self, parameter: &str) -> Option<String> {
        let default = &self.root["Parameters"][parameter]["Default"];
        default.as_str().map(str::to_owned).or_else(|| default.as_u64().map(|n| n.to_string()))
    }

    /// Everything of the template.
    #[must_use]
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// A resource; `Null` when there is none.
    #[must_use]
    pub fn resource(&self, name: &str) -> &Value {
        &self.root["Resources"][name]
    }

    /// The properties of a resource; `Null` when there is none.
    #[must_use]
    pub fn properties(&self, name: &str) -> &Value {
        &self.resource(name)["Properties"]
    }

    /// The properties of all resources of a type, by logical id.
    #[must_use]
    pub fn of_type(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let resources = self.root["Resources"].as_object().into_iter().flatten();
        resources
            .filter(|(_, r)| r["Type"] == kind)
            .map(|(name, r)| (name.as_str(), &r["Properties"]))
            .collect()
    }

    /// The statements of a role's policies, `Fn::If` taken as its first branch.
    #[must_use]
    pub fn statements(&self, role: &str) -> Vec<Value> {
        let policies = self.properties(role)["Policies"].as_array().into_iter().flatten();
        let statements =
            policies.flat_map(|p| p["PolicyDocument"]["Statement"].as_array().into_iter().flatten());
        statements.map(|s| if s["Fn::If"].is_array() { s["Fn::If"][1].clone() } else { s.clone() }).collect()
    }

    /// The names of parameters and resources that a value refers to.
    #[must_use]
    pub fn references(value: &Value) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect_references(value, &mut found);
        found
    }
}

/// A list of texts, or one text, as a list.
#[must_use]
pub fn list(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                match (key.as_str(), inner) {
                    ("Ref", Value::String(name)) => drop(found.insert(name.clone())),
                    ("Fn::GetAtt", Value::Array(path)) => {
                        found.extend(path.first().and_then(Value::as_str).map(str::to_owned));
                    }
                    ("Fn::Sub", Value::String(text)) => found.extend(in_sub(text)),
                    ("Fn::Sub", Value::Array(parts)) => {
                        let own: Vec<&String> =
                            parts.get(1).and_then(Value::as_object).into_iter().flat_map(Map::keys).collect();
                        let text = parts.first().and_then(Value::as_str).unwrap_or_default();
                        found.extend(in_sub(text).filter(|name| !own.contains(&name)));
                        parts.iter().skip(1).for_each(|part| collect_references(part, found));
                    }
                    _ => collect_references(inner, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

fn in_sub(text: &str) -> impl Iterator<Item = String> {
    crate::asl::substitutions(text)
        .into_iter()
        .map(|name| name.split('.').next().unwrap_or_default().to_owned())
}

/// YAML as JSON: `!Sub x` is `{"Fn::Sub": x}`, `!GetAtt A.B` is `{"Fn::GetAtt": ["A", "B"]}`.
fn plain(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => json!(b),
        Yaml::Number(n) => n.as_i64().map_or_else(|| json!(n.as_f64()), |n| json!(n)),
        Yaml::String(s) => json!(s),
        Yaml::Sequence(items) => items.into_iter().map(plain).collect(),
        Yaml::Mapping(fields) => fields
            .into_iter()
            .map(|(key, value)| {
                (key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned), plain(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let value = plain(tagged.value);
            match (tag, &value) {
                ("Ref" | "Condition", _) => json!({ tag: value }),
                ("GetAtt", Value::String(path)) => {
                    let (name, attribute) = path.split_once('.').unwrap_or((path, ""));
                    json!({ "Fn::GetAtt": [name, attribute] })
                }
                _ => json!({ format!("Fn::{tag}"): value }),
            }
        }
    }
}
