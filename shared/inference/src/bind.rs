//! Casts the columns of a batch to what the graph takes. Everything that is wrong here is the client's.

use std::collections::HashSet;

use crate::batch::{Batch, missing_column};
use crate::cells::{Column, Values};
use crate::datatype::Datatype;
use crate::error::PredictError;
use crate::plan::{Plan, PlannedInput, Source};

/// The elements of a tensor in the graph's own type.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub(crate) enum Elements {
    Bool(Vec<bool>),
    Uint8(Vec<u8>),
    Uint16(Vec<u16>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Bytes(Vec<String>),
}

/// A tensor to be fed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fed<'p> {
    pub(crate) name: &'p str,
    pub(crate) shape: Vec<i64>,
    pub(crate) elements: Elements,
}

impl Fed<'_> {
    /// A tensor of `rows` rows of the same shape, whose elements are picked one by one: from this tensor (`true`) or from
    /// `other`, at this place. Both are of one input, and so of one type.
    pub(crate) fn picked(&self, other: &Self, rows: usize, picks: &[(bool, usize)]) -> Self {
        macro_rules! picked {
            ($($variant:ident),*) => {
                match (&self.elements, &other.elements) {
                    $((Elements::$variant(a), Elements::$variant(b)) => Elements::$variant(
                        picks.iter().filter_map(|(ours, at)| if *ours { a.get(*at) } else { b.get(*at) }).cloned().collect(),
                    ),)*
                    (ours, _) => ours.clone(),
                }
            };
        }
        let elements =
            picked!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp32, Fp64, Bytes);
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = rows as i64;
        }
        Self { name: self.name, shape, elements }
    }
}

/// The tensors of all inputs.
pub(crate) fn bind<'p>(plan: &'p Plan, batch: &Batch) -> Result<Vec<Fed<'p>>, PredictError> {
    let known: HashSet<&str> = plan.columns.iter().map(|c| c.name.as_str()).collect();
    if let Some(name) = batch.names().find(|n| !known.contains(n)) {
        let expected: Vec<&str> = plan.columns.iter().map(|c| c.name.as_str()).take(40).collect();
        let message = format!("column `{name}` is unknown to this model; expected: {}", expected.join(", "));
        return Err(PredictError::client("unknown-column", message));
    }
    plan.inputs.iter().map(|input| fed(input, batch)).collect()
}

fn fed<'p>(input: &'p PlannedInput, batch: &Batch) -> Result<Fed<'p>, PredictError> {
    let column =
        |name: &'p str| batch.column(name).map(|c| (name, c)).ok_or_else(|| missing_column(name, batch));
    let (sources, item): (Vec<(&str, &Column)>, Vec<i64>) = match &input.source {
        Source::Packed(names) => {
            let sources = names.iter().map(|n| column(n)).collect::<Result<Vec<_>, _>>()?;
            (sources, vec![names.len() as i64])
        }
        Source::Column => {
            let source = column(&input.name)?;
            let item = item_shape(input, source.1)?;
            (vec![source], item)
        }
    };
    if let (Source::Packed(_), Some((name, c))) =
        (&input.source, sources.iter().find(|(_, c)| c.width() != 1))
    {
        let message = format!("column `{name}` has the shape {:?} a row, expected a single value", c.item);
        return Err(PredictError::client("wrong-shape", message));
    }
    let mut shape = vec![batch.rows() as i64];
    shape.extend(item);
    Ok(Fed { name: &input.name, shape, elements: elements(input, &sources)? })
}

/// The sizes after the batch for a column of its own.
fn item_shape(input: &PlannedInput, column: &Column) -> Result<Vec<i64>, PredictError> {
    if column.width() == 1 && input.item.iter().all(|d| matches!(d, 1 | -1)) {
        return Ok(vec![1; input.item.len()]);
    }
    let found: Vec<i64> = column.item.iter().map(|d| *d as i64).collect();
    let fits =
        found.len() == input.item.len() && found.iter().zip(&input.item).all(|(f, e)| *e == -1 || f == e);
    if fits {
        return Ok(found);
    }
    let message = format!("column `{}` has the shape {found:?} a row, expected {:?}", input.name, input.item);
    Err(PredictError::client("wrong-shape", message))
}

