//! The CloudFormation template, read as what it asks for: parameters, and properties with their intrinsic functions resolved.
//!
//! Only as much of the language is resolved as the checks of `dropped.rs` need; whatever else occurs there is an error, not a guess.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

/// A parameter of the template.
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its default, if it has one.
    pub default: Option<String>,
}

/// A parsed template.
pub struct Template {
    root: Value,
}

/// What intrinsic functions refer to.
pub struct Scope<'a> {
    /// The values of the parameters, defaults included.
    pub parameters: &'a BTreeMap<String, String>,
    /// The physical ids of the resources.
    pub physical: &'a BTreeMap<String, String>,
    /// The account, for `AWS::AccountId`.
    pub account: &'a str,
    /// The region, for `AWS::Region`.
    pub region: &'a str,
    /// The stack's name, for `AWS::StackName`.
    pub stack: &'a str,
}

/// What a value became.
enum Resolved {
    Value(Value),
    /// `AWS::NoValue`: the property is not there.
    Nothing,
}

impl Template {
    /// Parses YAML with CloudFormation's short tags.
    pub fn parse(text: &str) -> Result<Self> {
        let yaml: Yaml = serde_yaml_ng::from_str(text).context("the template is no valid YAML")?;
        Ok(Self { root: plain(yaml)? })
    }

    /// The parameters in the order of the template.
    pub fn parameters(&self) -> Vec<Parameter> {
        let Some(parameters) = self.root.get("Parameters").and_then(Value::as_object) else {
            return Vec::new();
        };
        parameters
            .iter()
            .map(|(name, definition)| Parameter {
                name: name.clone(),
                default: definition.get("Default").map(text),
            })
            .collect()
    }

    /// The resources of a type: logical id and properties, those whose condition does not hold left out.
    pub fn resources(&self, of_type: &str, scope: &Scope) -> Result<Vec<(String, Value)>> {
        let resources =
            self.root.get("Resources").and_then(Value::as_object).context("the template has no Resources")?;
        let mut found = Vec::new();
        for (id, resource) in resources {
            let condition = resource.get("Condition").and_then(Value::as_str);
            let wanted = resource.get("Type").and_then(Value::as_str) == Some(of_type);
            if wanted && condition.map_or(Ok(true), |name| self.condition(name, scope))? {
                found.push((id.clone(), resource.get("Properties").cloned().unwrap_or(Value::Null)));
            }
        }
        Ok(found)
    }

    /// A property with its intrinsic functions resolved; `None` when the template does not ask for it.
    pub fn property(&self, properties: &Value, name: &str, scope: &Scope) -> Result<Option<Value>> {
        let Some(value) = properties.get(name) else { return Ok(None) };
        match self.resolve(value, scope).with_context(|| format!("cannot resolve the property {name}"))? {
            Resolved::Value(value) => Ok(Some(value)),
            Resolved::Nothing => Ok(None),
        }
    }

    fn resolve(&self, value: &Value, scope: &Scope) -> Result<Resolved> {
        match value {
            Value::Array(items) => {
                let mut out = Vec::new();
                for item in items {
                    if let Resolved::Value(value) = self.resolve(item, scope)? {
                        out.push(value);
                    }
                }
                Ok(Resolved::Value(Value::Array(out)))
            }
            Value::Object(fields) => match fields.iter().next() {
                Some((name, argument))
                    if fields.len() == 1 && (name == "Ref" || name.starts_with("Fn::")) =>
                {
                    self.intrinsic(name, argument, scope)
                }
                _ => {
                    let mut out = Map::new();
                    for (name, field) in fields {
                        if let Resolved::Value(value) = self.resolve(field, scope)? {
                            out.insert(name.clone(), value);
                        }
                    }
                    Ok(Resolved::Value(Value::Object(out)))
                }
            },
            scalar => Ok(Resolved::Value(scalar.clone())),
        }
    }

    fn intrinsic(&self, name: &str, argument: &Value, scope: &Scope) -> Result<Resolved> {
        match (name, argument) {
            ("Ref", Value::String(target)) if target == "AWS::NoValue" => Ok(Resolved::Nothing),
            ("Ref", Value::String(target)) => Ok(Resolved::Value(reference(target, scope)?.into())),
            ("Fn::If", Value::Array(parts)) if parts.len() == 3 => {
                let condition = parts[0].as_str().context("Fn::If without a condition's name")?;
                let taken = if self.condition(condition, scope)? { &parts[1] } else { &parts[2] };
                self.resolve(taken, scope)
            }
            ("Fn::Sub", Value::String(pattern)) => Ok(Resolved::Value(substitute(pattern, scope)?.into())),
            _ => bail!("{name} {argument} is not understood here"),
        }
    }

    fn condition(&self, name: &str, scope: &Scope) -> Result<bool> {
        let definition = self.root.pointer(&format!("/Conditions/{name}"));
        self.holds(definition.with_context(|| format!("the template has no condition {name}"))?, scope)
    }

