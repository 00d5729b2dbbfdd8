//! The contract of the input module: what is read, in what pieces, and what is said about what cannot be read.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod compressed;
mod jsonl;
mod parquet;
mod text;
mod waiting;

use std::fs;
use std::path::{Path, PathBuf};

use bloomery_core::error::Line;
use bloomery_core::input::{DocumentKind, InputOptions, Reader, Source, Stretch, Utf8Errors};
use bloomery_core::{Control, Error};
use proptest::prelude::*;
use tempfile::TempDir;

/// Documents of a block.
#[derive(Debug, PartialEq)]
struct Piece {
    documents: Vec<String>,
    kind: DocumentKind,
    ends_file: bool,
}

/// Before the last space or after the last newline.
fn last_cut(window: &[u8]) -> Option<usize> {
    (1..=window.len()).rev().find(|&at| window[at - 1] == b'\n' || window.get(at) == Some(&b' '))
}

fn options(errors: Utf8Errors) -> InputOptions {
    InputOptions { errors, ..InputOptions::default() }
}

fn read(sources: &[Source], options: &InputOptions, block_bytes: usize) -> Result<Vec<Piece>, Error> {
    let control = Control::default();
    let mut reader = Reader::open(sources, options, &last_cut, &control)?.with_block_bytes(block_bytes);
    let mut pieces = Vec::new();
    while let Some(block) = reader.next_block()? {
        let documents = block.decode(options, &control)?;
        pieces.push(Piece {
            documents: documents.iter().map(str::to_owned).collect(),
            kind: documents.kind(),
            ends_file: documents.ends_file(),
        });
    }
    let progress = control.progress();
    assert_eq!(progress.bytes_done, progress.bytes_total, "all bytes are accounted for");
    Ok(pieces)
}

fn read_path(path: &Path, options: &InputOptions, block_bytes: usize) -> Result<Vec<Piece>, Error> {
    read(&[Source::Path(path.to_owned())], options, block_bytes)
}

/// All documents of a file.
fn documents(path: &Path, options: &InputOptions, block_bytes: usize) -> Vec<String> {
    read_path(path, options, block_bytes).unwrap().into_iter().flat_map(|piece| piece.documents).collect()
}

/// The message of the error, without the path at its start.
fn message(path: &Path, options: &InputOptions) -> String {
    let message = read_path(path, options, 1 << 20).unwrap_err().to_string();
    message.strip_prefix(&path.display().to_string()).expect("the path comes first").to_owned()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Parts of a file that meet at `cut`; the second one in a copy of its own, as from another machine.
fn parts(folder: &Folder, name: &str, bytes: &[u8], cut: usize) -> [Source; 2] {
    let name = folder.write(name, bytes);
    let copy = folder.write("copy", &bytes[cut..]);
    let (cut, size) = (cut as u64, bytes.len() as u64);
    [
        Source::Stretch(Stretch { name: name.clone(), file: name.clone(), held_from: 0, range: 0..cut, size }),
        Source::Stretch(Stretch { name, file: copy, held_from: cut, range: cut..size, size }),
    ]
}

/// Text in which words, characters of every length, spaces and newlines are common.
fn text() -> impl Strategy<Value = String> {
    let piece =
        prop_oneof![Just(" ".to_owned()), Just("\n".to_owned()), "[a-z]{1,9}", any::<char>().prop_map(String::from),];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// The same with bytes that are not UTF-8 in between.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        text().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 1..3),
        (any::<char>(), 1..4usize).prop_map(|(c, cut)| c.to_string().bytes().take(cut).collect()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}
