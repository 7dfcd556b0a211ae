//! Just enough of the protobuf wire format to walk a message in one forward pass without holding it in memory.

use std::io::Read;

use super::GraphError;

/// Messages inside messages beyond this depth are no graph that an exporter wrote.
const MAX_DEPTH: u16 = 100;
/// No name in a graph is longer.
const MAX_TEXT: u64 = 65_536;

/// What a field carries; the bytes of the last kind are still unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(u64),
}

/// One message, as far as it has not been read. Whoever enters a message reads or skips all of it.
pub(super) struct Message<'r> {
    source: &'r mut dyn Read,
    /// Unread bytes; `None` for the outermost message, which ends with the file.
    left: Option<u64>,
    depth: u16,
}

impl<'r> Message<'r> {
    pub(super) fn outermost(source: &'r mut dyn Read) -> Self {
        Self { source, left: None, depth: 0 }
    }

    /// The next field: its number and payload. `None` at the end of the message.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Payload)>, GraphError> {
        let Some(tag) = self.varint()? else { return Ok(None) };
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?.ok_or(GraphError::Truncated)?),
            1 => Payload::Fixed64(self.fixed64()?),
            5 => Payload::Fixed32(self.fixed32()?),
            2 => {
                let len = self.varint()?.ok_or(GraphError::Truncated)?;
                if self.left.is_some_and(|left| len > left) {
                    return Err(GraphError::Truncated);
                }
                Payload::Bytes(len)
            }
            _ => return Err(GraphError::NotOnnx),
        };
        Ok(Some((tag >> 3, payload)))
    }

    /// The message inside a field of `len` bytes.
    pub(super) fn enter(&mut self, len: u64) -> Result<Message<'_>, GraphError> {
        if self.depth >= MAX_DEPTH {
            return Err(GraphError::TooDeep);
        }
        self.spend(len)?;
        Ok(Message { source: &mut *self.source, left: Some(len), depth: self.depth + 1 })
    }

    /// The text of a field of `len` bytes.
    pub(super) fn text(&mut self, len: u64) -> Result<String, GraphError> {
        if len > MAX_TEXT {
            return Err(GraphError::NotOnnx);
        }
        String::from_utf8(self.bytes(len)?).map_err(|_| GraphError::NotOnnx)
    }

    /// The bytes of a field of `len` bytes, which the caller found small enough.
    pub(super) fn bytes(&mut self, len: u64) -> Result<Vec<u8>, GraphError> {
        self.spend(len)?;
        let mut bytes = Vec::new();
        let read = self.source.take(len).read_to_end(&mut bytes).map_err(GraphError::reading)?;
        if (read as u64) < len { Err(GraphError::Truncated) } else { Ok(bytes) }
    }

    /// The numbers of a packed field.
    pub(super) fn varints(&mut self, len: u64) -> Result<Vec<u64>, GraphError> {
        let mut inside = self.enter(len)?;
        let mut numbers = Vec::new();
        while let Some(number) = inside.varint()? {
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// Passes over a field that nobody asks for.
    pub(super) fn skip(&mut self, payload: Payload) -> Result<(), GraphError> {
        let Payload::Bytes(mut len) = payload else { return Ok(()) };
        self.spend(len)?;
        let mut scratch = [0; 8_192];
        while len > 0 {
            let part = len.min(scratch.len() as u64) as usize;
            self.source.read_exact(&mut scratch[..part]).map_err(GraphError::reading)?;
            len -= part as u64;
        }
        Ok(())
    }

    fn fixed32(&mut self) -> Result<u32, GraphError> {
        let mut bytes = [0; 4];
        self.spend(4)?;
        self.source.read_exact(&mut bytes).map_err(GraphError::reading)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn fixed64(&mut self) -> Result<u64, GraphError> {
        let mut bytes = [0; 8];
        self.spend(8)?;
        self.source.read_exact(&mut bytes).map_err(GraphError::reading)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn spend(&mut self, len: u64) -> Result<(), GraphError> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(len).ok_or(GraphError::Truncated)?;
        }
        Ok(())
    }

    /// A varint; `None` when the message ends before its first byte.
    fn varint(&mut self) -> Result<Option<u64>, GraphError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(byte) = self.byte()? else {
                return if shift == 0 { Ok(None) } else { Err(GraphError::Truncated) };
            };
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                return Ok(Some(value));
            }
        }
        Err(GraphError::NotOnnx)
    }

    fn byte(&mut self) -> Result<Option<u8>, GraphError> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let mut byte = [0];
        loop {
            match self.source.read(&mut byte) {
                Ok(0) if self.left.is_none() => return Ok(None),
                Ok(0) => return Err(GraphError::Truncated),
                Ok(_) => break,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(GraphError::Read(e)),
            }
        }
        self.spend(1)?;
        Ok(Some(byte[0]))
    }
}
