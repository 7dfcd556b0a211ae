//! Seatrial's own JSON.

use seatrial_domain::notice::{Notice, SCHEMA};
use serde_json::{Map, Value, json};

/// The document: what names it first, then the notice's fields, then what people read. Comments stand in it as they were given.
pub(crate) fn document(notice: &Notice, delivery: &str, title: &str, address: Option<&str>) -> Value {
    let mut document = Map::new();
    let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    put("schema", json!(SCHEMA));
    put("delivery", json!(delivery));
    put("event", json!(notice.kind));
    if let Ok(Value::Object(fields)) = serde_json::to_value(notice) {
        for (name, value) in fields {
            match name.as_str() {
                "kind" => {}
                "weight" => put("percent", json!(notice.weight.map(|w| w.fraction() * 100.0))),
                _ => put(&name, value),
            }
        }
    }
    put("title", json!(title));
    if let Some(address) = address {
        put("address", json!(address));
    }
    Value::Object(document)
}
