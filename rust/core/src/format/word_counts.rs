//! Word counts as a Parquet file that any tool reads: columns `word` (bytes) and `count` (unsigned, 64 bits); the rules
//! they were made under stand in the file's key-value metadata.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};

use crate::atomic::AtomicFile;
use crate::columnar::{broken, guard};
use crate::error::{Error, Result};

const PATTERN: &str = "bloomery.pattern";
const SPECIAL_TOKENS: &str = "bloomery.special_tokens";
const WORD: &str = "word";
const COUNT: &str = "count";
/// Words of a row group, which bounds what writing and reading hold besides the words themselves: some 10 MB.
const GROUP: usize = 1 << 18;
/// Bytes of the words of a row group, from which on it ends.
const GROUP_BYTES: usize = 8 << 20;

/// Words and counts, the regex of the pattern and the special tokens.
pub type Contents = (Vec<(Vec<u8>, u64)>, String, Vec<String>);

/// Writes word counts atomically.
pub struct Writer {
    path: PathBuf,
    writer: SerializedFileWriter<AtomicFile>,
    /// The words of the row group to come, end to end, where they end, and their counts.
    joined: Vec<u8>,
    ends: Vec<usize>,
    counts: Vec<i64>,
}

impl Writer {
    /// Starts a file that will be called `path`.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; the old file stays, whatever fails later.
    pub fn create(path: &Path, pattern: &str, special_tokens: &[String]) -> Result<Writer> {
        let file = AtomicFile::create(path)?;
        let writer = start(file, pattern, special_tokens).map_err(|error| unwritten(path, error))?;
        Ok(Writer { path: path.to_owned(), writer, joined: Vec::new(), ends: Vec::new(), counts: Vec::new() })
    }

    /// Adds a word.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn push(&mut self, word: &[u8], count: u64) -> Result<()> {
        self.joined.extend_from_slice(word);
        self.ends.push(self.joined.len());
        // Parquet stores unsigned integers in the signed type of the same width.
        self.counts.push(count.cast_signed());
        if self.counts.len() == GROUP || self.joined.len() >= GROUP_BYTES { self.end_group() } else { Ok(()) }
    }

    /// Puts the file under its name.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn finish(mut self) -> Result<()> {
        if !self.counts.is_empty() {
            self.end_group()?;
        }
        let file = self.writer.into_inner().map_err(|error| unwritten(&self.path, error))?;
        file.commit()
    }

    fn end_group(&mut self) -> Result<()> {
        self.write_group().map_err(|error| unwritten(&self.path, error))?;
        self.ends.clear();
        self.counts.clear();
        Ok(())
    }

    fn write_group(&mut self) -> parquet::errors::Result<()> {
        let mut group = self.writer.next_row_group()?;
        // One allocation for all words of the group; each value is a slice of it.
        let joined = ByteArray::from(std::mem::take(&mut self.joined));
        let mut start = 0;
        let names = self.ends.iter().map(|&end| {
            let name = joined.slice(start, end - start);
            start = end;
            name
        });
        let names: Vec<ByteArray> = names.collect();
        write_column::<ByteArrayType>(&mut group, &names)?;
        write_column::<Int64Type>(&mut group, &self.counts)?;
        group.close()?;
        Ok(())
    }
}

fn start(
    file: AtomicFile,
    pattern: &str,
    special_tokens: &[String],
) -> parquet::errors::Result<SerializedFileWriter<AtomicFile>> {
    let specials = serde_json::to_string(special_tokens).map_err(|error| ParquetError::General(error.to_string()))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        // Every word comes once.
        .set_column_dictionary_enabled(ColumnPath::from(WORD), false)
        .set_key_value_metadata(Some(vec![
            KeyValue::new(PATTERN.to_owned(), pattern.to_owned()),
            KeyValue::new(SPECIAL_TOKENS.to_owned(), specials),
        ]))
        .build();
    SerializedFileWriter::new(file, Arc::new(schema()?), Arc::new(properties))
}

