//! The nodes of a graph with their attributes, for those who must know what is computed and not only what goes in and out.
//!
//! Read apart from [`super::GraphInfo`], which every submission pays for: this holds the numbers of all attributes in memory.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use super::GraphError;
use super::wire::{Message, Payload};

/// At most so many numbers and texts in all attributes: some million nodes of trees.
pub(super) const MAX_NUMBERS: u64 = 16 << 20;
/// Larger constants are known by their shape alone.
const MAX_CONSTANT_BYTES: u64 = 1 << 20;

/// A node of the main graph.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Node {
    /// The operator, for example `Concat`.
    pub(crate) operator: String,
    /// The operator's domain; empty for ONNX's own.
    pub(crate) domain: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: HashMap<String, Attribute>,
}

/// The value of an attribute, as far as anybody asks for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Attribute {
    pub(crate) int: Option<i64>,
    pub(crate) text: Option<String>,
    pub(crate) ints: Vec<i64>,
    pub(crate) floats: Vec<f32>,
    pub(crate) texts: Vec<String>,
    pub(crate) tensor: Option<Constant>,
}

/// A tensor that is part of the graph.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<i64>,
    /// Its numbers; none where it is large, lies in another file, or holds something else.
    pub(crate) numbers: Option<Vec<f64>>,
}

impl Constant {
    /// How many elements it has.
    pub(crate) fn elements(&self) -> usize {
        self.dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).product()
    }
}

/// The main graph's nodes, in their order, and its constants.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Node>,
    pub(crate) constants: HashMap<String, Constant>,
}

/// Reading, with a budget.
struct Reader {
    found: Nodes,
    left: u64,
}

impl Nodes {
    /// Reads the nodes from the bytes of a model's file.
    pub(crate) fn read(source: impl Read) -> Result<Self, GraphError> {
        let mut source = BufReader::with_capacity(65_536, source);
        let mut reader = Reader { found: Self::default(), left: MAX_NUMBERS };
        let mut m = Message::outermost(&mut source);
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (7, Payload::Bytes(len)) => reader.graph(&mut m.enter(len)?)?,
                _ => m.skip(payload)?,
            }
        }
        Ok(reader.found)
    }
}

impl Reader {
    /// Takes `count` numbers from the budget.
    fn spend(&mut self, count: u64) -> Result<(), GraphError> {
        self.left = self.left.checked_sub(count).ok_or(GraphError::TooLarge)?;
        Ok(())
    }

