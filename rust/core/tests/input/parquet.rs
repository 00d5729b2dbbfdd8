//! Parquet columns.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use super::*;

const SCHEMA: &str = "message schema {
    required int64 id;
    optional binary text (STRING);
    optional group meta { optional binary title (STRING); required binary raw; }
    optional group tags (LIST) { repeated group list { optional binary element (STRING); } }
}";

type Row = Option<Vec<u8>>;

/// Writes `rows` as `text` and as `meta.title`, in row groups of three.
fn write(path: &Path, rows: &[Row], compression: Compression) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    // Small pages, so that a batch spans some of them.
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_data_page_row_count_limit(2)
        .set_write_batch_size(1)
        .build();
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(3) {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&vec![7; rows.len()], None, None).unwrap();
        column.close().unwrap();
        let values: Vec<ByteArray> = rows.iter().flatten().map(|value| ByteArray::from(value.clone())).collect();
        let all: Vec<ByteArray> = rows.iter().map(|_| ByteArray::from("raw")).collect();
        let present =
            |full: i16| rows.iter().map(|row| if row.is_some() { full } else { full - 1 }).collect::<Vec<_>>();
        let zeros = vec![0; rows.len()];
        let columns =
            [(&values, present(1)), (&values, present(2)), (&all, vec![1; rows.len()]), (&all, vec![3; rows.len()])];
        for (values, levels) in columns {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(values, Some(&levels), Some(&zeros)).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn column(name: &str, errors: Utf8Errors) -> InputOptions {
    InputOptions { column: name.to_owned(), ..options(errors) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn each_row_that_is_not_null_is_a_document(
        rows in prop::collection::vec(prop::option::of(bytes()), 0..12),
        block_bytes in 1..300usize,
    ) {
        let folder = Folder::new();
        let path = folder.path("a.parquet");
        write(&path, &rows, Compression::SNAPPY);
        let present: Vec<&Vec<u8>> = rows.iter().flatten().collect();
        let replaced: Vec<_> = present.iter().map(|row| String::from_utf8_lossy(row)).collect();
        let ignored: Vec<String> =
            present.iter().map(|row| row.utf8_chunks().map(|chunk| chunk.valid()).collect()).collect();
        for name in ["text", "meta.title"] {
            let pieces = read_path(&path, &column(name, Utf8Errors::Replace), block_bytes).unwrap();
            for piece in &pieces {
                prop_assert_eq!((piece.kind, piece.ends_file), (DocumentKind::Rows, false));
            }
            let documents_: Vec<String> = pieces.into_iter().flat_map(|piece| piece.documents).collect();
            prop_assert_eq!(&documents_, &replaced);
            prop_assert_eq!(&documents(&path, &column(name, Utf8Errors::Ignore), block_bytes), &ignored);
        }
        let first = rows.iter().position(|row| row.as_ref().is_some_and(|row| std::str::from_utf8(row).is_err()));
        match (read_path(&path, &options(Utf8Errors::Strict), block_bytes), first) {
            (Ok(_), None) => {}
            (Err(Error::InvalidUtf8 { origin, .. }), Some(row)) => {
                prop_assert_eq!(origin, format!("{}, column \"text\", row {}", path.display(), row + 1));
            }
            (read, first) => prop_assert!(false, "{:?} {:?}", read, first),
        }
    }
}

#[test]
fn every_usual_compression() {
    let folder = Folder::new();
    let rows: Vec<Row> = (0..20).map(|n| Some(format!("row {n}").repeat(30).into_bytes())).collect();
    let expected: Vec<String> = rows.iter().flatten().map(|row| String::from_utf8(row.clone()).unwrap()).collect();
    let kinds = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(Default::default()),
    ];
    for kind in kinds {
        let path = folder.path("a.parquet");
        write(&path, &rows, kind);
        assert_eq!(documents(&path, &InputOptions::default(), 1 << 20), expected, "{kind}");
    }
}

#[test]
fn columns_that_cannot_be_read_are_refused() {
    let folder = Folder::new();
    let path = folder.path("a.parquet");
    write(&path, &[None], Compression::UNCOMPRESSED);
    let refused = |name: &str| message(&path, &column(name, Utf8Errors::Strict));
    assert_eq!(
        refused("body"),
        ": there is no column \"body\", only \"id\", \"text\", \"meta.title\", \"meta.raw\", \"tags.list.element\"; \
         say which holds the text with column="
    );
    assert_eq!(refused("id"), ": column \"id\" holds INT64, not text");
    assert_eq!(refused("meta"), ": column \"meta\" is a struct; give one of its fields: \"meta.title\", \"meta.raw\"");
    for name in ["tags", "tags.list.element"] {
        assert_eq!(
            refused(name),
            format!(": column {name:?} is a list; only a column with one text a row can be read")
        );
    }
}

#[test]
fn invalid_utf8_is_named_by_row_and_offset() {
    let folder = Folder::new();
    let path = folder.path("a.parquet");
    let rows = [Some(b"a".to_vec()), None, None, None, Some(b"bc\xff".to_vec())];
    write(&path, &rows, Compression::UNCOMPRESSED);
    assert_eq!(
        message(&path, &options(Utf8Errors::Strict)),
        ", column \"text\", row 5: invalid UTF-8 at byte 2 (0xff); pass errors=\"replace\" to put U+FFFD there, \
         or errors=\"ignore\" to drop it"
    );
}

#[test]
fn broken_files_are_errors_and_no_panics() {
    let folder = Folder::new();
    let path = folder.path("a.parquet");
    let rows: Vec<Row> = (0..7).map(|n| (n != 3).then(|| format!("row {n}").into_bytes())).collect();
    write(&path, &rows, Compression::SNAPPY);
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(7) {
        let message = message(&folder.write("a.parquet", &whole[..length]), &InputOptions::default());
        assert!(message.starts_with(": broken Parquet file ("), "{message}");
        assert!(message.ends_with("); it may be truncated, fetch it again"), "{message}");
    }
    // One bit wrong anywhere: an error, or other rows where nothing could show it, but no panic.
    let path = folder.write("a.parquet", &whole);
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    let mut put = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    for (at, &byte) in whole.iter().enumerate() {
        put(at, byte ^ 1 << (at % 8));
        let control = Control::default();
        let options = options(Utf8Errors::Replace);
        let sources = [Source::Path(path.clone())];
        if let Ok(mut reader) = Reader::open(&sources, &options, &last_cut, &control) {
            while let Ok(Some(block)) = reader.next_block() {
                block.decode(&options, &control).unwrap();
            }
        }
        put(at, byte);
    }
    assert_eq!(documents(&path, &InputOptions::default(), 99).len(), 6);
}
