//! Between the engine's values and ours: tensors in, tensors and maps out.

use ort::session::SessionInputValue;
use ort::value::{DynMapValueType, DynSequenceValueType, DynValue, Tensor, TensorElementType, ValueType};

use crate::answers::{RawClass, RawScores};
use crate::bind::{Elements, Fed};
use crate::error::PredictError;

/// The engine's value of a tensor to be fed.
pub(crate) fn value(fed: Fed<'_>) -> Result<SessionInputValue<'static>, ort::Error> {
    let shape = fed.shape;
    Ok(match fed.elements {
        Elements::Bool(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Uint8(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Uint16(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Uint32(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Uint64(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Int8(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Int16(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Int32(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Int64(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Fp32(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Fp64(v) => Tensor::from_array((shape, v))?.into(),
        Elements::Bytes(v) => Tensor::from_string_array((shape, v.as_slice()))?.into(),
    })
}

fn bad(name: &str, what: impl std::fmt::Display) -> PredictError {
    PredictError::model("bad-output", format!("output `{name}`: {what}"))
}

/// Labels: integers, truth values or text.
pub(crate) fn labels(name: &str, value: &DynValue) -> Result<Vec<RawClass>, PredictError> {
    let fail = |e: ort::Error| bad(name, e);
    let Some(element) = value.dtype().tensor_type() else { return Err(bad(name, "is no tensor")) };
    Ok(match element {
        TensorElementType::Int64 => ints(value.try_extract_tensor::<i64>().map_err(fail)?.1),
        TensorElementType::Int32 => ints(value.try_extract_tensor::<i32>().map_err(fail)?.1),
        TensorElementType::Bool => ints(value.try_extract_tensor::<bool>().map_err(fail)?.1),
        TensorElementType::String => {
            value.try_extract_strings().map_err(fail)?.1.into_iter().map(RawClass::Text).collect()
        }
        other => return Err(bad(name, format!("holds {other}, expected classes"))),
    })
}

fn ints<T: Copy + Into<i64>>(values: &[T]) -> Vec<RawClass> {
    values.iter().map(|v| RawClass::Int((*v).into())).collect()
}

/// Floats, and how many there are after the first dimension.
pub(crate) fn floats(name: &str, value: &DynValue) -> Result<(usize, Vec<f64>), PredictError> {
    let fail = |e: ort::Error| bad(name, e);
    let (shape, data) = match value.dtype().tensor_type() {
        Some(TensorElementType::Float32) => {
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(fail)?;
            (shape, data.iter().map(|v| f64::from(*v)).collect())
        }
        Some(TensorElementType::Float64) => {
            let (shape, data) = value.try_extract_tensor::<f64>().map_err(fail)?;
            (shape, data.to_vec())
        }
        _ => return Err(bad(name, "is no tensor of floats")),
    };
    let width = shape.iter().skip(1).map(|d| usize::try_from(*d).unwrap_or(0)).product();
    Ok((width, data))
}

/// Scores: a plain tensor, or ZipMap's sequence of maps.
pub(crate) fn scores(name: &str, value: &DynValue) -> Result<RawScores, PredictError> {
    let ValueType::Sequence(inner) = value.dtype() else {
        let (width, data) = floats(name, value)?;
        return Ok(RawScores::Plain { width, data });
    };
    let fail = |e: ort::Error| bad(name, e);
    let ValueType::Map { key, value: TensorElementType::Float32 } = **inner else {
        return Err(bad(name, "is a sequence, but not of maps to FP32"));
    };
    let sequence = value.view().downcast::<DynSequenceValueType>().map_err(fail)?;
    let maps = sequence.try_extract_sequence::<DynMapValueType>().map_err(fail)?;
    let rows = maps.iter().map(|map| match key {
        TensorElementType::Int64 => {
            let pairs = map.try_extract_key_values::<i64, f32>().map_err(fail)?;
            Ok(pairs.into_iter().map(|(k, v)| (RawClass::Int(k), f64::from(v))).collect())
        }
        _ => {
            let pairs = map.try_extract_key_values::<String, f32>().map_err(fail)?;
            Ok(pairs.into_iter().map(|(k, v)| (RawClass::Text(k), f64::from(v))).collect())
        }
    });
    Ok(RawScores::Maps(rows.collect::<Result<_, PredictError>>()?))
}
