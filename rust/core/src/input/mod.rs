//! Where text comes from: files of text, JSON lines and Parquet columns, plain or compressed, and standard input.
//!
//! A [`Reader`] hands out [`Block`]s of raw bytes, which is cheap and done by one thread at a time; [`Block::decode`]
//! validates and parses them, which is the work and done by many.

mod block;
mod bytes;
mod jsonl;
mod parquet;
mod reader;
mod source;
mod text;
mod utf8;

pub use block::{Block, DocumentKind, Documents};
pub use reader::Reader;
pub use source::{Source, Stretch};
pub use utf8::{MaybeUtf8, Utf8Errors};

/// How the bytes of a source become text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputOptions {
    /// What to do with bytes that are not UTF-8.
    pub errors: Utf8Errors,
    /// The field that holds the text in JSON lines.
    pub field: String,
    /// The column that holds the text in Parquet files; names inside structs are joined by dots.
    pub column: String,
}

impl Default for InputOptions {
    fn default() -> Self {
        InputOptions { errors: Utf8Errors::Strict, field: "text".to_owned(), column: "text".to_owned() }
    }
}

/// Where a text may be cut: given a window of text that starts at a cut and that more text may follow, the largest safe
/// cut `p` (`0 < p <= len`), or `None`. A cut must lie beside an ASCII byte, so that no character is split.
pub type LastCut<'a> = dyn Fn(&[u8]) -> Option<usize> + Sync + 'a;
