//! An inference request, and what the caller says about it.

use std::collections::BTreeMap;

use seatrial_inference::OipTensor;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::refused::Refused;

/// The longest unit, client id or segment, in characters.
const LONGEST: usize = 256;
/// The most segments, and the most protected attributes.
const MOST: usize = 32;

/// The body of `POST …/infer`. Fields this server does not know are ignored, as the protocol allows.
#[derive(Debug, Deserialize)]
pub struct InferRequest {
    /// The caller's name of the request; given back.
    #[serde(default)]
    pub id: Option<String>,
    /// About the request; see [`Caller`].
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// The columns.
    pub inputs: Vec<OipTensor>,
    /// The outputs wanted; all for none.
    #[serde(default)]
    pub outputs: Vec<RequestedOutput>,
}

/// An output that the caller wants.
#[derive(Debug, Deserialize)]
pub struct RequestedOutput {
    /// Its name.
    pub name: String,
}

/// What the caller says about a request in its `parameters`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// `unit`: what is randomised. A unit stays on its side of the split.
    pub unit: Option<String>,
    /// `client_id`: the caller's own id, for joining labels.
    pub client_id: Option<PerRow>,
    /// `segments`: by name.
    pub segments: BTreeMap<String, PerRow>,
    /// `protected`: attributes by name that need not be inputs of the model.
    pub protected: BTreeMap<String, PerRow>,
}

/// A value for the whole request, or one a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PerRow {
    /// The same for every row.
    All(String),
    /// One a row, in order.
    Each(Vec<String>),
}

impl PerRow {
    /// The value of row `row`.
    #[must_use]
    pub fn of(&self, row: usize) -> Option<&str> {
        match self {
            Self::All(value) => Some(value),
            Self::Each(values) => values.get(row).map(String::as_str),
        }
    }
}

impl InferRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is not JSON, or not a request of the protocol.
    pub fn parse(body: &[u8]) -> Result<Self, Refused> {
        let request: Self = serde_json::from_slice(body).map_err(|error| {
            Refused::malformed(format!("the body is not an inference request in JSON: {error}"))
        })?;
        if request.inputs.is_empty() {
            return Err(Refused::malformed("`inputs` is empty: it must have one tensor a column"));
        }
        Ok(request)
    }
}

impl Caller {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When one that this server knows has a wrong form. Others are ignored.
    pub fn parse(parameters: &Map<String, Value>) -> Result<Self, Refused> {
        let unit = match known(parameters, "unit") {
            None => None,
            Some(value) => Some(scalar("unit", value)?),
        };
        let client_id =
            known(parameters, "client_id").map(|value| per_row("client_id", value)).transpose()?;
        let segments = named(parameters, "segments")?;
        Ok(Self { unit, client_id, segments, protected: named(parameters, "protected")? })
    }

    /// Checks that what is given row by row is given for each of `rows` rows.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check_rows(&self, rows: usize) -> Result<(), Refused> {
        let fields = self.client_id.iter().map(|value| ("client_id".to_owned(), value));
        let segments = self.segments.iter().map(|(name, value)| (format!("segments.{name}"), value));
        let protected = self.protected.iter().map(|(name, value)| (format!("protected.{name}"), value));
        for (place, value) in fields.chain(segments).chain(protected) {
            if let PerRow::Each(values) = value
                && values.len() != rows
            {
                let found = values.len();
                return Err(Refused::malformed(format!(
                    "parameters.{place} has {found} values for {rows} rows; expected one value, or one a row"
                )));
            }
        }
        Ok(())
    }

    /// The client's id of a row: its own value, or in a batch with one value that value and `#<row>`.
    #[must_use]
    pub fn client_id_of(&self, row: usize, rows: usize) -> Option<String> {
        match self.client_id.as_ref()? {
            PerRow::All(id) if rows > 1 => Some(format!("{id}#{row}")),
            value => value.of(row).map(str::to_owned),
        }
    }
}

fn known<'a>(parameters: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    parameters.get(name).filter(|value| !value.is_null())
}

