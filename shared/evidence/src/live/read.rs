//! Reading the serving log, signals and labels: only the columns that are needed.

use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, TimestampMicrosecondType, UInt64Type};
use bytes::Bytes;
use jiff::Timestamp;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use seatrial_domain::route::{Arm, Weight};

use serde_json::{Map, Value};

use super::{Key, Said, ServedRow, Side, What};
use crate::table::TableError;

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(e: E) -> TableError {
    TableError::Format { doing: "read", source: e.into() }
}

/// The batches of a file with these columns alone.
fn project(file: Bytes, columns: &[&str]) -> Result<Vec<RecordBatch>, TableError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    builder
        .with_projection(mask)
        .with_batch_size(8_192)
        .build()
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, TableError> {
    batch
        .column_by_name(name)
        .map(AsRef::as_ref)
        .ok_or_else(|| TableError::Column { column: name.to_owned(), expected: "there" })
}

fn wrong(name: &str, expected: &'static str) -> TableError {
    TableError::Column { column: name.to_owned(), expected }
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, TableError> {
    column(batch, name)?.as_string_opt::<i32>().ok_or_else(|| wrong(name, "text"))
}

fn key(array: &StringArray, row: usize) -> Option<Key> {
    array.is_valid(row).then(|| Key::of(array.value(row)))
}

fn column_times<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow::array::PrimitiveArray<TimestampMicrosecondType>, TableError> {
    column(batch, name)?.as_primitive_opt().ok_or_else(|| wrong(name, "a time"))
}

/// The rows of a file of the serving log that champion or challenger served.
///
/// # Errors
/// When the file is cut short or not a table of the serving log.
pub fn read_served(file: Bytes) -> Result<Vec<ServedRow>, TableError> {
    let columns =
        ["observation_id", "client_id", "unit", "role", "epoch", "weight_percent", "queued_at", "label"];
    let mut rows = Vec::new();
    for batch in project(file, &columns)? {
        let (id, client) = (text(&batch, "observation_id")?, text(&batch, "client_id")?);
        let (unit, role, label) = (text(&batch, "unit")?, text(&batch, "role")?, text(&batch, "label")?);
        let epoch = column(&batch, "epoch")?.as_primitive_opt::<UInt64Type>();
        let epoch = epoch.ok_or_else(|| wrong("epoch", "a count"))?;
        let weight = column(&batch, "weight_percent")?.as_primitive_opt::<Float64Type>();
        let weight = weight.ok_or_else(|| wrong("weight_percent", "a 64-bit float"))?;
        let queued = column_times(&batch, "queued_at")?;
        for row in 0..batch.num_rows() {
            let side = match role.value(row) {
                r if r == Arm::Champion.as_str() => Side::Champion,
                r if r == Arm::Challenger.as_str() => Side::Canary,
                _ => continue,
            };
            let Ok(weight) = Weight::from_percent(weight.value(row)) else { continue };
            rows.push(ServedRow {
                observation: Key::of(id.value(row)),
                client: key(client, row),
                unit: Key::of(unit.value(row)),
                side,
                epoch: epoch.value(row),
                weight,
                queued_at: queued.value(row).div_euclid(1_000_000),
                label: label.is_valid(row).then(|| label.value(row).into()),
            });
        }
    }
    Ok(rows)
}

/// Hands over the inputs of each row of a file of the serving log that champion or challenger served under `epoch` and that
/// the queue took within `times`.
///
/// # Errors
/// When the file is cut short or not a table of the serving log.
pub fn read_inputs(
    file: Bytes,
    epoch: u64,
    times: Range<Timestamp>,
    mut take: impl FnMut(&Map<String, Value>),
) -> Result<(), TableError> {
    let times = times.start.as_microsecond()..times.end.as_microsecond();
    for batch in project(file, &["role", "epoch", "queued_at", "inputs"])? {
        let (role, inputs) = (text(&batch, "role")?, text(&batch, "inputs")?);
        let epochs = column(&batch, "epoch")?.as_primitive_opt::<UInt64Type>();
        let epochs = epochs.ok_or_else(|| wrong("epoch", "a count"))?;
        let queued = column_times(&batch, "queued_at")?;
        for row in 0..batch.num_rows() {
            let pinned = ![Arm::Champion.as_str(), Arm::Challenger.as_str()].contains(&role.value(row));
            if pinned || epochs.value(row) != epoch || !times.contains(&queued.value(row)) {
                continue;
            }
            take(&serde_json::from_str(inputs.value(row)).map_err(failed)?);
        }
    }
    Ok(())
}

/// The signals of a file.
///
/// # Errors
/// When the file is cut short or not a table of signals.
pub fn read_signals(file: Bytes) -> Result<Vec<Said>, TableError> {
    read_said(file, &["name", "value"], |batch| {
        let names = text(batch, "name")?;
        let values = column(batch, "value")?.as_primitive_opt::<Float64Type>();
        let values = values.ok_or_else(|| wrong("value", "a 64-bit float"))?;
        Ok((0..batch.num_rows())
            .map(|row| Some(What::Signal(names.value(row).into(), values.value(row))))
            .collect())
    })
}

/// The labels of a file that name a class.
///
/// # Errors
/// When the file is cut short or not a table of labels.
pub fn read_labels(file: Bytes) -> Result<Vec<Said>, TableError> {
    read_said(file, &["label"], |batch| {
        let labels = text(batch, "label")?;
        Ok((0..batch.num_rows())
            .map(|row| labels.is_valid(row).then(|| What::Label(labels.value(row).into())))
            .collect())
    })
}

fn read_said(
    file: Bytes,
    own: &[&str],
    what: impl Fn(&RecordBatch) -> Result<Vec<Option<What>>, TableError>,
) -> Result<Vec<Said>, TableError> {
    let mut said = Vec::new();
    let columns = [&["observation_id", "client_id", "at", "queued_at"], own].concat();
    for batch in project(file, &columns)? {
        let (id, client) = (text(&batch, "observation_id")?, text(&batch, "client_id")?);
        let (at, queued) = (column_times(&batch, "at")?, column_times(&batch, "queued_at")?);
        for (row, what) in what(&batch)?.into_iter().enumerate() {
            let Some(what) = what else { continue };
            said.push(Said {
                observation: key(id, row),
                client: key(client, row),
                what,
                queued_at: queued.value(row).div_euclid(1_000_000),
                at: at.value(row),
            });
        }
    }
    Ok(said)
}
