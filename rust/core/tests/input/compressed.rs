//! gzip and zstd in front of text and JSON lines.

use std::io::Write;

use flate2::write::GzEncoder;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Compress = fn(&[u8]) -> Vec<u8>;

const BOTH: [(&str, Compress); 2] = [("a.txt.gz", gzip), ("a.txt.zst", zstd)];

proptest! {
    #[test]
    fn blocks_joined_are_the_whole(parts in prop::collection::vec(text(), 1..4), block_bytes in 1..64usize) {
        let folder = Folder::new();
        for (name, compress) in BOTH {
            // As `cat` joins compressed files: gzip members, zstd frames.
            let path = folder.write(name, parts.iter().flat_map(|part| compress(part.as_bytes())).collect::<Vec<u8>>());
            let pieces = read_path(&path, &options(Utf8Errors::Strict), block_bytes).unwrap();
            for (index, piece) in pieces.iter().enumerate() {
                prop_assert_eq!(piece.ends_file, index + 1 == pieces.len());
            }
            prop_assert_eq!(pieces.into_iter().flat_map(|piece| piece.documents).collect::<String>(), parts.concat());
        }
    }

    #[test]
    fn the_offset_of_an_invalid_byte_is_that_in_the_unpacked_text(bytes in bytes(), block_bytes in 1..64usize) {
        let folder = Folder::new();
        let whole = std::str::from_utf8(&bytes).map_err(|error| error.valid_up_to() as u64);
        for (name, compress) in BOTH {
            let path = folder.write(name, compress(&bytes));
            match read_path(&path, &options(Utf8Errors::Strict), block_bytes) {
                Ok(_) => prop_assert!(whole.is_ok()),
                Err(Error::InvalidUtf8 { offset, .. }) => prop_assert_eq!(Err(offset), whole),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}

#[test]
fn files_larger_than_a_block() {
    let folder = Folder::new();
    let text = "some words and then more of them\n".repeat(400_000);
    for (name, compress) in BOTH {
        let pieces =
            read_path(&folder.write(name, compress(text.as_bytes())), &InputOptions::default(), 4 << 20).unwrap();
        assert_eq!(pieces.len(), 4);
        assert!(pieces.iter().all(|piece| piece.documents[0].len() <= 4 << 20));
        assert!(pieces.iter().flat_map(|piece| &piece.documents).cloned().collect::<String>() == text);
    }
}

#[test]
fn empty_files_are_empty_text() {
    let folder = Folder::new();
    for (name, compress) in BOTH {
        assert_eq!(read_path(&folder.write(name, ""), &InputOptions::default(), 9).unwrap(), []);
        assert_eq!(read_path(&folder.write(name, compress(b"")), &InputOptions::default(), 9).unwrap(), []);
    }
}

#[test]
fn truncated_files_are_errors() {
    let folder = Folder::new();
    for (name, compress) in BOTH {
        let first = compress(b"one and two");
        let whole = [first.clone(), compress(b" and three")].concat();
        let kind = if name.ends_with("gz") { "gzip" } else { "zstd" };
        for length in 5..whole.len() {
            let path = folder.write(name, &whole[..length]);
            if length == first.len() {
                assert_eq!(documents(&path, &InputOptions::default(), 99), ["one and two"]);
                continue;
            }
            assert_eq!(
                message(&path, &InputOptions::default()),
                format!(": the {kind} data ends in the middle; the file is truncated, fetch it again"),
                "{length}"
            );
        }
    }
}

#[test]
fn broken_files_are_errors() {
    let folder = Folder::new();
    for (name, compress) in BOTH {
        let mut broken = compress("some text that is long enough to be compressed ".repeat(9).as_bytes());
        let length = broken.len();
        // In the checksum, which stands at the end (in gzip before the length).
        broken[length - if name.ends_with("gz") { 6 } else { 2 }] ^= 1;
        let message = message(&folder.write(name, &broken), &InputOptions::default());
        let kind = if name.ends_with("gz") { "gzip" } else { "zstd" };
        assert!(message.starts_with(&format!(": broken {kind} data (")), "{message}");
        assert!(message.ends_with("); fetch the file again"), "{message}");
    }
}

#[test]
fn a_zstd_window_larger_than_the_usual_limit_is_read() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(b"one two").unwrap();
    let folder = Folder::new();
    let path = folder.write("a.txt.zst", encoder.finish().unwrap());
    assert_eq!(documents(&path, &InputOptions::default(), 99), ["one two"]);
}