    fn holds(&self, condition: &Value, scope: &Scope) -> Result<bool> {
        let (name, argument) = condition
            .as_object()
            .and_then(|fields| fields.iter().next())
            .with_context(|| format!("{condition} is no condition"))?;
        let parts = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        match name.as_str() {
            "Condition" => self.condition(argument.as_str().context("Condition without a name")?, scope),
            "Fn::Equals" if parts.len() == 2 => {
                let sides = [self.resolve(&parts[0], scope)?, self.resolve(&parts[1], scope)?];
                let [Resolved::Value(left), Resolved::Value(right)] = sides else { return Ok(false) };
                Ok(text(&left) == text(&right))
            }
            "Fn::Not" if parts.len() == 1 => Ok(!self.holds(&parts[0], scope)?),
            "Fn::And" => parts.iter().try_fold(true, |all, part| Ok(all && self.holds(part, scope)?)),
            "Fn::Or" => parts.iter().try_fold(false, |any, part| Ok(any || self.holds(part, scope)?)),
            _ => bail!("the condition {name} is not understood here"),
        }
    }
}

/// What a `Ref` stands for.
fn reference(target: &str, scope: &Scope) -> Result<String> {
    let pseudo = match target {
        "AWS::AccountId" => Some(scope.account.to_owned()),
        "AWS::Region" => Some(scope.region.to_owned()),
        "AWS::StackName" => Some(scope.stack.to_owned()),
        "AWS::Partition" => Some("aws".to_owned()),
        "AWS::URLSuffix" => Some("amazonaws.com".to_owned()),
        _ => None,
    };
    pseudo
        .or_else(|| scope.parameters.get(target).cloned())
        .or_else(|| scope.physical.get(target).cloned())
        .with_context(|| format!("{target} is neither a parameter nor a resource of the stack"))
}

/// `Fn::Sub` with names only: `${AWS::Region}-${Name}`.
fn substitute(pattern: &str, scope: &Scope) -> Result<String> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) =
            after.split_once('}').with_context(|| format!("an unclosed ${{ in {pattern:?}"))?;
        out.push_str(before);
        out.push_str(&reference(name, scope)?);
        rest = tail;
    }
    Ok(out + rest)
}

/// A scalar as CloudFormation compares and passes it: as text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// YAML with short tags as JSON with the long names.
fn plain(yaml: Yaml) -> Result<Value> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => serde_json::to_value(number)?,
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(plain).collect::<Result<_>>()?),
        Yaml::Mapping(fields) => {
            let mut out = Map::new();
            for (name, value) in fields {
                let name = plain(name)?;
                out.insert(text(&name), plain(value)?);
            }
            Value::Object(out)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let value = plain(tagged.value)?;
            match (tag, &value) {
                ("Ref" | "Condition", _) => json!({ tag: value }),
                ("GetAtt", Value::String(path)) => {
                    json!({ "Fn::GetAtt": path.split('.').collect::<Vec<_>>() })
                }
                _ => json!({ format!("Fn::{tag}"): value }),
            }
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
Parameters:
  Days: {Type: Number, Default: 30}
  Reserve: {Type: String, Default: ""}
  Must: {Type: String}
Conditions:
  HasReserve: !Not [!Equals [!Ref Reserve, ""]]
  Both: !And [!Condition HasReserve, !Equals [!Ref Days, "30"]]
Resources:
  Here: {Type: T, Properties: {A: !Ref Days, B: !If [HasReserve, !Ref Reserve, !Ref "AWS::NoValue"], C: [{D: !Sub "${AWS::StackName}-${Here}"}], E: !GetAtt Here.Arn}}
  Gone: {Type: T, Condition: Both, Properties: {}}
"#;

    fn with<R>(reserve: &str, look: impl FnOnce(&Template, &Scope) -> R) -> R {
        let parameters = BTreeMap::from([
            ("Days".to_owned(), "30".to_owned()),
            ("Reserve".to_owned(), reserve.to_owned()),
        ]);
        let physical = BTreeMap::from([("Here".to_owned(), "here-1".to_owned())]);
        let scope =
            Scope { parameters: &parameters, physical: &physical, account: "1", region: "r", stack: "s" };
        look(&Template::parse(TEXT).unwrap(), &scope)
    }

    #[test]
    fn parameters_know_their_defaults() {
        let parameters = Template::parse(TEXT).unwrap().parameters();
        let defaults: Vec<_> = parameters.iter().map(|p| (p.name.as_str(), p.default.as_deref())).collect();
        assert_eq!(defaults, [("Days", Some("30")), ("Reserve", Some("")), ("Must", None)]);
    }

    #[test]
    fn intrinsic_functions_are_resolved_or_refused() {
        with("", |template, scope| {
            let resources = template.resources("T", scope).unwrap();
            assert_eq!(resources.len(), 1, "a resource whose condition does not hold is not there");
            let properties = &resources[0].1;
            assert_eq!(template.property(properties, "A", scope).unwrap(), Some(json!("30")));
            assert_eq!(template.property(properties, "B", scope).unwrap(), None);
            assert_eq!(template.property(properties, "C", scope).unwrap(), Some(json!([{"D": "s-here-1"}])));
            assert!(template.property(properties, "E", scope).is_err());
        });
    }

    #[test]
    fn conditions_follow_the_parameters() {
        with("5", |template, scope| {
            let resources = template.resources("T", scope).unwrap();
            assert_eq!(resources.len(), 2);
            assert_eq!(template.property(&resources[0].1, "B", scope).unwrap(), Some(json!("5")));
        });
    }
}
