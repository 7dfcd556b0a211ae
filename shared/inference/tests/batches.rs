//! Batches: the same rows in every form, and what is wrong with a request before a model is asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use seatrial_inference::{Batch, Column, OipTensor};
use serde_json::{Map, Value, json};

fn objects(value: &Value) -> Vec<Map<String, Value>> {
    value.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect()
}

fn code(value: &Value) -> &'static str {
    Batch::from_rows(&objects(value)).unwrap_err().code()
}

fn tensor(name: &str, shape: &[i64], datatype: &str, data: Value) -> OipTensor {
    OipTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        datatype: datatype.to_owned(),
        data,
        parameters: None,
    }
}

fn oip_code(t: OipTensor) -> &'static str {
    Batch::from_oip(&[t]).unwrap_err().code()
}

#[test]
fn rows_become_columns_and_rows_again() {
    let rows = json!([
        {"age": 39, "rate": 0.1, "work": "Private", "flag": true, "image": [[1, 2], [3, 4]], "note": null},
        {"age": 40, "rate": 2, "work": null, "flag": false, "image": [[5, 6], [7, 8]], "note": null},
    ]);
    let batch = Batch::from_rows(&objects(&rows)).unwrap();
    assert_eq!(batch.names().collect::<Vec<_>>(), ["age", "rate", "work", "flag", "image", "note"]);
    assert_eq!(Value::Object(batch.row(0).unwrap()), rows[0]);
    let again = batch.row(1).unwrap();
    assert_eq!(again["rate"], json!(2.0), "the column is of floats");
    assert_eq!(again["image"], rows[1]["image"]);
    assert_eq!(batch.row(2), None);
    assert_eq!(batch.slice(1, 9).unwrap().row(0), batch.row(1));
    assert_eq!(batch.slice(2, 1), None);
    assert_eq!(batch.select(&["work", "age"]).unwrap().names().collect::<Vec<_>>(), ["work", "age"]);
    assert_eq!(batch.select(&["salary"]).unwrap_err().code(), "missing-column");
}

#[test]
fn malformed_rows_are_refused() {
    assert_eq!(code(&json!([])), "no-rows");
    assert_eq!(code(&json!([{}])), "no-rows");
    assert_eq!(code(&json!([{"a": 1}, {"a": "x"}])), "wrong-type");
    assert_eq!(code(&json!([{"a": 1}, {"a": true}])), "wrong-type");
    assert_eq!(code(&json!([{"a": {"b": 1}}])), "wrong-type");
    assert_eq!(code(&json!([{"a": [1, 2]}, {"a": [1]}])), "wrong-shape");
    assert_eq!(code(&json!([{"a": [1, [2]]}])), "wrong-shape");
    assert_eq!(code(&json!([{"a": []}])), "wrong-shape");
    assert_eq!(code(&json!([{"a": [[[[[[[[[1]]]]]]]]]}])), "wrong-shape");
}

#[test]
fn columns_must_agree() {
    let two = vec![("a".to_owned(), Column::i64(vec![1])), ("a".to_owned(), Column::i64(vec![1]))];
    assert_eq!(Batch::from_columns(two).unwrap_err().code(), "duplicate-column");
    let uneven =
        vec![("a".to_owned(), Column::i64(vec![1])), ("b".to_owned(), Column::bool(vec![true, false]))];
    assert_eq!(Batch::from_columns(uneven).unwrap_err().code(), "wrong-shape");
    assert_eq!(Batch::from_columns(Vec::new()).unwrap_err().code(), "no-rows");
    let missing = vec![
        ("f".to_owned(), Column::f64(vec![1.5, f64::NAN])),
        ("s".to_owned(), Column::strings_opt(vec![None, Some("x".to_owned())])),
        ("i".to_owned(), Column::i64_opt(vec![Some(3), None])),
    ];
    let batch = Batch::from_columns(missing).unwrap();
    assert_eq!(Value::Object(batch.row(0).unwrap()), json!({"f": 1.5, "s": null, "i": 3}));
    assert_eq!(Value::Object(batch.row(1).unwrap()), json!({"f": null, "s": "x", "i": null}));
}

#[test]
fn tensors_are_checked_against_their_declaration() {
    let good = [
        tensor("a", &[2], "INT64", json!([1, 2])),
        tensor("b", &[2, 1], "FP32", json!([[1], [2.5]])),
        tensor("c", &[2, 2], "BYTES", json!(["w", "x", "y", "z"])),
    ];
    let batch = Batch::from_oip(&good).unwrap();
    assert_eq!(Value::Object(batch.row(1).unwrap()), json!({"a": 2, "b": 2.5, "c": ["y", "z"]}));
    assert_eq!(oip_code(tensor("a", &[3], "INT64", json!([1, 2]))), "wrong-shape");
    assert_eq!(oip_code(tensor("a", &[2, 2], "INT64", json!([[1, 2, 3, 4]]))), "wrong-shape");
    assert_eq!(oip_code(tensor("a", &[], "INT64", json!([1]))), "wrong-shape");
    assert_eq!(oip_code(tensor("a", &[-1], "INT64", json!([1]))), "wrong-shape");
    assert_eq!(oip_code(tensor("a", &[i64::MAX, i64::MAX], "INT64", json!([1]))), "wrong-shape");
    assert_eq!(oip_code(tensor("a", &[0], "INT64", json!([]))), "no-rows");
    assert_eq!(oip_code(tensor("a", &[1], "INT64", json!([1.5]))), "wrong-type");
    assert_eq!(oip_code(tensor("a", &[1], "INT64", json!(["1"]))), "wrong-type");
    assert_eq!(oip_code(tensor("a", &[1], "UINT8", json!([256]))), "out-of-range");
    assert_eq!(oip_code(tensor("a", &[1], "FP32", json!(["1"]))), "wrong-type");
    assert_eq!(oip_code(tensor("a", &[1], "BYTES", json!([1]))), "wrong-type");
    assert_eq!(oip_code(tensor("a", &[1], "FLOAT", json!([1]))), "wrong-type");
    assert_eq!(oip_code(tensor("a", &[1], "BOOL", json!(1))), "wrong-type");
}

fn cell() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ]
}

proptest! {
    /// A batch of rows gives the same rows back, wherever it takes them at all.
    #[test]
    fn rows_survive(columns in prop::collection::vec(prop::collection::vec(cell(), 3), 1..5)) {
        let rows: Vec<Map<String, Value>> = (0..3)
            .map(|r| columns.iter().enumerate().map(|(c, v)| (format!("c{c}"), v[r].clone())).collect())
            .collect();
        if let Ok(batch) = Batch::from_rows(&rows) {
            for (i, row) in rows.iter().enumerate() {
                prop_assert_eq!(&batch.row(i).unwrap(), row);
            }
        }
    }

    /// Any declared tensor is taken or refused, never a panic.
    #[test]
    fn any_tensor_is_taken_or_refused(shape in prop::collection::vec(-2_i64..4, 0..4), data in prop::collection::vec(cell(), 0..9), datatype in "INT8|FP32|BYTES|BOOL|X") {
        let _ = Batch::from_oip(&[tensor("a", &shape, &datatype, Value::Array(data))]);
    }
}
