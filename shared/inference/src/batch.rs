//! Rows to predict, as named columns; built from JSON rows, from protocol tensors, or from columns of a file.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::cells::{Cell, Column};
use crate::error::PredictError;
use crate::oip::{self, OipTensor};

/// At most this many lists inside lists in one row's value.
const MAX_RANK: usize = 8;

/// Rows to predict, as named columns of the same length.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    rows: usize,
    columns: Vec<(String, Column)>,
    index: HashMap<String, usize>,
}

impl Batch {
    /// A batch of columns.
    ///
    /// # Errors
    /// `no-rows`, `duplicate-column`, or `wrong-shape` if the columns differ in length.
    pub fn from_columns(columns: Vec<(String, Column)>) -> Result<Self, PredictError> {
        let mut index = HashMap::with_capacity(columns.len());
        let mut rows = None;
        for (place, (name, column)) in columns.iter().enumerate() {
            if index.insert(name.clone(), place).is_some() {
                return Err(PredictError::client(
                    "duplicate-column",
                    format!("column `{name}` is given twice"),
                ));
            }
            let width = column.width();
            if width == 0 {
                return Err(PredictError::client(
                    "wrong-shape",
                    format!("column `{name}` has rows without elements"),
                ));
            }
            let (len, first) = (column.elements() / width, *rows.get_or_insert(column.elements() / width));
            if len != first {
                let message =
                    format!("column `{name}` has {len} rows, expected {first} as in `{}`", columns[0].0);
                return Err(PredictError::client("wrong-shape", message));
            }
        }
        match rows {
            None | Some(0) => {
                Err(PredictError::client("no-rows", "the request holds no rows; expected at least one"))
            }
            Some(rows) => Ok(Self { rows, columns, index }),
        }
    }

    /// A batch of objects, one a row: `{"age": 39, "workclass": "Private"}`. A key that a row lacks is missing there; a list
    /// is a small tensor.
    ///
    /// # Errors
    /// `no-rows`; `wrong-type` if a column mixes types; `wrong-shape` if its lists differ in shape.
    pub fn from_rows(rows: &[Map<String, Value>]) -> Result<Self, PredictError> {
        let mut names: Vec<&str> = Vec::new();
        let mut known = HashMap::new();
        for name in rows.iter().flat_map(Map::keys) {
            if known.insert(name.as_str(), ()).is_none() {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(PredictError::client("no-rows", "the request holds no rows; expected at least one"));
        }
        let columns = names.iter().map(|name| Ok(((*name).to_owned(), column_of_rows(name, rows)?)));
        Self::from_columns(columns.collect::<Result<_, PredictError>>()?)
    }

    /// A batch of the tensors of an Open Inference Protocol request: `[N]` or `[N, 1]` is a plain column, anything longer a
    /// small tensor a row. [`crate::Model::batch_from_oip`] also splits packed tensors into their columns.
    ///
    /// # Errors
    /// As [`Batch::from_columns`], and `wrong-type`, `wrong-shape`, `out-of-range` where data and declaration disagree.
    pub fn from_oip(tensors: &[OipTensor]) -> Result<Self, PredictError> {
        let columns = tensors.iter().map(|t| Ok((t.name.clone(), oip::column(t)?)));
        Self::from_columns(columns.collect::<Result<_, PredictError>>()?)
    }

    /// Number of rows; at least one.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns' names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.index.get(name).map(|i| &self.columns[*i].1)
    }

    /// One row as an object; [`Batch::from_rows`] makes the same row of it. `None` beyond the last row.
    pub fn row(&self, row: usize) -> Option<Map<String, Value>> {
        (row < self.rows).then(|| self.columns.iter().map(|(name, c)| (name.clone(), c.json(row))).collect())
    }

    /// Only these columns, in this order.
    ///
    /// # Errors
    /// `missing-column`.
    pub fn select<S: AsRef<str>>(&self, names: &[S]) -> Result<Self, PredictError> {
        let pick = |name: &S| {
            let name = name.as_ref();
            let column = self.column(name).ok_or_else(|| missing_column(name, self))?;
            Ok((name.to_owned(), column.clone()))
        };
        Self::from_columns(names.iter().map(pick).collect::<Result<_, PredictError>>()?)
    }

    /// The rows from `start` on, at most `len` of them; `None` if there is none.
    pub fn slice(&self, start: usize, len: usize) -> Option<Self> {
        let end = start.saturating_add(len).min(self.rows);
        if start >= end {
            return None;
        }
        let cut = |(name, c): &(String, Column)| {
            (name.clone(), c.elements_between(start * c.width(), end * c.width()))
        };
        let columns = self.columns.iter().map(cut).collect();
        Some(Self { rows: end - start, columns, index: self.index.clone() })
    }

    /// These rows, in this order; `None` where there are none, or one is beyond the last.
    pub fn rows_at(&self, rows: &[usize]) -> Option<Self> {
        if rows.is_empty() || rows.iter().any(|row| *row >= self.rows) {
            return None;
        }
        let columns = self.columns.iter().map(|(name, c)| (name.clone(), c.rows_at(rows))).collect();
        Some(Self { rows: rows.len(), columns, index: self.index.clone() })
    }

    pub(crate) fn into_columns(self) -> Vec<(String, Column)> {
        self.columns
    }
}

pub(crate) fn missing_column(name: &str, batch: &Batch) -> PredictError {
    let given: Vec<&str> = batch.names().take(20).collect();
    PredictError::client("missing-column", format!("column `{name}` is missing; given: {}", given.join(", ")))
}

fn column_of_rows(name: &str, rows: &[Map<String, Value>]) -> Result<Column, PredictError> {
    let mut cells = Vec::with_capacity(rows.len());
    let mut shape: Option<Vec<usize>> = None;
    for (row, object) in rows.iter().enumerate() {
        let value = object.get(name).unwrap_or(&Value::Null);
        let at = |e: PredictError| {
            PredictError::client(e.code(), format!("column `{name}`, row {row}: {}", e.message()))
        };
        let found = flatten(value, &mut cells).map_err(at)?;
        let expected = shape.get_or_insert_with(|| found.clone());
        if *expected != found {
            let message = format!("found the shape {found:?}, expected {expected:?} as in the first row");
            return Err(at(PredictError::client("wrong-shape", message)));
        }
    }
    Column::from_cells(name, cells, shape.unwrap_or_default())
}

/// Appends the elements of nested lists and returns their shape, empty for a plain value.
pub(crate) fn flatten(value: &Value, cells: &mut Vec<Cell>) -> Result<Vec<usize>, PredictError> {
    let Value::Array(list) = value else {
        cells.push(Cell::from_json(value)?);
        return Ok(Vec::new());
    };
    let mut inner: Option<Vec<usize>> = None;
    for item in list {
        let shape = flatten(item, cells)?;
        if inner.get_or_insert_with(|| shape.clone()) != &shape {
            return Err(PredictError::client("wrong-shape", "lists of different lengths side by side"));
        }
    }
    let mut shape = vec![list.len()];
    shape.extend(inner.unwrap_or_default());
    if shape.len() > MAX_RANK {
        return Err(PredictError::client("wrong-shape", format!("lists nested deeper than {MAX_RANK}")));
    }
    Ok(shape)
}
