//! One string column of a Parquet file, read in batches of rows.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Type as PhysicalType;
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

use super::InputOptions;
use super::block::JoinedRows;
use super::source::{Checked, fault};
use super::utf8;
use crate::columnar::{broken, guard};
use crate::control::Control;
use crate::error::{Error, Result};

/// Rows of the first batch; later ones go by the length of the rows seen.
const FIRST_BATCH: usize = 16;
/// Rows of any batch, at most.
const LARGEST_BATCH: usize = 8192;
/// Column names listed in an error, at most.
const LISTED: usize = 20;

/// An open file and how far it was read.
pub(super) struct ParquetColumn<'a> {
    path: Arc<Path>,
    control: &'a Control,
    reader: SerializedFileReader<File>,
    /// Index among the leaf columns.
    column: usize,
    /// The column is null (or inside a struct that is) where a row's definition level is lower.
    full_level: i16,
    next_group: usize,
    chunk: Option<ColumnReaderImpl<ByteArrayType>>,
    /// Rows handed out, and of how many.
    row: u64,
    rows: u64,
    /// Size of the file, and how much of it was reported as read.
    size: u64,
    reported: u64,
    /// Mean memory of a value in the batch before; 0 at the start.
    mean: usize,
}

/// Consecutive rows. The values share the buffers of the pages they came in.
pub(super) struct Rows {
    values: Vec<ByteArray>,
    /// One a row, empty where the column cannot be null.
    levels: Vec<i16>,
    full_level: i16,
    /// Number of the first row, from 0.
    first: u64,
}