/// The error for a file that could not be written.
fn unwritten(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast() {
            Ok(source) => Error::io(path)(*source),
            Err(source) => fault(path, source.to_string()),
        },
        other => fault(path, other.to_string()),
    }
}

/// Reads what [`Writer`] wrote.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Input`] when it is no Parquet file or not one of word counts.
pub fn read(path: &Path) -> Result<Contents> {
    guard(path, || read_unguarded(path))
}

fn read_unguarded(path: &Path) -> Result<Contents> {
    let file = File::open(path).map_err(Error::io(path))?;
    let reader = SerializedFileReader::new(file).map_err(broken(path))?;
    let (pattern, special_tokens) = rules(&reader).map_err(|message| fault(path, message))?;
    let (word, count) = columns(&reader).map_err(|message| fault(path, message))?;
    let mut words = Vec::new();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(broken(path))?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let names = column::<ByteArrayType>(&*group, word, rows).map_err(broken(path))?;
        let counts = column::<Int64Type>(&*group, count, rows).map_err(broken(path))?;
        if names.len() != rows || counts.len() != rows {
            let message = format!(
                "row group {index} holds {} words and {} counts in {rows} rows; the file is broken or has nulls",
                names.len(),
                counts.len()
            );
            return Err(fault(path, message));
        }
        words.reserve(rows);
        // Parquet stores unsigned integers in the signed type of the same width.
        words.extend(names.iter().zip(counts).map(|(name, count)| (name.data().to_vec(), count.cast_unsigned())));
    }
    Ok((words, pattern, special_tokens))
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, AtomicFile>,
    values: &[T::T],
) -> parquet::errors::Result<()> {
    let mut column = group.next_column()?.ok_or(ParquetError::General("the schema has no such column".to_owned()))?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

fn schema() -> parquet::errors::Result<Type> {
    let word =
        Type::primitive_type_builder(WORD, PhysicalType::BYTE_ARRAY).with_repetition(Repetition::REQUIRED).build()?;
    let count = Type::primitive_type_builder(COUNT, PhysicalType::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::integer(64, false)))
        .build()?;
    Type::group_type_builder("word_counts").with_fields(vec![Arc::new(word), Arc::new(count)]).build()
}

/// The pattern and the special tokens from the metadata.
fn rules(reader: &SerializedFileReader<File>) -> std::result::Result<(String, Vec<String>), String> {
    let entries = reader.metadata().file_metadata().key_value_metadata();
    let find = |key: &str| {
        let entry = entries.into_iter().flatten().find(|entry| entry.key == key);
        entry
            .and_then(|entry| entry.value.as_deref())
            .ok_or(format!("these are no word counts saved by bloomery: {key:?} is missing in the file's metadata"))
    };
    let specials = find(SPECIAL_TOKENS)?;
    let specials = serde_json::from_str(specials).map_err(|error| {
        format!("{SPECIAL_TOKENS:?} in the file's metadata is not a JSON list of strings ({error})")
    })?;
    Ok((find(PATTERN)?.to_owned(), specials))
}

/// The indices of the two columns.
fn columns(reader: &SerializedFileReader<File>) -> std::result::Result<(usize, usize), String> {
    let schema = reader.metadata().file_metadata().schema_descr();
    let find = |name: &str, physical: PhysicalType| {
        let index = schema.columns().iter().position(|column| column.path().string() == name);
        index
            .filter(|&index| {
                schema.column(index).physical_type() == physical && schema.column(index).max_rep_level() == 0
            })
            .ok_or(format!("word counts need a column {name:?} of type {physical}"))
    };
    Ok((find(WORD, PhysicalType::BYTE_ARRAY)?, find(COUNT, PhysicalType::INT64)?))
}

/// A whole column of a row group, without nulls (other tools may have rewritten the columns as nullable).
fn column<T: DataType>(group: &dyn RowGroupReader, index: usize, rows: usize) -> parquet::errors::Result<Vec<T::T>> {
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(index)?);
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    Ok(values)
}