/// Elements in row-major order: row by row, and in a row column by column.
fn elements(input: &PlannedInput, sources: &[(&str, &Column)]) -> Result<Elements, PredictError> {
    let whole = |d: Datatype| d.integer_range().unwrap_or((0, 1));
    macro_rules! integers {
        ($variant:ident, $type:ty) => {
            Elements::$variant(walk(input, sources, |e| Ok(e.integer(whole(input.datatype))? as $type))?)
        };
    }
    Ok(match input.datatype {
        Datatype::Bool => Elements::Bool(walk(input, sources, |e| Ok(e.integer((0, 1))? == 1))?),
        Datatype::Uint8 => integers!(Uint8, u8),
        Datatype::Uint16 => integers!(Uint16, u16),
        Datatype::Uint32 => integers!(Uint32, u32),
        Datatype::Uint64 => integers!(Uint64, u64),
        Datatype::Int8 => integers!(Int8, i8),
        Datatype::Int16 => integers!(Int16, i16),
        Datatype::Int32 => integers!(Int32, i32),
        Datatype::Int64 => integers!(Int64, i64),
        Datatype::Fp32 => Elements::Fp32(walk(input, sources, |e| {
            let narrow = e.float()? as f32;
            if narrow.is_infinite() { Err(e.refuse("out-of-range", "is beyond FP32")) } else { Ok(narrow) }
        })?),
        Datatype::Fp64 => Elements::Fp64(walk(input, sources, |e| e.float())?),
        Datatype::Bytes => Elements::Bytes(walk(input, sources, |e| e.text())?),
    })
}

fn walk<T>(
    input: &PlannedInput,
    sources: &[(&str, &Column)],
    cast: impl Fn(Element<'_>) -> Result<T, PredictError>,
) -> Result<Vec<T>, PredictError> {
    let total = sources.iter().map(|(_, c)| c.elements()).sum();
    let mut out = Vec::with_capacity(total);
    let widths: Vec<usize> = sources.iter().map(|(_, c)| c.width()).collect();
    let rows = sources.first().map_or(0, |(_, c)| c.elements() / c.width().max(1));
    for row in 0..rows {
        for ((name, column), width) in sources.iter().zip(&widths) {
            for at in row * width..(row + 1) * width {
                out.push(cast(Element { name, column, at, row, nullable: input.nullable })?);
            }
        }
    }
    Ok(out)
}

/// One element on its way into a tensor.
struct Element<'c> {
    name: &'c str,
    column: &'c Column,
    at: usize,
    row: usize,
    nullable: bool,
}

impl Element<'_> {
    fn refuse(&self, code: &'static str, what: &str) -> PredictError {
        PredictError::client(code, format!("column `{}`, row {}: the value {what}", self.name, self.row))
    }

    fn present(&self) -> Result<(), PredictError> {
        if self.column.is_missing(self.at) {
            return Err(self.refuse("null-value", "is missing, and this model takes none that are"));
        }
        Ok(())
    }

    fn float(&self) -> Result<f64, PredictError> {
        if self.nullable && self.column.is_missing(self.at) {
            return Ok(f64::NAN);
        }
        self.present()?;
        match &self.column.values {
            Values::F64(v) if v[self.at].is_finite() => Ok(v[self.at]),
            Values::F64(_) => Err(self.refuse("out-of-range", "is not finite")),
            Values::I64(v) => Ok(v[self.at] as f64),
            Values::Bool(v) => Ok(f64::from(u8::from(v[self.at]))),
            Values::Text(_) => Err(self.refuse("wrong-type", "is text, expected a number")),
        }
    }

    fn integer(&self, (low, high): (i128, i128)) -> Result<i128, PredictError> {
        self.present()?;
        let value = match &self.column.values {
            Values::I64(v) => i128::from(v[self.at]),
            Values::Bool(v) => i128::from(v[self.at]),
            Values::F64(v) if v[self.at].fract() == 0.0 => v[self.at] as i128, // saturates; the range refuses it
            Values::F64(v) => {
                let what = format!("is {}, expected a whole number", v[self.at]);
                return Err(self.refuse("wrong-type", &what));
            }
            Values::Text(_) => return Err(self.refuse("wrong-type", "is text, expected a whole number")),
        };
        if value < low || value > high {
            return Err(self.refuse("out-of-range", &format!("is {value}, expected {low} to {high}")));
        }
        Ok(value)
    }

    fn text(&self) -> Result<String, PredictError> {
        self.present()?;
        match &self.column.values {
            // The engine takes texts as C strings.
            Values::Text(v) if v[self.at].contains('\0') => {
                Err(self.refuse("out-of-range", "holds a zero byte"))
            }
            Values::Text(v) => Ok(v[self.at].clone()),
            _ => Err(self.refuse("wrong-type", "is a number or truth value, expected text")),
        }
    }
}
