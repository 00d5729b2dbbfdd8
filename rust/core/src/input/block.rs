//! The unit of work: raw bytes that one thread cut off, and the documents that another makes of them.

use std::path::Path;
use std::sync::Arc;

use super::InputOptions;
use super::bytes::Piece;
use super::jsonl::Lines;
use super::parquet::Rows;
use super::text::MappedRange;
use super::utf8::{self, Utf8Errors};
use crate::control::Control;
use crate::error::{Error, Result};

/// A stretch of a source, not yet looked into.
pub struct Block {
    pub(super) path: Arc<Path>,
    pub(super) content: Content,
}

pub(super) enum Content {
    Mapped(MappedRange),
    Text(Piece),
    Lines(Lines),
    Rows(Rows),
}

/// Whether a source is one text or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// A piece of a text; documents inside it, if any, are separated by special tokens.
    Text,
    /// Rows of JSON lines or Parquet, each a document of its own.
    Rows,
}

/// Decoded text.
pub struct Documents {
    text: Text,
    /// Where each document ends in the text.
    ends: Vec<usize>,
    kind: DocumentKind,
    ends_file: bool,
}

impl Block {
    /// Validates and parses.
    ///
    /// # Errors
    /// [`Error::InvalidUtf8`] with the offset in the decompressed stream, [`Error::JsonLine`] with the line;
    /// [`Error::Cancelled`] while the lines before it are counted.
    pub fn decode(self, options: &InputOptions, control: &Control) -> Result<Documents> {
        let Block { path, content } = self;
        match content {
            Content::Mapped(range) => {
                let (offset, ends_file) = (range.offset(), range.ends_file());
                Documents::of_text(Raw::Mapped(range), offset, ends_file, &path, options.errors)
            }
            Content::Text(Piece { bytes, offset, ends_file }) => {
                Documents::of_text(Raw::Owned(bytes), offset, ends_file, &path, options.errors)
            }
            Content::Lines(lines) => Ok(Documents::of_rows(lines.decode(&path, options, control)?)),
            Content::Rows(rows) => Ok(Documents::of_rows(rows.decode(&path, options)?)),
        }
    }
}

impl Documents {
    fn of_text(raw: Raw, offset: u64, ends_file: bool, path: &Path, errors: Utf8Errors) -> Result<Documents> {
        let text = match Valid::new(raw) {
            Ok(valid) => Text::Valid(valid),
            Err((raw, at)) if errors == Utf8Errors::Strict => {
                let (offset, byte) = (offset + at as u64, raw.bytes()[at]);
                return Err(Error::InvalidUtf8 { origin: path.display().to_string(), offset, byte });
            }
            Err((raw, _)) => Text::Made(utf8::repair(raw.bytes(), errors)),
        };
        let ends = vec![text.as_str().len()];
        Ok(Documents { text, ends, kind: DocumentKind::Text, ends_file })
    }

    fn of_rows(rows: JoinedRows) -> Documents {
        Documents { text: Text::Made(rows.text), ends: rows.ends, kind: DocumentKind::Rows, ends_file: false }
    }

    /// Whether [`Documents::iter`] gives a piece of a text or rows.
    pub fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// The one piece of text, or each row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let text = self.text.as_str();
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let document = &text[start..end];
            start = end;
            document
        })
    }

    /// The piece of text is the last of its file. Never so for rows.
    pub fn ends_file(&self) -> bool {
        self.ends_file
    }
}

/// Rows one after the other in one string: a block has many, and most are short.
#[derive(Default)]
pub(super) struct JoinedRows {
    pub(super) text: String,
    pub(super) ends: Vec<usize>,
}

enum Text {
    /// As it was read.
    Valid(Valid),
    Made(String),
}

impl Text {
    fn as_str(&self) -> &str {
        match self {
            Text::Valid(valid) => valid.as_str(),
            Text::Made(text) => text,
        }
    }
}

enum Raw {
    Mapped(MappedRange),
    Owned(Vec<u8>),
}

impl Raw {
    fn bytes(&self) -> &[u8] {
        match self {
            Raw::Mapped(range) => range,
            Raw::Owned(bytes) => bytes,
        }
    }
}

/// Bytes that were found to be UTF-8.
struct Valid(Raw);

impl Valid {
    /// Gives the bytes back with the offset of the first that is not UTF-8.
    fn new(raw: Raw) -> std::result::Result<Valid, (Raw, usize)> {
        match utf8::first_invalid(raw.bytes()) {
            None => Ok(Valid(raw)),
            Some(offset) => Err((raw, offset)),
        }
    }

    fn as_str(&self) -> &str {
        // SAFETY: `new` is the only way here and found these bytes valid; they are owned, or a map of a file that must
        // not be changed while it is read (see `MappedText::open`).
        unsafe { std::str::from_utf8_unchecked(self.0.bytes()) }
    }
}