fn scalar(place: &str, value: &Value) -> Result<String, Refused> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => {
            return Err(Refused::malformed(format!(
                "parameters.{place} must be a string, a number or a boolean"
            )));
        }
    };
    match text.chars().count() {
        1..=LONGEST => Ok(text),
        found => Err(Refused::malformed(format!(
            "parameters.{place} has {found} characters; expected 1 to {LONGEST}"
        ))),
    }
}

fn per_row(place: &str, value: &Value) -> Result<PerRow, Refused> {
    match value {
        Value::Array(values) => {
            values.iter().map(|value| scalar(place, value)).collect::<Result<_, _>>().map(PerRow::Each)
        }
        value => scalar(place, value).map(PerRow::All),
    }
}

fn named(parameters: &Map<String, Value>, field: &str) -> Result<BTreeMap<String, PerRow>, Refused> {
    let Some(value) = known(parameters, field) else { return Ok(BTreeMap::new()) };
    let Value::Object(values) = value else {
        return Err(Refused::malformed(format!("parameters.{field} must be an object of names and values")));
    };
    if values.len() > MOST {
        return Err(Refused::malformed(format!(
            "parameters.{field} has {} names; expected at most {MOST}",
            values.len()
        )));
    }
    let given = values.iter().filter(|(_, value)| !value.is_null());
    given
        .map(|(name, value)| {
            scalar(&format!("{field} (a name)"), &Value::String(name.clone()))?;
            Ok((name.clone(), per_row(&format!("{field}.{name}"), value)?))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use serde_json::json;

    fn caller(parameters: &Value) -> Result<Caller, Refused> {
        Caller::parse(parameters.as_object().unwrap())
    }

    #[test]
    fn parameters_are_read_for_the_request_and_row_by_row() {
        let caller = caller(&json!({
            "unit": 17, "client_id": ["a", "b"], "segments": {"region": "eu", "none": null}, "protected": {"sex": ["f", "m"]},
            "custom": {"anything": []},
        }))
        .unwrap();
        assert_eq!(caller.unit.as_deref(), Some("17"));
        assert_eq!(caller.client_id_of(1, 2).as_deref(), Some("b"));
        assert_eq!(caller.segments["region"].of(1), Some("eu"));
        assert_eq!(caller.protected["sex"].of(1), Some("m"));
        assert!(!caller.segments.contains_key("none"));
        assert!(caller.check_rows(2).is_ok());
        assert!(caller.check_rows(3).unwrap_err().message.contains("client_id has 2 values for 3 rows"));
    }

    #[test]
    fn one_client_id_names_the_rows_of_a_batch_apart() {
        let caller = caller(&json!({"client_id": "order-7"})).unwrap();
        assert_eq!(caller.client_id_of(0, 1).as_deref(), Some("order-7"));
        assert_eq!(caller.client_id_of(2, 3).as_deref(), Some("order-7#2"));
    }

    #[test]
    fn what_has_the_wrong_form_is_refused_with_its_place() {
        for (parameters, place) in [
            (json!({"unit": {"a": 1}}), "unit"),
            (json!({"unit": ""}), "unit"),
            (json!({"client_id": "x".repeat(257)}), "client_id"),
            (json!({"segments": "eu"}), "segments"),
            (json!({"protected": {"sex": [["f"]]}}), "protected.sex"),
            (
                json!({"segments": (0..33).map(|n| (n.to_string(), json!("x"))).collect::<Map<_, _>>()}),
                "segments",
            ),
        ] {
            let refused = caller(&parameters).unwrap_err();
            assert!(refused.message.contains(place) && refused.status == 400, "{refused:?}");
        }
    }

    #[test]
    fn bodies_that_are_no_request_are_refused() {
        for body in ["", "{", "[]", "{}", r#"{"inputs": []}"#, r#"{"inputs": [{"name": "a"}]}"#, "\u{0}"] {
            let refused = InferRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!((refused.status.as_u16(), refused.code.as_str()), (400, "malformed"), "{body}");
        }
    }
}
