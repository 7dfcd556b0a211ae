//! Checking and hashing a submission with a large graph, beside programs that hash its one large file and check nothing.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Bed;
use super::figure::{Figure, Sample};
use super::measure::{WarmUp, rounds};
use crate::paths;

const ROUNDS: usize = 5;
/// Bytes of the weight that makes the graph large: 512 MiB.
const WEIGHT: u64 = 512 << 20;
/// The tag of `ModelProto.graph`: field 7, a length and bytes.
const GRAPH: u8 = 0x3a;
const WHAT: &str = "check and hash a submission, 512 MiB";

pub fn measure(bed: &Bed) -> Result<Vec<Figure>> {
    let folder = bed.scratch.join("submission");
    let graph = submission(&folder).context("cannot make the submission")?;
    let mut check = bed.ours("seatrial");
    check
        .current_dir(&bed.scratch)
        .args(["package", "--check", "--output", "json", "--model", "bench"])
        .arg(&folder);
    let mut sha256sum = Command::new("sha256sum");
    sha256sum.arg(&graph);
    let mut hashlib = bed.theirs("hashing.py");
    hashlib.arg(&graph);
    let runs = rounds(ROUNDS, WarmUp::Yes, &mut [check, sha256sum, hashlib])?;
    let digest = |stdout: &str| stdout.split_whitespace().next().unwrap_or_default().to_owned();
    let digests: Vec<String> = runs[1..].iter().flatten().map(|run| digest(&run.stdout)).collect();
    if let Some(other) = digests.iter().find(|digest| **digest != digests[0]) {
        bail!("the same file has the SHA-256 {} and {other}", digests[0]);
    }
    let samples =
        |side: usize| -> Vec<Sample> { runs[side].iter().map(|r| (r.seconds, r.peak_kib)).collect() };
    Ok(vec![
        Figure::new(WHAT, "sha256sum", "s", &samples(0), &samples(1)),
        Figure::new(WHAT, "Python hashlib (OpenSSL)", "s", &samples(0), &samples(2)),
    ])
}

/// The second version's submission with one more, large weight in its graph; the path of the graph.
fn submission(folder: &Path) -> Result<PathBuf> {
    let source = paths::workspace().join("tests/fixtures/submissions/v2");
    fs::create_dir_all(folder.join("weights"))?;
    for entry in fs::read_dir(&source)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    let path = folder.join("weights/model.onnx");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    file.write_all(&before_weight(&fs::read(source.join("weights/model.onnx"))?)?)?;
    let mut block = Vec::with_capacity(1 << 20);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..WEIGHT >> 20 {
        block.clear();
        while block.len() < 1 << 20 {
            // xorshift64: bytes that look like weights and are the same each time.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    file.flush()?;
    Ok(path)
}

/// The graph's file up to the bytes of one more weight, which end it: `ModelProto.graph` (7) goes last, and in it an
/// `initializer` (5) of `dims` (1), `data_type` (2) FLOAT, `name` (8) and `raw_data` (9).
fn before_weight(model: &[u8]) -> Result<Vec<u8>> {
    let mut tensor = vec![0x08];
    tensor.extend(varint(WEIGHT / 4));
    tensor.extend([0x10, 1, 0x42, 6]);
    tensor.extend(b"weight");
    tensor.push(0x4a);
    tensor.extend(varint(WEIGHT));
    let mut initializer = vec![0x2a];
    initializer.extend(varint(tensor.len() as u64 + WEIGHT));
    initializer.extend(tensor);
    let (mut bytes, graph) = without_graph(model).context("the fixture's graph is no ONNX model")?;
    bytes.push(GRAPH);
    bytes.extend(varint((graph.len() + initializer.len()) as u64 + WEIGHT));
    bytes.extend(graph);
    bytes.extend(initializer);
    Ok(bytes)
}

/// The fields of a model but its graph, as they stand, and the graph's bytes.
fn without_graph(model: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut others, mut graph, mut rest) = (Vec::new(), None, model);
    while let Some(&tag) = rest.first() {
        // A tag of two bytes is a field above 15, which is long data in a model.
        let tag_size = if tag < 0x80 { 1 } else { 2 };
        let (number, number_size) = read_varint(rest.get(tag_size..)?)?;
        let head = tag_size + number_size;
        let size = if tag & 7 == 2 { head + number as usize } else { head };
        let field = rest.get(..size)?;
        if tag == GRAPH {
            graph = Some(&field[head..]);
        } else {
            others.extend_from_slice(field);
        }
        rest = &rest[size..];
    }
    Some((others, graph?))
}

fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (i, byte) in bytes.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((number, i + 1));
        }
    }
    None
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{read_varint, varint, without_graph};

    #[test]
    fn numbers_are_written_seven_bits_a_byte() {
        assert_eq!(varint(1), [1]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(read_varint(&[0xac, 0x02, 9]), Some((300, 2)));
        assert_eq!(read_varint(&[0xac]), None);
    }

    #[test]
    fn the_graph_is_taken_out_and_the_rest_stays() {
        let model = [0x08, 9, 0x3a, 2, 5, 6, 0x42, 1, 7];
        assert_eq!(without_graph(&model), Some((vec![0x08, 9, 0x42, 1, 7], &[5_u8, 6][..])));
        assert_eq!(without_graph(&[0x08, 9]), None);
        assert_eq!(without_graph(&[0x3a, 9, 1]), None);
    }
}
