//! The batches of a Parquet file with only the columns that are asked for, text that repeats as dictionaries.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use crate::table::{TableError, failed};

/// Rows a batch.
const BATCH: usize = 8_192;

/// An opened file.
pub(crate) struct Opened {
    pub(crate) batches: ParquetRecordBatchReader,
    metadata: ArrowReaderMetadata,
}

impl Opened {
    /// A note the writer left in the file.
    pub(crate) fn note(&self, key: &str) -> Option<&str> {
        let notes = self.metadata.metadata().file_metadata().key_value_metadata()?;
        notes.iter().find(|note| note.key == key)?.value.as_deref()
    }
}

/// Opens a file for these columns, those of `repeating` as dictionaries. A column that is not there is passed over: asking a
/// batch for it says so.
pub(crate) fn open(file: Bytes, plain: &[&str], repeating: &[&str]) -> Result<Opened, TableError> {
    let found = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(failed("read"))?;
    let text = |field: &Field| {
        let is_text = matches!(field.data_type(), DataType::Utf8)
            || matches!(field.data_type(), DataType::Dictionary(_, v) if **v == DataType::Utf8);
        is_text && repeating.contains(&field.name().as_str())
    };
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields: Vec<Field> =
        found
            .schema()
            .fields()
            .iter()
            .map(|f| {
                if text(f) {
                    f.as_ref().clone().with_data_type(dictionary.clone())
                } else {
                    f.as_ref().clone()
                }
            })
            .collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, found.schema().metadata().clone()));
    let metadata = ArrowReaderMetadata::try_new(
        Arc::clone(found.metadata()),
        ArrowReaderOptions::new().with_schema(schema),
    )
    .map_err(failed("read"))?;
    let wanted = plain.iter().chain(repeating).copied();
    let mask = ProjectionMask::columns(metadata.parquet_schema(), wanted);
    let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()
        .map_err(failed("read"))?;
    Ok(Opened { batches, metadata })
}

/// How many rows a Parquet file held in memory has, by its footer.
///
/// # Errors
/// When it has no footer: it is cut short or no Parquet file.
pub fn rows(file: &Bytes) -> Result<u64, TableError> {
    let found = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).map_err(failed("read"))?;
    Ok(u64::try_from(found.metadata().file_metadata().num_rows()).unwrap_or(0))
}

/// The columns of a batch by name.
pub(crate) struct Columns<'a>(pub(crate) &'a RecordBatch);

impl<'a> Columns<'a> {
    fn get<A: Array + 'static>(&self, column: &str, expected: &'static str) -> Result<&'a A, TableError> {
        self.0
            .column_by_name(column)
            .and_then(|c| c.as_any().downcast_ref::<A>())
            .ok_or_else(|| TableError::Column { column: column.to_owned(), expected })
    }
    pub(crate) fn text(&self, column: &str) -> Result<&'a StringArray, TableError> {
        self.get(column, "text")
    }
    pub(crate) fn number(&self, column: &str) -> Result<&'a Float64Array, TableError> {
        self.get(column, "a 64-bit float")
    }
    pub(crate) fn count(&self, column: &str) -> Result<&'a UInt64Array, TableError> {
        self.get(column, "a count")
    }
    pub(crate) fn flag(&self, column: &str) -> Result<&'a BooleanArray, TableError> {
        self.get(column, "a flag")
    }
    pub(crate) fn time(&self, column: &str) -> Result<&'a TimestampMicrosecondArray, TableError> {
        self.get(column, "a time")
    }
    pub(crate) fn list(&self, column: &str) -> Result<&'a ListArray, TableError> {
        self.get(column, "a list of floats")
    }
    /// A column of repeating text, each distinct text named once by `name`.
    pub(crate) fn names(
        &self,
        column: &str,
        mut name: impl FnMut(&str) -> Result<u32, TableError>,
    ) -> Result<Named<'a>, TableError> {
        let array: &DictionaryArray<Int32Type> = self.get(column, "text")?;
        let values: &ArrayRef = array.values();
        let texts = values
            .as_any()
            .downcast_ref::<StringArray>()
            .ok_or_else(|| TableError::Column { column: column.to_owned(), expected: "text" })?;
        let codes = (0..texts.len())
            .map(|i| if texts.is_valid(i) { name(texts.value(i)) } else { Ok(0) })
            .collect::<Result<_, _>>()?;
        Ok(Named { keys: array.keys(), codes, nullable: array.null_count() > 0 })
    }
}

/// A column of texts as codes.
pub(crate) struct Named<'a> {
    keys: &'a Int32Array,
    codes: Vec<u32>,
    nullable: bool,
}

impl Named<'_> {
    /// The code of a row's text; none where there is none.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<u32> {
        if self.nullable && self.keys.is_null(row) {
            return None;
        }
        self.codes.get(self.keys.value(row) as usize).copied()
    }
}
