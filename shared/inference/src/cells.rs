//! One column of a batch: typed values, and which of them are missing.

use serde_json::{Number, Value};

use crate::error::PredictError;

/// The values of a column. Missing ones hold a placeholder here and `true` in [`Column::missing`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    F64(Vec<f64>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<String>),
}

/// One column: a value a row, or a small tensor a row. NaN counts as missing; infinities are refused when they are fed.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub(crate) values: Values,
    /// The shape of one row's value; empty for a plain value.
    pub(crate) item: Vec<usize>,
    /// Which elements are missing; empty if none is.
    pub(crate) missing: Vec<bool>,
}

/// One element as it came from JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Missing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// The type that all cells of a column share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Text,
}

impl Cell {
    /// A JSON value that is neither a list nor an object.
    pub(crate) fn from_json(value: &Value) -> Result<Self, PredictError> {
        match value {
            Value::Null => Ok(Self::Missing),
            Value::Bool(b) => Ok(Self::Bool(*b)),
            Value::String(s) => Ok(Self::Text(s.clone())),
            Value::Number(n) => Ok(match n.as_i64() {
                Some(i) => Self::Int(i),
                // An integer beyond i64 keeps its value as far as a float can hold it, like any other large number.
                None => Self::Float(n.as_f64().unwrap_or(f64::INFINITY)),
            }),
            Value::Array(_) => Err(PredictError::client("wrong-shape", "a list where a single value is due")),
            Value::Object(_) => {
                Err(PredictError::client("wrong-type", "an object where a single value is due"))
            }
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Missing => None,
            Self::Bool(_) => Some(Kind::Bool),
            Self::Int(_) => Some(Kind::Int),
            Self::Float(_) => Some(Kind::Float),
            Self::Text(_) => Some(Kind::Text),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Missing => "null",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
        }
    }
}

impl Column {
    /// A column of floats.
    pub fn f64(values: Vec<f64>) -> Self {
        let missing: Vec<bool> = values.iter().map(|v| v.is_nan()).collect();
        Self::plain(Values::F64(values), missing)
    }

    /// A column of floats; every `f32` is exactly an `f64`.
    pub fn f32(values: Vec<f32>) -> Self {
        Self::f64(values.into_iter().map(f64::from).collect())
    }

    /// A column of integers.
    pub fn i64(values: Vec<i64>) -> Self {
        Self::plain(Values::I64(values), Vec::new())
    }

    /// A column of truth values.
    pub fn bool(values: Vec<bool>) -> Self {
        Self::plain(Values::Bool(values), Vec::new())
    }

    /// A column of texts.
    pub fn strings(values: Vec<String>) -> Self {
        Self::plain(Values::Text(values), Vec::new())
    }

    /// A column of floats, some missing.
    pub fn f64_opt(values: Vec<Option<f64>>) -> Self {
        Self::f64(values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect())
    }

    /// A column of integers, some missing.
    pub fn i64_opt(values: Vec<Option<i64>>) -> Self {
        let missing = values.iter().map(Option::is_none).collect();
        Self::plain(Values::I64(values.into_iter().map(Option::unwrap_or_default).collect()), missing)
    }

    /// A column of truth values, some missing.
    pub fn bool_opt(values: Vec<Option<bool>>) -> Self {
        let missing = values.iter().map(Option::is_none).collect();
        Self::plain(Values::Bool(values.into_iter().map(Option::unwrap_or_default).collect()), missing)
    }

    /// A column of texts, some missing.
    pub fn strings_opt(values: Vec<Option<String>>) -> Self {
        let missing = values.iter().map(Option::is_none).collect();
        Self::plain(Values::Text(values.into_iter().map(Option::unwrap_or_default).collect()), missing)
    }

    fn plain(values: Values, missing: Vec<bool>) -> Self {
        Self::shaped(values, Vec::new(), missing)
    }

    fn shaped(values: Values, item: Vec<usize>, mut missing: Vec<bool>) -> Self {
        if !missing.contains(&true) {
            missing.clear();
        }
        Self { values, item, missing }
    }

