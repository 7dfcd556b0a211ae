//! What a graph says of itself, read from the `.onnx` file in one forward pass with little memory and without the engine.
//!
//! Field numbers: `onnx/onnx-ml.proto3`, IR version 10.

mod nodes;
mod wire;

use std::collections::BTreeSet;
use std::io::{BufReader, Read};

pub(crate) use nodes::{Attribute, Constant, Node, Nodes};
use wire::{Message, Payload};

/// Why a file is not a readable graph.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The bytes are something else.
    #[error("the file is not an ONNX model; expected the output of an ONNX exporter such as skl2onnx")]
    NotOnnx,
    /// The bytes end too early.
    #[error("the ONNX file is cut off; upload it again")]
    Truncated,
    /// Deeper than any exporter writes.
    #[error("the ONNX file nests its graphs too deeply")]
    TooDeep,
    /// More than any model that is explained has.
    #[error("the ONNX file's nodes hold more than {MAX_NUMBERS} numbers", MAX_NUMBERS = nodes::MAX_NUMBERS)]
    TooLarge,
    /// The source failed.
    #[error("cannot read the ONNX file")]
    Read(#[source] std::io::Error),
}

impl GraphError {
    fn reading(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::UnexpectedEof { Self::Truncated } else { Self::Read(error) }
    }
}

/// The type of an input or output. Element types are numbers of `TensorProto.DataType`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueKind {
    /// A tensor; -1 for a size that varies, `None` where the graph does not even say the rank.
    Tensor {
        /// The element type.
        element: i32,
        /// The sizes.
        dims: Option<Vec<i64>>,
    },
    /// A sequence of maps, as ZipMap answers: the key's element type.
    Maps {
        /// The key's element type.
        key: i32,
    },
    /// Anything else, which no prediction is made of.
    Other,
}

/// A named input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ValueKind,
}

/// What a graph says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GraphInfo {
    /// Who exported it, for example `skl2onnx`.
    pub producer: String,
    /// Its inputs, without those that carry a value of their own.
    pub inputs: Vec<ValueInfo>,
    /// Its outputs.
    pub outputs: Vec<ValueInfo>,
    /// Files that hold its weights, relative to its own, as written there.
    pub external: BTreeSet<String>,
    /// The domains of its operators, without those of functions that it defines itself.
    pub domains: BTreeSet<String>,
    /// Number of nodes, in branches and functions too.
    pub nodes: u64,
}

/// What is gathered on the way.
#[derive(Default)]
struct Walk {
    info: GraphInfo,
    initializers: BTreeSet<String>,
    own_domains: BTreeSet<String>,
    ir_version: u64,
    graphs: u64,
}

impl GraphInfo {
    /// Reads a graph from the bytes of its file.
    ///
    /// # Errors
    /// If the bytes are no ONNX model, or the source fails.
    pub fn read(source: impl Read) -> Result<Self, GraphError> {
        let mut source = BufReader::with_capacity(65_536, source);
        let mut walk = Walk::default();
        walk.model(&mut Message::outermost(&mut source))?;
        if walk.ir_version == 0 || walk.graphs != 1 {
            return Err(GraphError::NotOnnx);
        }
        let Walk { mut info, initializers, own_domains, .. } = walk;
        info.inputs.retain(|input| !initializers.contains(&input.name));
        info.domains.retain(|domain| !own_domains.contains(domain));
        Ok(info)
    }
}

impl Walk {
    fn model(&mut self, m: &mut Message<'_>) -> Result<(), GraphError> {
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (1, Payload::Varint(version)) => self.ir_version = version,
                (2, Payload::Bytes(len)) => self.info.producer = m.text(len)?,
                (7, Payload::Bytes(len)) => {
                    self.graphs += 1;
                    self.graph(&mut m.enter(len)?, true)?;
                }
                (20, Payload::Bytes(len)) => self.training(&mut m.enter(len)?)?,
                (25, Payload::Bytes(len)) => self.function(&mut m.enter(len)?)?,
                _ => m.skip(payload)?,
            }
        }
        Ok(())
    }

    fn training(&mut self, m: &mut Message<'_>) -> Result<(), GraphError> {
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (1 | 2, Payload::Bytes(len)) => self.graph(&mut m.enter(len)?, false)?,
                _ => m.skip(payload)?,
            }
        }
        Ok(())
    }

    fn function(&mut self, m: &mut Message<'_>) -> Result<(), GraphError> {
        let mut domain = String::new();
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (7, Payload::Bytes(len)) => self.node(&mut m.enter(len)?)?,
                (10, Payload::Bytes(len)) => domain = m.text(len)?,
                _ => m.skip(payload)?,
            }
        }
        self.own_domains.insert(domain);
        Ok(())
    }

    fn graph(&mut self, m: &mut Message<'_>, main: bool) -> Result<(), GraphError> {
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (1, Payload::Bytes(len)) => self.node(&mut m.enter(len)?)?,
                (5, Payload::Bytes(len)) => {
                    let name = self.tensor(&mut m.enter(len)?)?;
                    if main {
                        self.initializers.insert(name);
                    }
                }
                (11, Payload::Bytes(len)) if main => self.info.inputs.push(value_info(&mut m.enter(len)?)?),
                (12, Payload::Bytes(len)) if main => self.info.outputs.push(value_info(&mut m.enter(len)?)?),
                (15, Payload::Bytes(len)) => self.sparse(&mut m.enter(len)?)?,
                _ => m.skip(payload)?,
            }
        }
        Ok(())
    }

    fn node(&mut self, m: &mut Message<'_>) -> Result<(), GraphError> {
        self.info.nodes += 1;
        let mut domain = String::new();
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (5, Payload::Bytes(len)) => self.attribute(&mut m.enter(len)?)?,
                (7, Payload::Bytes(len)) => domain = m.text(len)?,
                _ => m.skip(payload)?,
            }
        }
        self.info.domains.insert(domain);
        Ok(())
    }

    fn attribute(&mut self, m: &mut Message<'_>) -> Result<(), GraphError> {
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (5 | 10, Payload::Bytes(len)) => drop(self.tensor(&mut m.enter(len)?)?),
                (6 | 11, Payload::Bytes(len)) => self.graph(&mut m.enter(len)?, false)?,
                (22 | 23, Payload::Bytes(len)) => self.sparse(&mut m.enter(len)?)?,
                _ => m.skip(payload)?,
            }
        }
        Ok(())
    }

    fn sparse(&mut self, m: &mut Message<'_>) -> Result<(), GraphError> {
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (1 | 2, Payload::Bytes(len)) => {
                    let name = self.tensor(&mut m.enter(len)?)?;
                    self.initializers.insert(name);
                }
                _ => m.skip(payload)?,
            }
        }
        Ok(())
    }

    /// A tensor's name; its external files are noted.
    fn tensor(&mut self, m: &mut Message<'_>) -> Result<String, GraphError> {
        let (mut name, mut external, mut location) = (String::new(), false, None);
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (8, Payload::Bytes(len)) => name = m.text(len)?,
                (13, Payload::Bytes(len)) => {
                    let (key, value) = entry(&mut m.enter(len)?)?;
                    if key == "location" {
                        location = Some(value);
                    }
                }
                (14, Payload::Varint(kind)) => external = kind != 0,
                _ => m.skip(payload)?,
            }
        }
        if external || location.is_some() {
            self.info.external.insert(location.unwrap_or_default());
        }
        Ok(name)
    }
}

