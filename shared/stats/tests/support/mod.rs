//! Reading the oracle values, and comparing with them.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_stats::Interval;
use serde_json::Value;

pub fn oracle(section: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/stats.json");
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[section].take()
}

pub fn rows(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    rows(value).iter().map(number).collect()
}

pub fn flags(value: &Value) -> Vec<bool> {
    rows(value).iter().map(|v| v.as_u64().unwrap() == 1).collect()
}

/// Equal to 1e-9, relative for values above one.
#[track_caller]
pub fn close(what: &str, ours: Option<f64>, theirs: &Value) {
    let (ours, theirs) = (ours.unwrap_or_else(|| panic!("{what}: nothing")), number(theirs));
    assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "{what}: {ours} is not {theirs}");
}

#[track_caller]
pub fn close_interval(what: &str, ours: Option<Interval>, theirs: &Value) {
    close(what, ours.map(|i| i.low), &theirs[0]);
    close(what, ours.map(|i| i.high), &theirs[1]);
}

/// The texts of a list.
pub fn texts(value: &Value) -> Vec<&str> {
    rows(value).iter().map(|v| v.as_str().unwrap()).collect()
}

/// Equal where theirs is a number, absent where theirs is null.
#[track_caller]
pub fn close_or_absent(what: &str, ours: Option<f64>, theirs: &Value) {
    if theirs.is_null() {
        assert_eq!(ours, None, "{what}");
    } else {
        close(what, ours, theirs);
    }
}