    /// A column of cells; integers and floats mix, other types do not.
    pub(crate) fn from_cells(name: &str, cells: Vec<Cell>, item: Vec<usize>) -> Result<Self, PredictError> {
        let mut kind: Option<(Kind, &'static str)> = None;
        for cell in &cells {
            let Some(found) = cell.kind() else { continue };
            kind = Some(match (kind, found) {
                (None, _) => (found, cell.name()),
                (Some((old, text)), _) if old == found => (old, text),
                (Some((Kind::Int | Kind::Float, text)), Kind::Int | Kind::Float) => (Kind::Float, text),
                (Some((_, text)), _) => {
                    let message = format!(
                        "column `{name}` holds both {text} and {}; expected one type in all rows",
                        cell.name()
                    );
                    return Err(PredictError::client("wrong-type", message));
                }
            });
        }
        let missing = cells.iter().map(|c| *c == Cell::Missing).collect();
        let values = match kind.map(|(k, _)| k) {
            Some(Kind::Bool) => Values::Bool(cells.iter().map(|c| matches!(c, Cell::Bool(true))).collect()),
            Some(Kind::Int) => {
                Values::I64(cells.iter().map(|c| if let Cell::Int(i) = c { *i } else { 0 }).collect())
            }
            Some(Kind::Text) => Values::Text(
                cells.into_iter().map(|c| if let Cell::Text(s) = c { s } else { String::new() }).collect(),
            ),
            Some(Kind::Float) | None => Values::F64(cells.iter().map(number).collect()),
        };
        Ok(Self::shaped(values, item, missing))
    }

    /// Number of elements, over all rows.
    pub(crate) fn elements(&self) -> usize {
        match &self.values {
            Values::F64(v) => v.len(),
            Values::I64(v) => v.len(),
            Values::Bool(v) => v.len(),
            Values::Text(v) => v.len(),
        }
    }

    /// Elements of one row.
    pub(crate) fn width(&self) -> usize {
        self.item.iter().product()
    }

    pub(crate) fn is_missing(&self, element: usize) -> bool {
        self.missing.get(element).copied().unwrap_or(false)
    }

    /// The value of one row as JSON: plain, or nested lists.
    pub(crate) fn json(&self, row: usize) -> Value {
        let width = self.width();
        nested(&self.item, &mut (row * width..(row + 1) * width).map(|i| self.element(i)))
    }

    fn element(&self, i: usize) -> Value {
        if self.is_missing(i) {
            return Value::Null;
        }
        match &self.values {
            Values::F64(v) => Number::from_f64(v[i]).map_or(Value::Null, Value::Number),
            Values::I64(v) => v[i].into(),
            Values::Bool(v) => v[i].into(),
            Values::Text(v) => v[i].clone().into(),
        }
    }

    /// The elements `start..end` as a column of the same kind.
    pub(crate) fn elements_between(&self, start: usize, end: usize) -> Self {
        let values = match &self.values {
            Values::F64(v) => Values::F64(v[start..end].to_vec()),
            Values::I64(v) => Values::I64(v[start..end].to_vec()),
            Values::Bool(v) => Values::Bool(v[start..end].to_vec()),
            Values::Text(v) => Values::Text(v[start..end].to_vec()),
        };
        let missing = self.missing.get(start..end).map(<[bool]>::to_vec).unwrap_or_default();
        Self::shaped(values, self.item.clone(), missing)
    }

    /// Element `k` of every row, as a plain column: one column out of a packed tensor.
    pub(crate) fn strided(&self, k: usize) -> Self {
        self.picked(|| (k..self.elements()).step_by(self.width().max(1)), Vec::new())
    }

    /// These rows, in this order.
    pub(crate) fn rows_at(&self, rows: &[usize]) -> Self {
        let width = self.width();
        self.picked(|| rows.iter().flat_map(move |row| row * width..(row + 1) * width), self.item.clone())
    }

    /// The elements at these places, as a column with rows of this shape.
    fn picked<I: Iterator<Item = usize>>(&self, picks: impl Fn() -> I, item: Vec<usize>) -> Self {
        let values = match &self.values {
            Values::F64(v) => Values::F64(picks().map(|i| v[i]).collect()),
            Values::I64(v) => Values::I64(picks().map(|i| v[i]).collect()),
            Values::Bool(v) => Values::Bool(picks().map(|i| v[i]).collect()),
            Values::Text(v) => Values::Text(picks().map(|i| v[i].clone()).collect()),
        };
        Self::shaped(values, item, picks().map(|i| self.is_missing(i)).collect())
    }
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Int(i) => *i as f64,
        Cell::Float(f) => *f,
        _ => f64::NAN,
    }
}

fn nested(shape: &[usize], elements: &mut dyn Iterator<Item = Value>) -> Value {
    match shape.split_first() {
        None => elements.next().unwrap_or(Value::Null),
        Some((size, rest)) => (0..*size).map(|_| nested(rest, elements)).collect::<Vec<_>>().into(),
    }
}
