//! Reading one entry. It is what `serde_json::from_str::<Entry>` gives, without first building the whole entry as a tree to
//! look for its kind in: nearly all entries are served rows, so each is read as one until its kind says otherwise.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use seatrial_evidence::observation::{Entry, Label, Served, Signal, Tally};
use serde::de::value::CowStrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Error;

const SERVED: &str = "served";

/// The entry of this text.
///
/// # Errors
/// When it is not JSON, or not of the contract's form.
pub(crate) fn entry(text: &str) -> Result<Entry, Error> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    if let Ok(row) = of_kind::<Served>(text, SERVED) {
        return Ok(Entry::Served(Box::new(row)));
    }
    if !text.starts_with('{') {
        serde_json::from_str::<BTreeMap<&str, IgnoredAny>>(text)?;
    }
    let Kind { kind } = serde_json::from_str(text)?;
    match &*kind {
        SERVED => of_kind::<Served>(text, SERVED).map(|row| Entry::Served(Box::new(row))),
        "tally" => of_kind::<Tally>(text, &kind).map(Entry::Tally),
        "label" => of_kind::<Label>(text, &kind).map(Entry::Label),
        "signal" => of_kind::<Signal>(text, &kind).map(Entry::Signal),
        other => Err(Error::unknown_variant(other, &["tally", SERVED, "label", "signal"])),
    }
}

/// Reads an object that has `kind` once, as this, beside the fields of `T`.
fn of_kind<T: DeserializeOwned>(text: &str, kind: &str) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut seen = false;
    let found = T::deserialize(Tagged { reader: &mut reader, kind, seen: &mut seen })?;
    reader.end()?;
    if !seen {
        return Err(Error::missing_field("kind"));
    }
    Ok(found)
}

/// A reader of an object whose field `kind` is looked at on the way and not handed on.
struct Tagged<'a, R> {
    reader: R,
    kind: &'a str,
    seen: &'a mut bool,
}

impl<'de, R: Deserializer<'de>> Deserializer<'de> for Tagged<'_, R> {
    type Error = R::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, R::Error> {
        let Self { reader, kind, seen } = self;
        reader.deserialize_map(Tagged { reader: visitor, kind, seen })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Tagged<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reader.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.reader.visit_map(Tagged { reader: map, kind: self.kind, seen: self.seen })
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Tagged<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(Text(key)) = self.reader.next_key()? {
            if key != "kind" {
                return seed.deserialize(CowStrDeserializer::new(key)).map(Some);
            }
            if std::mem::replace(self.seen, true) {
                return Err(A::Error::duplicate_field("kind"));
            }
            let Text(found) = self.reader.next_value()?;
            if found != self.kind {
                return Err(A::Error::custom(format_args!(
                    "expected the kind {:?}, found {found:?}",
                    self.kind
                )));
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.reader.next_value_seed(seed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Vec<Value> {
        let digest = format!("sha256:{}", "0".repeat(64));
        let by = json!({ "model": "m", "version": "v1", "digest": digest, "role": "champion", "route": { "epoch": 1, "weight": 250 } });
        let at = "2026-01-01T00:00:00Z";
        let with = |more: Value| {
            let mut all = by.as_object().unwrap().clone();
            all.extend(more.as_object().unwrap().clone());
            Value::from(all)
        };
        vec![
            with(json!({
                "kind": "served", "schema": 1, "observation_id": "o#0", "unit": "ü\n", "at": at, "latency_us": 3, "warm": true,
                "inputs": { "kind": "of a sort", "b": [1, 2.5, null, { "kind": 2 }] }, "output": { "label": "a", "scores": [0.1, 0.9] },
                "error": { "kind": "k", "side": "model", "message": "" }, "segments": { "kind": "x" },
            })),
            with(json!({
                "kind": "tally", "schema": 1, "tally_id": "t", "second": 9, "assigned": 3, "answered": 3, "errors": 0,
                "client_errors": 0, "latency": { "kind": "any" }, "classes": { "kind": 3 },
            })),
            json!({ "kind": "label", "schema": 1, "observation_id": "o", "model": "m", "label": "a", "at": at }),
            json!({ "kind": "signal", "schema": 1, "client_id": "c", "model": "m", "name": "n", "value": 1, "at": at }),
        ]
    }

    /// The entry as text with its fields in this order, some of them left out, given twice or of another value.
    fn changed(entry: &Value, order: &[(u8, u8)]) -> String {
        let mut fields: Vec<_> = entry.as_object().unwrap().iter().collect();
        let mut text = Vec::new();
        for (place, change) in order {
            let i = usize::from(*place) % fields.len().max(1);
            let Some((key, value)) = fields.get(i).copied() else { break };
            fields.remove(i);
            match change {
                0 => {}
                1 => text.extend([format!("{}:{value}", json!(key)), format!("{}:{value}", json!(key))]),
                2 => text.push(format!("{}:7", json!(key))),
                3 => text.push(format!("\"more\":{value}")),
                4 => text.push(format!("{}:\"label\"", json!(key))),
                5 => text.push(format!("{}:NaN", json!(key))),
                _ => text.push(format!("{} : {value}", json!(key))),
            }
        }
        text.extend(fields.iter().map(|(key, value)| format!("{}:{value}", json!(key))));
        format!("{{{}}}", text.join(","))
    }

    #[test]
    fn each_kind_is_read_wherever_its_kind_stands() {
        for value in good() {
            let expected: Entry = serde_json::from_value(value.clone()).unwrap();
            let fields = value.as_object().unwrap().len() as u8;
            for place in 0..fields {
                let text = changed(&value, &[(place, 9)]);
                assert_eq!(entry(&text).unwrap(), expected, "{text}");
            }
            let last = changed(&value, &(1..fields).map(|_| (1, 9)).collect::<Vec<_>>());
            assert_eq!(entry(&last).unwrap(), expected, "{last}");
        }
        for (text, why) in [
            (r#"{"kind":"rumour"}"#, "unknown variant `rumour`"),
            (r#"{"schema":1}"#, "missing field `kind`"),
            (r#"{"kind":"label","kind":"label"}"#, "duplicate field `kind`"),
            (r#""served""#, "invalid type: string"),
            (r#"["label",1]"#, "invalid type: sequence"),
            ("NaN", "expected value"),
            ("{} {}", "missing field `kind`"),
        ] {
            let told = entry(text).unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_the_contract_reads(
            which in 0_usize..4,
            order in prop::collection::vec((any::<u8>(), 0_u8..40), 0..14),
        ) {
            let text = changed(&good()[which], &order);
            match (entry(&text), serde_json::from_str::<Entry>(&text)) {
                (Ok(found), Ok(expected)) => prop_assert_eq!(found, expected),
                (Err(_), Err(_)) => {}
                (found, expected) => prop_assert!(false, "{text}: {found:?} {expected:?}"),
            }
        }
    }
}