/// A pair of `StringStringEntryProto`.
fn entry(m: &mut Message<'_>) -> Result<(String, String), GraphError> {
    let (mut key, mut value) = (String::new(), String::new());
    while let Some((field, payload)) = m.next()? {
        match (field, payload) {
            (1, Payload::Bytes(len)) => key = m.text(len)?,
            (2, Payload::Bytes(len)) => value = m.text(len)?,
            _ => m.skip(payload)?,
        }
    }
    Ok((key, value))
}

fn value_info(m: &mut Message<'_>) -> Result<ValueInfo, GraphError> {
    let (mut name, mut kind) = (String::new(), ValueKind::Other);
    while let Some((field, payload)) = m.next()? {
        match (field, payload) {
            (1, Payload::Bytes(len)) => name = m.text(len)?,
            (2, Payload::Bytes(len)) => kind = type_proto(&mut m.enter(len)?)?,
            _ => m.skip(payload)?,
        }
    }
    Ok(ValueInfo { name, kind })
}

fn type_proto(m: &mut Message<'_>) -> Result<ValueKind, GraphError> {
    let mut kind = ValueKind::Other;
    while let Some((field, payload)) = m.next()? {
        match (field, payload) {
            (1, Payload::Bytes(len)) => kind = tensor_type(&mut m.enter(len)?)?,
            (4, Payload::Bytes(len)) => kind = sequence_type(&mut m.enter(len)?)?,
            _ => m.skip(payload)?,
        }
    }
    Ok(kind)
}

fn tensor_type(m: &mut Message<'_>) -> Result<ValueKind, GraphError> {
    let (mut element, mut dims) = (0, None);
    while let Some((field, payload)) = m.next()? {
        match (field, payload) {
            (1, Payload::Varint(number)) => element = i32::try_from(number).unwrap_or(0),
            (2, Payload::Bytes(len)) => dims = Some(shape(&mut m.enter(len)?)?),
            _ => m.skip(payload)?,
        }
    }
    Ok(ValueKind::Tensor { element, dims })
}

fn shape(m: &mut Message<'_>) -> Result<Vec<i64>, GraphError> {
    let mut dims = Vec::new();
    while let Some((field, payload)) = m.next()? {
        match (field, payload) {
            (1, Payload::Bytes(len)) => dims.push(dimension(&mut m.enter(len)?)?),
            _ => m.skip(payload)?,
        }
    }
    Ok(dims)
}

fn dimension(m: &mut Message<'_>) -> Result<i64, GraphError> {
    let mut size = -1;
    while let Some((field, payload)) = m.next()? {
        match (field, payload) {
            // Exporters write 0 or a negative number for "varies" too.
            (1, Payload::Varint(number)) => {
                size = i64::try_from(number).ok().filter(|n| *n > 0).unwrap_or(-1);
            }
            _ => m.skip(payload)?,
        }
    }
    Ok(size)
}

/// A sequence is of use only if it is ZipMap's: of maps from a class to its score.
fn sequence_type(m: &mut Message<'_>) -> Result<ValueKind, GraphError> {
    let mut kind = ValueKind::Other;
    while let Some((field, payload)) = m.next()? {
        let Payload::Bytes(len) = payload else { continue };
        if field != 1 {
            m.skip(payload)?;
            continue;
        }
        let mut element = m.enter(len)?;
        while let Some((field, payload)) = element.next()? {
            match (field, payload) {
                (5, Payload::Bytes(len)) => kind = map_type(&mut element.enter(len)?)?,
                _ => element.skip(payload)?,
            }
        }
    }
    Ok(kind)
}

fn map_type(m: &mut Message<'_>) -> Result<ValueKind, GraphError> {
    let mut key = 0;
    while let Some((field, payload)) = m.next()? {
        match (field, payload) {
            (1, Payload::Varint(number)) => key = i32::try_from(number).unwrap_or(0),
            _ => m.skip(payload)?,
        }
    }
    Ok(ValueKind::Maps { key })
}
