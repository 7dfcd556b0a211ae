//! The element types of tensors, by their names in the Open Inference Protocol and their numbers in ONNX.

use std::fmt;

use serde::Serialize;

/// An element type. Names: Open Inference Protocol, "Tensor Data Types".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[allow(missing_docs)] // each variant is its name
pub enum Datatype {
    #[serde(rename = "BOOL")]
    Bool,
    #[serde(rename = "UINT8")]
    Uint8,
    #[serde(rename = "UINT16")]
    Uint16,
    #[serde(rename = "UINT32")]
    Uint32,
    #[serde(rename = "UINT64")]
    Uint64,
    #[serde(rename = "INT8")]
    Int8,
    #[serde(rename = "INT16")]
    Int16,
    #[serde(rename = "INT32")]
    Int32,
    #[serde(rename = "INT64")]
    Int64,
    #[serde(rename = "FP32")]
    Fp32,
    #[serde(rename = "FP64")]
    Fp64,
    #[serde(rename = "BYTES")]
    Bytes,
}

impl Datatype {
    /// Every supported type with its name and its number in `TensorProto.DataType`.
    const ALL: [(Self, &'static str, i32); 12] = [
        (Self::Bool, "BOOL", 9),
        (Self::Uint8, "UINT8", 2),
        (Self::Uint16, "UINT16", 4),
        (Self::Uint32, "UINT32", 12),
        (Self::Uint64, "UINT64", 13),
        (Self::Int8, "INT8", 3),
        (Self::Int16, "INT16", 5),
        (Self::Int32, "INT32", 6),
        (Self::Int64, "INT64", 7),
        (Self::Fp32, "FP32", 1),
        (Self::Fp64, "FP64", 11),
        (Self::Bytes, "BYTES", 8),
    ];

    /// The type of this name, if it is supported. `FP16` is not: no exporter of tabular models uses it for inputs.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n, _)| *n == name).map(|(t, ..)| *t)
    }

    /// The type of this number in `TensorProto.DataType`, if it is supported.
    pub fn from_onnx(number: i32) -> Option<Self> {
        Self::ALL.iter().find(|(_, _, n)| *n == number).map(|(t, ..)| *t)
    }

    /// The number in `TensorProto.DataType`.
    pub(crate) fn onnx(self) -> i32 {
        Self::ALL.iter().find(|(t, ..)| *t == self).map_or(0, |(.., n)| *n)
    }

    /// The name in the Open Inference Protocol.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(t, ..)| *t == self).map_or("", |(_, n, _)| n)
    }

    /// All names, for error texts.
    pub fn names() -> String {
        Self::ALL.map(|(_, n, _)| n).join(", ")
    }

    /// True for the two float types, the only ones that can hold "no value" (as NaN).
    pub fn is_float(self) -> bool {
        matches!(self, Self::Fp32 | Self::Fp64)
    }

    /// The smallest and largest value of an integer type.
    pub(crate) fn integer_range(self) -> Option<(i128, i128)> {
        let (low, high) = match self {
            Self::Uint8 => (0, u8::MAX.into()),
            Self::Uint16 => (0, u16::MAX.into()),
            Self::Uint32 => (0, u32::MAX.into()),
            Self::Uint64 => (0, u64::MAX.into()),
            Self::Int8 => (i8::MIN.into(), i8::MAX.into()),
            Self::Int16 => (i16::MIN.into(), i16::MAX.into()),
            Self::Int32 => (i32::MIN.into(), i32::MAX.into()),
            Self::Int64 => (i64::MIN.into(), i64::MAX.into()),
            _ => return None,
        };
        Some((low, high))
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