fn fault(path: &Path, message: String) -> Error {
    Error::Input { origin: path.display().to_string(), message }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn write(path: &Path, words: &[(&[u8], u64)], pattern: &str, special_tokens: &[String]) -> Result<()> {
        let mut writer = Writer::create(path, pattern, special_tokens)?;
        words.iter().try_for_each(|(word, count)| writer.push(word, *count))?;
        writer.finish()
    }

    fn round_trip(words: &[(Vec<u8>, u64)], pattern: &str, special_tokens: &[String]) -> Contents {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.parquet");
        let borrowed: Vec<(&[u8], u64)> = words.iter().map(|(word, count)| (word.as_slice(), *count)).collect();
        write(&path, &borrowed, pattern, special_tokens).unwrap();
        read(&path).unwrap()
    }

    #[test]
    fn many_row_groups() {
        let words: Vec<_> = (0..GROUP as u64 * 2 + 5).map(|n| (n.to_string().into_bytes(), n)).collect();
        assert_eq!(round_trip(&words, "gpt2", &[]).0, words);
    }

    #[test]
    fn counts_of_more_than_63_bits_and_words_that_are_not_utf8() {
        let words = vec![(b"\xff\xfe".to_vec(), u64::MAX), (vec![], 1 << 63), (b"a\0b".to_vec(), 0)];
        assert_eq!(round_trip(&words, "gpt2", &[]).0, words);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_written_is_read(
            words in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), any::<u64>()), 0..50),
            pattern in any::<String>(),
            special_tokens in prop::collection::vec(any::<String>(), 0..4),
        ) {
            prop_assert_eq!(round_trip(&words, &pattern, &special_tokens), (words, pattern, special_tokens));
        }
    }

    #[test]
    fn the_count_is_unsigned_and_the_word_is_bytes_to_other_tools() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.parquet");
        write(&path, &[(b"a", 1)], "gpt2", &[]).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let schema = reader.metadata().file_metadata().schema_descr();
        assert_eq!(schema.column(0).logical_type_ref(), None);
        assert_eq!(schema.column(1).logical_type_ref(), Some(&LogicalType::integer(64, false)));
    }

    /// Writes a file with one column of that name.
    fn write_column_named(path: &Path, name: &str, metadata: Vec<KeyValue>) {
        let field = Type::primitive_type_builder(name, PhysicalType::BYTE_ARRAY).build().unwrap();
        let schema = Type::group_type_builder("schema").with_fields(vec![Arc::new(field)]).build().unwrap();
        let properties = WriterProperties::builder().set_key_value_metadata(Some(metadata)).build();
        let file = File::create(path).unwrap();
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).unwrap().close().unwrap();
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.parquet");
        let message = |path: &Path| {
            let message = read(path).unwrap_err().to_string();
            message.strip_prefix(&path.display().to_string()).unwrap().to_owned()
        };
        assert_eq!(message(&path), ": No such file or directory (os error 2)");
        fs::write(&path, "no parquet").unwrap();
        assert!(message(&path).starts_with(": broken Parquet file ("), "{}", message(&path));
        write_column_named(&path, "word", vec![]);
        assert_eq!(
            message(&path),
            ": these are no word counts saved by bloomery: \"bloomery.special_tokens\" is missing in the file's metadata"
        );
        let rules = |specials: &str| {
            let entry = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
            vec![entry(PATTERN, "gpt2"), entry(SPECIAL_TOKENS, specials)]
        };
        write_column_named(&path, "word", rules("[]"));
        assert_eq!(message(&path), ": word counts need a column \"count\" of type INT64");
        write_column_named(&path, "words", rules("[]"));
        assert_eq!(message(&path), ": word counts need a column \"word\" of type BYTE_ARRAY");
        write_column_named(&path, "word", rules("{}"));
        assert!(
            message(&path)
                .starts_with(": \"bloomery.special_tokens\" in the file's metadata is not a JSON list of strings (")
        );
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.parquet");
        write(&path, &[(b"a", 1), (b"b", 2)], "gpt2", &[]).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{}: broken Parquet file (", path.display())), "{message}");
        }
    }
}