    fn graph(&mut self, m: &mut Message<'_>) -> Result<(), GraphError> {
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (1, Payload::Bytes(len)) => {
                    let node = self.node(&mut m.enter(len)?)?;
                    self.found.nodes.push(node);
                }
                (5, Payload::Bytes(len)) => {
                    let (name, constant) = self.tensor(&mut m.enter(len)?, MAX_CONSTANT_BYTES)?;
                    self.found.constants.insert(name, constant);
                }
                _ => m.skip(payload)?,
            }
        }
        Ok(())
    }

    fn node(&mut self, m: &mut Message<'_>) -> Result<Node, GraphError> {
        let mut node = Node::default();
        self.spend(1)?;
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (1, Payload::Bytes(len)) => node.inputs.push(m.text(len)?),
                (2, Payload::Bytes(len)) => node.outputs.push(m.text(len)?),
                (4, Payload::Bytes(len)) => node.operator = m.text(len)?,
                (5, Payload::Bytes(len)) => {
                    let (name, attribute) = self.attribute(&mut m.enter(len)?)?;
                    node.attributes.insert(name, attribute);
                }
                (7, Payload::Bytes(len)) => node.domain = m.text(len)?,
                _ => m.skip(payload)?,
            }
        }
        Ok(node)
    }

    fn attribute(&mut self, m: &mut Message<'_>) -> Result<(String, Attribute), GraphError> {
        let (mut name, mut value) = (String::new(), Attribute::default());
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (1, Payload::Bytes(len)) => name = m.text(len)?,
                (3, Payload::Varint(number)) => value.int = Some(number as i64),
                (4, Payload::Bytes(len)) => value.text = lossy(m, len)?,
                (5, Payload::Bytes(len)) => {
                    value.tensor = Some(self.tensor(&mut m.enter(len)?, self.left.saturating_mul(8))?.1);
                }
                (7, Payload::Fixed32(bits)) => {
                    self.spend(1)?;
                    value.floats.push(f32::from_bits(bits));
                }
                (7, Payload::Bytes(len)) => {
                    self.spend(len / 4)?;
                    value.floats.extend(words(&m.bytes(len)?).map(f32::from_le_bytes));
                }
                (8, Payload::Varint(number)) => {
                    self.spend(1)?;
                    value.ints.push(number as i64);
                }
                (8, Payload::Bytes(len)) => {
                    self.spend(len)?;
                    value.ints.extend(m.varints(len)?.into_iter().map(|n| n as i64));
                }
                (9, Payload::Bytes(len)) => {
                    self.spend(1 + len / 8)?;
                    value.texts.extend(lossy(m, len)?);
                }
                _ => m.skip(payload)?,
            }
        }
        Ok((name, value))
    }

    /// A tensor's name, shape and numbers; these only where they take at most `most` bytes.
    fn tensor(&mut self, m: &mut Message<'_>, most: u64) -> Result<(String, Constant), GraphError> {
        let (mut name, mut dims, mut element) = (String::new(), Vec::new(), 0);
        let mut numbers: Vec<f64> = Vec::new();
        let mut raw: Option<Vec<u8>> = None;
        while let Some((field, payload)) = m.next()? {
            match (field, payload) {
                (1, Payload::Varint(size)) => dims.push(size as i64),
                (1, Payload::Bytes(len)) if len <= most => {
                    dims.extend(m.varints(len)?.into_iter().map(|n| n as i64));
                }
                (2, Payload::Varint(number)) => element = number,
                (4, Payload::Bytes(len)) if len <= most => {
                    self.spend(len / 4)?;
                    numbers.extend(words(&m.bytes(len)?).map(|w| f64::from(f32::from_le_bytes(w))));
                }
                (4, Payload::Fixed32(bits)) => {
                    self.spend(1)?;
                    numbers.push(f64::from(f32::from_bits(bits)));
                }
                (5 | 7, Payload::Bytes(len)) if len <= most => {
                    self.spend(len)?;
                    numbers.extend(m.varints(len)?.into_iter().map(|n| n as i64 as f64));
                }
                (5 | 7, Payload::Varint(number)) => {
                    self.spend(1)?;
                    numbers.push(number as i64 as f64);
                }
                (8, Payload::Bytes(len)) => name = m.text(len)?,
                (9, Payload::Bytes(len)) if len <= most => {
                    self.spend(len / 4)?;
                    raw = Some(m.bytes(len)?);
                }
                (10, Payload::Bytes(len)) if len <= most => {
                    self.spend(len / 8)?;
                    numbers.extend(words(&m.bytes(len)?).map(f64::from_le_bytes));
                }
                (10, Payload::Fixed64(bits)) => {
                    self.spend(1)?;
                    numbers.push(f64::from_bits(bits));
                }
                _ => m.skip(payload)?,
            }
        }
        if let Some(raw) = raw {
            numbers = match element {
                1 => words(&raw).map(|w| f64::from(f32::from_le_bytes(w))).collect(),
                6 => words(&raw).map(|w| f64::from(i32::from_le_bytes(w))).collect(),
                7 => words(&raw).map(|w| i64::from_le_bytes(w) as f64).collect(),
                11 => words(&raw).map(f64::from_le_bytes).collect(),
                2 => raw.iter().map(|b| f64::from(*b)).collect(),
                _ => Vec::new(),
            };
        }
        let constant = Constant { dims, numbers: None };
        let whole = constant.elements() == numbers.len();
        Ok((name, Constant { numbers: whole.then_some(numbers), ..constant }))
    }
}

/// A text; none where it is long or no text, which nobody asks for.
fn lossy(m: &mut Message<'_>, len: u64) -> Result<Option<String>, GraphError> {
    if len > 65_536 {
        m.skip(Payload::Bytes(len))?;
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&m.bytes(len)?).into_owned()))
}

/// Whole words of `N` bytes.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).filter_map(|word| word.try_into().ok())
}
