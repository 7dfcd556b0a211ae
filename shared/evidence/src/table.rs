//! Parquet in and out: pairs, the serving log, labels and signals.
//!
//! Ids and scores are written without a dictionary (they do not repeat), floats as byte-stream-split, times as
//! delta-packed integers, all under zstd 1 but where there are few rows: about the size and speed at which DuckDB reads them best.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Float64Builder, ListArray, ListBuilder, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::DataType;
use bytes::Bytes;
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::observation::{Label, Queued, Served, Signal};
use crate::pair::{CLASSES_NOTE, ClassesNote, Pair, Replayed};

/// A table that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Arrow or Parquet refuses it: cut short, or of another shape.
    #[error("the Parquet file cannot be {doing}")]
    Format {
        /// `read` or `written`.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A column is missing or of another type.
    #[error("column {column:?} is missing or not {expected}")]
    Column {
        /// The column.
        column: String,
        /// Its type.
        expected: &'static str,
    },
    /// There are too many classes to tell apart.
    #[error("answers and labels name more than 4090 classes; a column of classes has fewer: is it one?")]
    Classes,
    /// Files speak of different positive classes.
    #[error(
        "the scores of some files are about the class {one:?}, those of others about {other:?}; name positive_class in the policy"
    )]
    Positive {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
}

pub(crate) fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    doing: &'static str,
) -> impl Fn(E) -> TableError {
    move |source| TableError::Format { doing, source: source.into() }
}

/// Columns by name, in order.
struct Columns(Vec<(&'static str, ArrayRef)>);

impl Columns {
    fn text<'a>(&mut self, name: &'static str, values: impl Iterator<Item = Option<&'a str>>) {
        self.0.push((name, Arc::new(values.collect::<StringArray>())));
    }
    fn number(&mut self, name: &'static str, values: impl Iterator<Item = Option<f64>>) {
        self.0.push((name, Arc::new(values.collect::<Float64Array>())));
    }
    fn count(&mut self, name: &'static str, values: impl Iterator<Item = Option<u64>>) {
        self.0.push((name, Arc::new(values.collect::<UInt64Array>())));
    }
    fn flag(&mut self, name: &'static str, values: impl Iterator<Item = Option<bool>>) {
        self.0.push((name, Arc::new(values.collect::<BooleanArray>())));
    }
    fn time(&mut self, name: &'static str, values: impl Iterator<Item = Timestamp>) {
        let array: TimestampMicrosecondArray = values.map(|t| Some(t.as_microsecond())).collect();
        self.0.push((name, Arc::new(array.with_timezone("UTC"))));
    }
    fn numbers<'a>(&mut self, name: &'static str, values: impl Iterator<Item = Option<&'a [f64]>>) {
        let mut builder = ListBuilder::new(Float64Builder::new());
        for list in values {
            if let Some(list) = list {
                builder.values().append_slice(list);
            }
            builder.append(list.is_some());
        }
        self.0.push((name, Arc::new(builder.finish())));
    }

    fn write(self) -> Result<Vec<u8>, TableError> {
        self.write_with(None)
    }

    fn write_with(self, note: Option<KeyValue>) -> Result<Vec<u8>, TableError> {
        let batch = RecordBatch::try_from_iter_with_nullable(self.0.into_iter().map(|(n, a)| (n, a, true)))
            .map_err(failed("written"))?;
        let mut properties = WriterProperties::builder()
            .set_compression(compression(batch.num_rows()).map_err(failed("written"))?)
            .set_created_by("seatrial".into())
            .set_key_value_metadata(note.map(|note| vec![note]));
        for field in batch.schema().fields() {
            let path = ColumnPath::from(field.name().as_str());
            properties = match field.data_type() {
                DataType::Float64 => properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT),
                DataType::Timestamp(..) | DataType::UInt64 => properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
                DataType::Utf8 if field.name().ends_with("_id") || field.name() == "unit" => {
                    properties.set_column_dictionary_enabled(path, false)
                }
                _ => properties,
            };
        }
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build()))
            .map_err(failed("written"))?;
        writer.write(&batch).map_err(failed("written"))?;
        writer.into_inner().map_err(failed("written"))
    }
}

/// Files of fewer rows than this are not compressed.
const COMPRESSED_ROWS: usize = 64;

/// How a table of so many rows is compressed. A column's zstd state takes longer to make ready than a few rows take to write,
/// and pairs come in many small files, one a partition and batch.
fn compression(rows: usize) -> parquet::errors::Result<Compression> {
    if rows < COMPRESSED_ROWS {
        return Ok(Compression::UNCOMPRESSED);
    }
    ZstdLevel::try_new(1).map(Compression::ZSTD)
}

