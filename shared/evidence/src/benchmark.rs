//! A held-out benchmark: columns of a Parquet file as pandas, Polars or DuckDB write it.

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::Bytes;

use crate::table::{TableError, batches};

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Whole numbers.
    Integers(Vec<Option<i64>>),
    /// Numbers.
    Numbers(Vec<Option<f64>>),
    /// Flags.
    Flags(Vec<Option<bool>>),
    /// Text, categories included.
    Texts(Vec<Option<String>>),
}

/// The columns of a benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Benchmark {
    /// Rows.
    pub rows: usize,
    columns: Vec<(String, Values)>,
}

impl Benchmark {
    /// Reads a Parquet file. Columns of types that no metric and no model takes (lists, times) are passed over.
    ///
    /// # Errors
    /// When it is not a whole Parquet file, or holds no rows.
    pub fn read(file: Bytes) -> Result<Self, TableError> {
        let mut benchmark = Self { rows: 0, columns: Vec::new() };
        for batch in batches(file)? {
            for (place, field) in batch.schema().fields().iter().enumerate() {
                let Some(values) = values(batch.column(place))? else { continue };
                match benchmark.columns.iter_mut().find(|(name, _)| name == field.name()) {
                    Some((_, held)) => held.append(values),
                    None => benchmark.columns.push((field.name().clone(), values)),
                }
            }
            benchmark.rows += batch.num_rows();
        }
        if benchmark.rows == 0 {
            return Err(TableError::Format { doing: "read", source: "it holds no rows".into() });
        }
        Ok(benchmark)
    }

    /// A column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The names of all columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// A column as text, for labels, segments and units; `None` where a value is missing.
    #[must_use]
    pub fn texts(&self, name: &str) -> Option<Vec<Option<String>>> {
        self.column(name).map(Values::texts)
    }
}

impl Values {
    fn append(&mut self, more: Self) {
        match (self, more) {
            (Self::Integers(a), Self::Integers(b)) => a.extend(b),
            (Self::Numbers(a), Self::Numbers(b)) => a.extend(b),
            (Self::Flags(a), Self::Flags(b)) => a.extend(b),
            (Self::Texts(a), Self::Texts(b)) => a.extend(b),
            // One file has one type a column.
            _ => {}
        }
    }

    fn texts(&self) -> Vec<Option<String>> {
        match self {
            Self::Integers(v) => v.iter().map(|x| x.map(|x| x.to_string())).collect(),
            // Whole numbers that a missing value made floats of: `1`, not `1.0`.
            Self::Numbers(v) => v.iter().map(|x| x.filter(|x| !x.is_nan()).map(|x| x.to_string())).collect(),
            Self::Flags(v) => v.iter().map(|x| x.map(|x| x.to_string())).collect(),
            Self::Texts(v) => v.clone(),
        }
    }
}

fn values(array: &ArrayRef) -> Result<Option<Values>, TableError> {
    let plain = match array.data_type() {
        DataType::Dictionary(_, of) => of.as_ref().clone(),
        other => other.clone(),
    };
    let target = match &plain {
        DataType::Boolean => DataType::Boolean,
        t if t.is_integer() => DataType::Int64,
        t if t.is_floating() => DataType::Float64,
        DataType::Decimal128(..) => DataType::Float64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        _ => return Ok(None),
    };
    let failed = |e: arrow::error::ArrowError| TableError::Format { doing: "read", source: Box::new(e) };
    let array = cast(&cast(array, &plain).map_err(failed)?, &target).map_err(failed)?;
    let any = array.as_any();
    Ok(if let Some(a) = any.downcast_ref::<BooleanArray>() {
        Some(Values::Flags(a.iter().collect()))
    } else if let Some(a) = any.downcast_ref::<Int64Array>() {
        Some(Values::Integers(a.iter().collect()))
    } else if let Some(a) = any.downcast_ref::<Float64Array>() {
        Some(Values::Numbers(a.iter().collect()))
    } else {
        any.downcast_ref::<StringArray>()
            .map(|a| Values::Texts(a.iter().map(|x| x.map(str::to_owned)).collect()))
    })
}
