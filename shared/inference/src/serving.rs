//! `serving` in `config.yaml`: what the version is called where traffic is split by somebody else.

use serde::Serialize;
use serde_json::Value;

use crate::error::Defect;

/// The names of a version outside of Seatrial.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// The published version of the owner's Lambda function that serves it: a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda_version: Option<String>,
    /// The production variant of the owner's SageMaker endpoint that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Serving {
    /// Whether it names nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lambda_version.is_none() && self.variant.is_none()
    }
}

pub(crate) fn read(value: Option<&Value>, defects: &mut Vec<Defect>) -> Serving {
    let map = match value {
        None | Some(Value::Null) => return Serving::default(),
        Some(Value::Object(map)) => map,
        Some(other) => {
            let expected = "a mapping with `lambda_version`, `variant` or both";
            defects.push(Defect::new("serving", format!("`{other}`"), expected));
            return Serving::default();
        }
    };
    for key in map.keys().filter(|k| !["lambda_version", "variant"].contains(&k.as_str())) {
        let place = format!("serving.{key}");
        defects.push(Defect::new(place, "an unknown key", "one of lambda_version, variant"));
    }
    let mut name = |key: &str, ok: fn(&str) -> bool, expected: &str| {
        let value = map.get(key).filter(|v| !v.is_null())?;
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if ok(&text) {
            return Some(text);
        }
        defects.push(Defect::new(format!("serving.{key}"), format!("`{text}`"), expected));
        None
    };
    let number =
        "the number of a published version, such as \"7\": `$LATEST` changes, and an alias cannot split it";
    let lambda_version = name("lambda_version", is_published, number);
    let variant =
        name("variant", is_variant, "the name of a variant: up to 63 letters, digits and '-' between them");
    Serving { lambda_version, variant }
}

fn is_published(text: &str) -> bool {
    (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0')
}

fn is_variant(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (1..=63).contains(&text.len()) && plain && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defects(value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let serving = read(Some(value), &mut found);
        assert_eq!(
            serving.is_empty(),
            !found.is_empty() || value.as_object().is_none_or(serde_json::Map::is_empty)
        );
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_are_read_as_numbers_or_text_and_wrong_ones_are_told_with_their_place() {
        let serving = read(Some(&json!({ "lambda_version": 7, "variant": "v3-b" })), &mut Vec::new());
        assert_eq!(
            (serving.lambda_version.as_deref(), serving.variant.as_deref()),
            (Some("7"), Some("v3-b"))
        );
        assert!(read(None, &mut Vec::new()).is_empty());
        assert!(defects(&json!({ "lambda_version": "12" })).is_empty());
        for (wrong, place) in [
            (json!({ "lambda_version": "$LATEST" }), "serving.lambda_version"),
            (json!({ "lambda_version": "live" }), "serving.lambda_version"),
            (json!({ "lambda_version": 0 }), "serving.lambda_version"),
            (json!({ "lambda_version": 1.5 }), "serving.lambda_version"),
            (json!({ "variant": "a/b" }), "serving.variant"),
            (json!({ "variant": "-a" }), "serving.variant"),
            (json!({ "endpoint": "x" }), "serving.endpoint"),
            (json!("7"), "serving"),
        ] {
            let found = defects(&wrong);
            assert!(found.len() == 1 && found[0].contains(place), "{wrong}: {found:?}");
        }
    }
}