/// The batches of a Parquet file held in memory.
///
/// # Errors
/// When it is not a whole Parquet file.
pub fn batches(file: Bytes) -> Result<Vec<RecordBatch>, TableError> {
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(failed("read"))?
        .with_batch_size(8_192)
        .build()
        .map_err(failed("read"))?
        .collect::<Result<_, _>>()
        .map_err(failed("read"))
}

struct Reader<'a>(&'a RecordBatch);

impl<'a> Reader<'a> {
    fn get<A: Array + 'static>(&self, column: &str, expected: &'static str) -> Result<&'a A, TableError> {
        self.0
            .column_by_name(column)
            .and_then(|c| c.as_any().downcast_ref::<A>())
            .ok_or_else(|| TableError::Column { column: column.to_owned(), expected })
    }
    fn text(&self, column: &str) -> Result<&'a StringArray, TableError> {
        self.get(column, "text")
    }
    fn number(&self, column: &str) -> Result<&'a Float64Array, TableError> {
        self.get(column, "a 64-bit float")
    }
}

fn opt_text(array: &StringArray, row: usize) -> Option<String> {
    array.is_valid(row).then(|| array.value(row).to_owned())
}
fn opt_number(array: &Float64Array, row: usize) -> Option<f64> {
    array.is_valid(row).then(|| array.value(row))
}
fn time(array: &TimestampMicrosecondArray, row: usize) -> Timestamp {
    Timestamp::from_microsecond(array.value(row)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Pairs as Parquet, sorted by observation id, so that the same pairs make the same bytes.
///
/// # Errors
/// When the table cannot be written.
pub fn write_pairs(pairs: &[Pair]) -> Result<Vec<u8>, TableError> {
    write_pairs_with(pairs, None)
}

/// The same, with a note of what the scores are about.
///
/// # Errors
/// When the table cannot be written.
pub fn write_pairs_with(pairs: &[Pair], note: Option<&ClassesNote>) -> Result<Vec<u8>, TableError> {
    let mut pairs: Vec<&Pair> = pairs.iter().collect();
    pairs.sort_by(|a, b| a.observation_id.cmp(&b.observation_id));
    let segments: Vec<String> = pairs.iter().map(|p| json(&p.segments)).collect();
    let mut c = Columns(Vec::new());
    c.text("observation_id", pairs.iter().map(|p| Some(p.observation_id.as_str())));
    c.text("client_id", pairs.iter().map(|p| p.client_id.as_deref()));
    c.text("unit", pairs.iter().map(|p| Some(p.unit.as_str())));
    c.time("at", pairs.iter().map(|p| p.at));
    c.time("queued_at", pairs.iter().map(|p| p.queued_at));
    c.text("served_version", pairs.iter().map(|p| Some(p.served_version.as_str())));
    c.text("served_label", pairs.iter().map(|p| p.served_label.as_deref()));
    c.number("served_score", pairs.iter().map(|p| p.served_score));
    c.number("served_value", pairs.iter().map(|p| p.served_value));
    c.flag("served_error", pairs.iter().map(|p| Some(p.served_error)));
    replayed(&mut c, CHAMPION, pairs.iter().map(|p| &p.champion));
    replayed(&mut c, CHALLENGER, pairs.iter().map(|p| &p.challenger));
    c.flag("faithful", pairs.iter().map(|p| p.faithful));
    c.text("segments", segments.iter().map(|s| Some(s.as_str())));
    c.write_with(note.map(|note| KeyValue::new(CLASSES_NOTE.to_owned(), json(note))))
}

type ReplayedColumns = [&'static str; 6];
const CHAMPION: ReplayedColumns = [
    "champion_label",
    "champion_score",
    "champion_scores",
    "champion_value",
    "champion_latency_us",
    "champion_error",
];
const CHALLENGER: ReplayedColumns = [
    "challenger_label",
    "challenger_score",
    "challenger_scores",
    "challenger_value",
    "challenger_latency_us",
    "challenger_error",
];

fn replayed<'a>(c: &mut Columns, names: ReplayedColumns, rows: impl Iterator<Item = &'a Replayed> + Clone) {
    let [label, score, scores, value, latency, error] = names;
    c.text(label, rows.clone().map(|r| r.label.as_deref()));
    c.number(score, rows.clone().map(|r| r.score));
    c.numbers(scores, rows.clone().map(|r| r.scores.as_deref()));
    c.number(value, rows.clone().map(|r| r.value));
    c.count(latency, rows.clone().map(|r| Some(r.latency_us)));
    c.text(error, rows.map(|r| r.error.as_deref()));
}

/// The pairs of a Parquet file.
///
/// # Errors
/// When the file is cut short or not a table of pairs.
pub fn read_pairs(file: Bytes) -> Result<Vec<Pair>, TableError> {
    let mut pairs = Vec::new();
    for batch in batches(file)? {
        let r = Reader(&batch);
        let (id, client, unit) = (r.text("observation_id")?, r.text("client_id")?, r.text("unit")?);
        let at: &TimestampMicrosecondArray = r.get("at", "a time")?;
        let queued: &TimestampMicrosecondArray = r.get("queued_at", "a time")?;
        let (version, label) = (r.text("served_version")?, r.text("served_label")?);
        let score = r.number("served_score")?;
        let value = r.number("served_value")?;
        let error: &BooleanArray = r.get("served_error", "a flag")?;
        let faithful: &BooleanArray = r.get("faithful", "a flag")?;
        let segments = r.text("segments")?;
        let mut champion = read_replayed(&r, CHAMPION)?.into_iter();
        let mut challenger = read_replayed(&r, CHALLENGER)?.into_iter();
        for row in 0..batch.num_rows() {
            pairs.push(Pair {
                observation_id: id.value(row).to_owned(),
                client_id: opt_text(client, row),
                unit: unit.value(row).to_owned(),
                at: time(at, row),
                queued_at: time(queued, row),
                served_version: version.value(row).to_owned(),
                served_label: opt_text(label, row),
                served_score: opt_number(score, row),
                served_value: opt_number(value, row),
                served_error: error.value(row),
                champion: champion.next().unwrap_or_default(),
                challenger: challenger.next().unwrap_or_default(),
                faithful: faithful.is_valid(row).then(|| faithful.value(row)),
                segments: serde_json::from_str(segments.value(row)).map_err(failed("read"))?,
            });
        }
    }
    Ok(pairs)
}

fn read_replayed(r: &Reader<'_>, names: ReplayedColumns) -> Result<Vec<Replayed>, TableError> {
    let [label, score, scores, value, latency, error] = names;
    let (label, score, error) = (r.text(label)?, r.number(score)?, r.text(error)?);
    let value = r.number(value)?;
    let scores: &ListArray = r.get(scores, "a list of floats")?;
    let latency: &UInt64Array = r.get(latency, "a count")?;
    let list = |row: usize| {
        let values = scores.value(row);
        values.as_any().downcast_ref::<Float64Array>().map(|v| v.values().to_vec())
    };
    Ok((0..r.0.num_rows())
        .map(|row| Replayed {
            label: opt_text(label, row),
            score: opt_number(score, row),
            scores: if scores.is_valid(row) { list(row) } else { None },
            value: opt_number(value, row),
            latency_us: latency.value(row),
            error: opt_text(error, row),
        })
        .collect())
}

/// The serving log as Parquet. Inputs, segments and protected attributes are JSON text: models differ in their columns.
///
/// # Errors
/// When the table cannot be written.
pub fn write_served(queued: &[Queued<Served>]) -> Result<Vec<u8>, TableError> {
    let rows: Vec<&Served> = queued.iter().map(|q| &q.entry).collect();
    let text = |f: fn(&Served) -> String| rows.iter().map(|row| f(row)).collect::<Vec<_>>();
    let versions = text(|s| s.version.to_string());
    let inputs = text(|s| json(&s.inputs));
    let outputs = text(|s| json(&s.output));
    let (segments, protected) = (text(|s| json(&s.segments)), text(|s| json(&s.protected)));
    let mut c = Columns(Vec::new());
    c.text("observation_id", rows.iter().map(|s| Some(s.observation_id.as_str())));
    c.text("client_id", rows.iter().map(|s| s.client_id.as_deref()));
    c.text("unit", rows.iter().map(|s| Some(s.unit_or_request())));
    c.text("version", versions.iter().map(|v| Some(v.as_str())));
    c.text("digest", rows.iter().map(|s| Some(s.digest.as_str())));
    c.text("role", rows.iter().map(|s| Some(s.role.as_str())));
    c.text("promotion", rows.iter().map(|s| s.route.promotion.as_ref().map(|p| p.as_str())));
    c.count("epoch", rows.iter().map(|s| Some(s.route.epoch)));
    c.number("weight_percent", rows.iter().map(|s| Some(f64::from(s.route.weight.bps()) / 100.0)));
    c.time("at", rows.iter().map(|s| s.at));
    c.time("queued_at", queued.iter().map(|q| q.queued_at));
    c.text("inputs", inputs.iter().map(|s| Some(s.as_str())));
    c.text("label", rows.iter().map(|s| s.output.label.as_deref()));
    c.text("output", outputs.iter().map(|s| Some(s.as_str())));
    c.count("latency_us", rows.iter().map(|s| Some(s.latency_us)));
    c.text("error", rows.iter().map(|s| s.error.as_ref().map(|e| e.kind.as_str())));
    c.text("error_message", rows.iter().map(|s| s.error.as_ref().map(|e| e.message.as_str())));
    c.text("segments", segments.iter().map(|s| Some(s.as_str())));
    c.text("protected", protected.iter().map(|s| Some(s.as_str())));
    c.write()
}

/// Labels as Parquet.
///
/// # Errors
/// When the table cannot be written.
pub fn write_labels(queued: &[Queued<Label>]) -> Result<Vec<u8>, TableError> {
    let rows: Vec<&Label> = queued.iter().map(|q| &q.entry).collect();
    let mut c = Columns(Vec::new());
    c.text("observation_id", rows.iter().map(|l| l.observation_id.as_deref()));
    c.text("client_id", rows.iter().map(|l| l.client_id.as_deref()));
    c.text("label", rows.iter().map(|l| l.label.as_deref()));
    c.number("value", rows.iter().map(|l| l.value));
    c.time("at", rows.iter().map(|l| l.at));
    c.time("queued_at", queued.iter().map(|q| q.queued_at));
    c.write()
}

/// Signals as Parquet.
///
/// # Errors
/// When the table cannot be written.
pub fn write_signals(queued: &[Queued<Signal>]) -> Result<Vec<u8>, TableError> {
    let rows: Vec<&Signal> = queued.iter().map(|q| &q.entry).collect();
    let mut c = Columns(Vec::new());
    c.text("observation_id", rows.iter().map(|s| s.observation_id.as_deref()));
    c.text("client_id", rows.iter().map(|s| s.client_id.as_deref()));
    c.text("name", rows.iter().map(|s| Some(s.name.as_str())));
    c.number("value", rows.iter().map(|s| Some(s.value)));
    c.time("at", rows.iter().map(|s| s.at));
    c.time("queued_at", queued.iter().map(|q| q.queued_at));
    c.write()
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pair(n: u32) -> Pair {
        Pair {
            observation_id: format!("o{n}#0"),
            client_id: n.is_multiple_of(2).then(|| format!("c{n}")),
            unit: format!("u{n}"),
            at: Timestamp::from_second(1_700_000_000 + i64::from(n)).unwrap(),
            queued_at: Timestamp::from_second(1_700_000_001 + i64::from(n)).unwrap(),
            served_version: "v1".into(),
            served_label: Some("a".into()),
            served_score: Some(0.25),
            served_value: None,
            served_error: false,
            champion: Replayed {
                label: Some("a".into()),
                score: Some(0.25),
                scores: Some(vec![0.75, 0.25]),
                value: None,
                latency_us: 12,
                error: None,
            },
            challenger: Replayed { error: Some("crash".into()), ..Replayed::default() },
            faithful: (!n.is_multiple_of(3)).then_some(true),
            segments: BTreeMap::from([("sex".into(), "Female".into())]),
        }
    }

    #[test]
    fn pairs_come_back_as_they_went_and_order_does_not_matter() {
        // Few rows are not compressed, many are.
        for n in [COMPRESSED_ROWS as u32 - 1, COMPRESSED_ROWS as u32] {
            let mut pairs: Vec<_> = (0..n).map(pair).collect();
            let bytes = write_pairs(&pairs).unwrap();
            pairs.reverse();
            assert_eq!(write_pairs(&pairs).unwrap(), bytes);
            let mut back = read_pairs(Bytes::from(bytes)).unwrap();
            pairs.sort_by(|a, b| a.observation_id.cmp(&b.observation_id));
            back.sort_by(|a, b| a.observation_id.cmp(&b.observation_id));
            assert_eq!(back, pairs);
        }
    }

    #[test]
    fn a_file_cut_short_is_an_error() {
        let mut bytes = write_pairs(&[pair(1)]).unwrap();
        bytes.truncate(bytes.len() / 2);
        assert!(read_pairs(Bytes::from(bytes)).is_err());
    }

    #[test]
    fn a_challenger_that_fails_disagrees() {
        assert!(!pair(1).agrees());
        let mut same = pair(1);
        same.challenger = same.champion.clone();
        assert!(same.agrees());
        same.served_label = Some("b".into());
        assert!(!same.agrees(), "agreement is with what was really served");
    }
}
