//! Plain text.

use super::*;

proptest! {
    #[test]
    fn blocks_joined_are_the_whole(text in text(), block_bytes in 1..64usize) {
        let folder = Folder::new();
        let pieces = read_path(&folder.write("a.txt", &text), &options(Utf8Errors::Strict), block_bytes).unwrap();
        prop_assert_eq!(pieces.iter().flat_map(|piece| &piece.documents).cloned().collect::<String>(), &*text);
        for (index, piece) in pieces.iter().enumerate() {
            prop_assert_eq!(piece.kind, DocumentKind::Text);
            prop_assert_eq!(piece.documents.len(), 1);
            prop_assert_eq!(piece.ends_file, index + 1 == pieces.len());
        }
        // A piece is larger than asked for only where there is no cut.
        for piece in pieces {
            let piece = piece.documents[0].as_bytes();
            let small = &piece[..block_bytes.min(piece.len())];
            prop_assert!(piece.len() <= block_bytes || last_cut(small).is_none());
        }
    }

    #[test]
    fn repair_by_blocks_is_repair_of_the_whole(bytes in bytes(), block_bytes in 1..64usize) {
        let folder = Folder::new();
        let path = folder.write("a.txt", &bytes);
        let replaced = documents(&path, &options(Utf8Errors::Replace), block_bytes).concat();
        prop_assert_eq!(&replaced, &String::from_utf8_lossy(&bytes));
        let ignored = documents(&path, &options(Utf8Errors::Ignore), block_bytes).concat();
        let valid: String = bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
        prop_assert_eq!(ignored, valid);
        match (read_path(&path, &options(Utf8Errors::Strict), block_bytes), std::str::from_utf8(&bytes)) {
            (Ok(_), Ok(_)) => {}
            (Err(Error::InvalidUtf8 { offset, byte, .. }), Err(error)) => {
                prop_assert_eq!((offset, byte), (error.valid_up_to() as u64, bytes[error.valid_up_to()]));
            }
            (read, whole) => prop_assert!(false, "{read:?} {whole:?}"),
        }
    }
}

proptest! {
    #[test]
    fn parts_read_as_the_whole_does(bytes in bytes(), window in 1..64usize, block_bytes in 1..64usize) {
        let folder = Folder::new();
        let cut = last_cut(&bytes[..window.min(bytes.len())]).filter(|&cut| cut < bytes.len());
        let Some(cut) = cut else { return Ok(()) };
        let parts = parts(&folder, "whole.txt", &bytes, cut);
        let whole = folder.path("whole.txt");
        let ignore = options(Utf8Errors::Ignore);
        let pieces = read(&parts, &ignore, block_bytes).unwrap();
        let ends: Vec<bool> = pieces.iter().map(|piece| piece.ends_file).collect();
        prop_assert_eq!(ends.iter().position(|&end| end), Some(ends.len() - 1));
        let read_in_parts: String = pieces.into_iter().flat_map(|piece| piece.documents).collect();
        prop_assert_eq!(read_in_parts, documents(&whole, &ignore, block_bytes).concat());
        let strict = options(Utf8Errors::Strict);
        // Errors name the whole, and the offset in it.
        let message = |sources: &[Source]| read(sources, &strict, block_bytes).map(drop).map_err(|error| error.to_string());
        prop_assert_eq!(message(&parts), message(&[Source::Path(whole)]));
    }
}

#[test]
fn parts_of_what_is_compressed_or_has_columns_or_was_changed_are_refused() {
    let folder = Folder::new();
    let refused = |name: &str, range: std::ops::Range<u64>, size: u64| {
        let name = folder.write(name, "0123456789");
        let stretch = Stretch { name: name.clone(), file: name, held_from: 0, range, size };
        let message = read(&[Source::Stretch(stretch)], &options(Utf8Errors::Strict), 100).unwrap_err().to_string();
        message.strip_prefix(&folder.path("").display().to_string()).unwrap().to_owned()
    };
    let whole = "only text and JSON lines that are not compressed can be read in parts";
    assert_eq!(refused("a.parquet", 0..5, 10), format!("a.parquet: {whole}"));
    assert_eq!(refused("a.jsonl.zst", 0..5, 10), format!("a.jsonl.zst: {whole}"));
    assert_eq!(refused("a.txt.gz", 2..10, 10), format!("a.txt.gz: {whole}"));
    let changed = "a.txt: has 10 bytes where 11 were expected; it was changed while it was read";
    assert_eq!(refused("a.txt", 0..5, 11), changed);
}

#[test]
fn files_follow_one_another() {
    let folder = Folder::new();
    let files = [("a.txt", "one"), ("empty.txt", ""), ("b", "two two"), ("c.md", "three")];
    let sources = files.map(|(name, text)| Source::Path(folder.write(name, text)));
    let pieces = read(&sources, &options(Utf8Errors::Strict), 4).unwrap();
    let texts: Vec<_> = pieces.iter().map(|piece| (piece.documents[0].as_str(), piece.ends_file)).collect();
    assert_eq!(texts, [("one", true), ("two", false), (" two", true), ("three", true)]);
}

#[test]
fn a_byte_order_mark_is_text() {
    let folder = Folder::new();
    let path = folder.write("a.txt", "\u{feff}a");
    assert_eq!(documents(&path, &options(Utf8Errors::Strict), 100), ["\u{feff}a"]);
}

#[cfg(target_os = "linux")]
#[test]
fn files_that_are_made_as_they_are_read() {
    let control = Control::default();
    let options = options(Utf8Errors::Replace);
    let source = [Source::Path("/proc/self/status".into())];
    let mut reader = Reader::open(&source, &options, &last_cut, &control).unwrap();
    let documents = reader.next_block().unwrap().unwrap().decode(&options, &control).unwrap();
    assert!(documents.iter().next().unwrap().starts_with("Name:"));
    assert!(documents.ends_file());
}

#[test]
fn what_cannot_be_read_is_said_before_anything_is() {
    let folder = Folder::new();
    let good = Source::Path(folder.write("a.txt", "a"));
    let refused = |source: Source| {
        let control = Control::default();
        let sources = [good.clone(), source];
        let error = Reader::open(&sources, &options(Utf8Errors::Strict), &last_cut, &control).err().unwrap();
        error.to_string().replace(&folder.0.path().display().to_string(), "")
    };
    assert_eq!(refused(Source::Path(folder.path("b.txt"))), "/b.txt: No such file or directory (os error 2)");
    assert_eq!(
        refused(Source::Path(folder.path(""))),
        "/: is a folder; give the files in it, or a pattern such as folder/*.txt"
    );
    assert_eq!(
        refused(Source::Path(folder.write("c.txt.gz", "plain"))),
        "/c.txt.gz: is not gzip data, although its name says so; rename it, or compress it with gzip"
    );
    assert_eq!(
        refused(Source::Path(folder.write("c.txt.zst", "P*M"))),
        "/c.txt.zst: is not zstd data, although its name says so; rename it, or compress it with zstd"
    );
    let control = Control::default();
    let twice = [Source::Stdin, Source::Stdin];
    let error = Reader::open(&twice, &options(Utf8Errors::Strict), &last_cut, &control).err().unwrap();
    assert_eq!(error.to_string(), "standard input is given twice, but can be read only once");
}

#[test]
fn the_first_invalid_byte_is_named() {
    let folder = Folder::new();
    assert_eq!(
        message(&folder.write("a.txt", b"abc \xff"), &options(Utf8Errors::Strict)),
        ": invalid UTF-8 at byte 4 (0xff); pass errors=\"replace\" to put U+FFFD there, or errors=\"ignore\" to drop it"
    );
}