impl<'a> ParquetColumn<'a> {
    /// Opens the file and finds the column.
    pub(super) fn open(source: &Checked, column: &str, control: &'a Control) -> Result<ParquetColumn<'a>> {
        guard(&source.name, || Self::open_unguarded(source, column, control))
    }

    fn open_unguarded(source: &Checked, column: &str, control: &'a Control) -> Result<ParquetColumn<'a>> {
        let path = &source.name;
        let file = File::open(&source.path).map_err(Error::io(&**path))?;
        let size = file.metadata().map_err(Error::io(&**path))?.len();
        let reader = SerializedFileReader::new(file).map_err(broken(path))?;
        let metadata = reader.metadata().file_metadata();
        let schema = metadata.schema_descr();
        let index = find(schema, column).map_err(|message| fault(path, message))?;
        let full_level = schema.column(index).max_def_level();
        let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
        Ok(ParquetColumn {
            path: path.clone(),
            control,
            reader,
            column: index,
            full_level,
            next_group: 0,
            chunk: None,
            row: 0,
            rows,
            size,
            reported: 0,
            mean: 0,
        })
    }

    /// The next rows: about `size` bytes of values, all from one row group. Not to be called again after an error.
    pub(super) fn next_rows(&mut self, size: usize) -> Result<Option<Rows>> {
        let path = self.path.clone();
        guard(&path, || self.next_rows_unguarded(size))
    }

    fn next_rows_unguarded(&mut self, size: usize) -> Result<Option<Rows>> {
        let mut rows = Rows { values: Vec::new(), levels: Vec::new(), full_level: self.full_level, first: self.row };
        let mut bytes = 0;
        while bytes < size {
            self.control.check()?;
            let Some(chunk) = &mut self.chunk else {
                if rows.values.is_empty() && self.open_next_group()? {
                    continue;
                }
                break;
            };
            let fitting = (size - bytes).checked_div(self.mean);
            let wanted = fitting.map_or(FIRST_BATCH, |rows| rows.clamp(1, LARGEST_BATCH));
            let before = rows.values.len();
            let (read, _, _) = chunk
                .read_records(wanted, Some(&mut rows.levels), None, &mut rows.values)
                .map_err(broken(&self.path))?;
            if read == 0 {
                self.chunk = None;
                continue;
            }
            self.row += read as u64;
            let values = &rows.values[before..];
            if !values.is_empty() {
                // The handles count too: there may be millions of empty strings.
                let length = values.iter().map(|value| value.len() + size_of::<ByteArray>()).sum::<usize>();
                bytes += length;
                self.mean = length / values.len();
            } else if before == 0 {
                // Nothing but nulls so far: nothing to keep.
                rows.levels.clear();
                rows.first = self.row;
            }
        }
        self.report();
        Ok((!rows.values.is_empty()).then_some(rows))
    }

    fn open_next_group(&mut self) -> Result<bool> {
        if self.next_group == self.reader.num_row_groups() {
            return if self.row == self.rows {
                Ok(false)
            } else {
                let message = format!("{} rows where its index says {}", self.row, self.rows);
                Err(broken(&self.path)(ParquetError::General(message)))
            };
        }
        let group = self.reader.get_row_group(self.next_group).map_err(broken(&self.path))?;
        let chunk = group.get_column_reader(self.column).map_err(broken(&self.path))?;
        self.chunk = Some(get_typed_column_reader(chunk));
        self.next_group += 1;
        Ok(true)
    }

    /// Progress is in bytes of the file: as large a part of them as of its rows.
    fn report(&mut self) {
        let done = match self.rows {
            0 => self.size,
            // Within u64, since the quotient is at most `size`.
            rows => (u128::from(self.size) * u128::from(self.row.min(rows)) / u128::from(rows)) as u64,
        };
        self.control.add_bytes(done - self.reported);
        self.reported = done;
    }
}

impl Rows {
    pub(super) fn decode(self, path: &Path, options: &InputOptions) -> Result<JoinedRows> {
        let mut rows = JoinedRows::default();
        rows.ends.reserve(self.values.len());
        for (index, value) in self.values.iter().enumerate() {
            let text = utf8::decode(value.data(), options.errors).map_err(|at| Error::InvalidUtf8 {
                origin: format!("{}, column {:?}, row {}", path.display(), options.column, self.row(index)),
                offset: at as u64,
                byte: value.data()[at],
            })?;
            rows.text.push_str(&text);
            rows.ends.push(rows.text.len());
        }
        Ok(rows)
    }

    /// Number of the row of the value with that index, from 1; nulls have rows but no values.
    fn row(&self, index: usize) -> u64 {
        let full = self.levels.iter().enumerate().filter(|&(_, &level)| level == self.full_level);
        let place = full.map(|(place, _)| place).nth(index).unwrap_or(index);
        self.first + place as u64 + 1
    }
}

/// The index of a leaf column of strings or bytes; the error is the message for a person.
fn find(schema: &SchemaDescriptor, column: &str) -> std::result::Result<usize, String> {
    let names: Vec<String> = schema.columns().iter().map(|leaf| leaf.path().string()).collect();
    let Some(index) = names.iter().position(|name| name == column) else {
        let inside: Vec<usize> = (0..names.len())
            .filter(|&index| names[index].strip_prefix(column).is_some_and(|rest| rest.starts_with('.')))
            .collect();
        return Err(if inside.iter().any(|&index| schema.column(index).max_rep_level() > 0) {
            list(column)
        } else if inside.is_empty() {
            format!("there is no column {column:?}, only {}; say which holds the text with column=", quoted(&names))
        } else {
            let inside: Vec<String> = inside.into_iter().map(|index| names[index].clone()).collect();
            format!("column {column:?} is a struct; give one of its fields: {}", quoted(&inside))
        });
    };
    let leaf = schema.column(index);
    if leaf.max_rep_level() > 0 {
        return Err(list(column));
    }
    if leaf.physical_type() != PhysicalType::BYTE_ARRAY {
        return Err(format!("column {column:?} holds {}, not text", leaf.physical_type()));
    }
    Ok(index)
}

fn list(column: &str) -> String {
    format!("column {column:?} is a list; only a column with one text a row can be read")
}

fn quoted(names: &[String]) -> String {
    let mut quoted: Vec<String> = names.iter().take(LISTED).map(|name| format!("{name:?}")).collect();
    if names.len() > LISTED {
        quoted.push(format!("{} more", names.len() - LISTED));
    }
    quoted.join(", ")
}
