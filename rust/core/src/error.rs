//! The one error type of the crate. Every variant carries what a person needs to find the fault: path, offset, line, size.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What to do about [`Error::Spill`].
pub const SPILL_ADVICE: &str = "word counts that outgrow max_memory are kept in this folder: make room in it, name another \
                                with TMPDIR, or raise max_memory";

/// Which line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Its number, from 1.
    Number(u64),
    /// The offset of its first byte, where the lines before it are elsewhere and could not be counted.
    Offset(u64),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Number(number) => write!(f, "line {number}"),
            Line::Offset(offset) => write!(f, "the line at byte {offset}"),
        }
    }
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write a path.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path being read or written (`<stdin>` for standard input).
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The temporary file of words that were counted within `max_memory` could not be written or read.
    #[error(
        "{}: {source}; {SPILL_ADVICE}",
        folder.display()
    )]
    Spill {
        /// The folder that the file is in.
        folder: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// Text that is not UTF-8, read with `errors="strict"`.
    #[error(
        "{origin}: invalid UTF-8 at byte {offset} (0x{byte:02x}); pass errors=\"replace\" to put U+FFFD there, or errors=\"ignore\" to drop it"
    )]
    InvalidUtf8 {
        /// The path, or a description of the text in memory.
        origin: String,
        /// Offset of the first invalid byte in the (decompressed) stream.
        offset: u64,
        /// The byte found there.
        byte: u8,
    },
    /// A line of a JSONL file that does not parse or whose field is missing or not a string.
    #[error("{origin}, {line}: {message}")]
    JsonLine {
        /// The path.
        origin: String,
        /// Which line it is.
        line: Line,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A file that is broken or not in the format that its name promises (Parquet, gzip, zstd, Parquet column missing).
    #[error("{origin}: {message}")]
    Input {
        /// The path.
        origin: String,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A vocabulary, merges or tokenizer file (or value) that is broken or contradicts itself.
    #[error("{origin}: {message}")]
    Vocabulary {
        /// The path, or a description of the value.
        origin: String,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A tokenizer file that asks for something this crate does not do; never approximated.
    #[error("{origin}: {feature} is not supported")]
    Unsupported {
        /// The path, or a description of the value.
        origin: String,
        /// The feature by its name in the file.
        feature: String,
    },
    /// A vocabulary size that leaves no room for the bytes and the special tokens.
    #[error("vocab_size {vocab_size} is too small: 256 bytes and {special_tokens} special tokens need at least {}", 256 + special_tokens)]
    VocabSize {
        /// The size asked for.
        vocab_size: usize,
        /// Number of special tokens.
        special_tokens: usize,
    },
    /// An empty or duplicate special token.
    #[error("special token {token:?} is {problem}")]
    SpecialToken {
        /// The token.
        token: String,
        /// "empty", "given twice", "not one of this tokenizer's special tokens", ...
        problem: String,
    },
    /// An id that no token has.
    #[error("token id {id} at position {position} is not in the vocabulary (vocab_size {vocab_size})")]
    TokenId {
        /// The id.
        id: u64,
        /// Its index in the sequence given.
        position: usize,
        /// Highest id + 1.
        vocab_size: usize,
    },
    /// A pattern that does not compile, or that cannot be written to the format asked for.
    #[error("pattern {pattern:?}: {message}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// The regex engine gave up on a text (catastrophic backtracking).
    #[error(
        "pattern {pattern:?} reached the regex engine's limit at byte {offset} of a text of {length} bytes: {message}; use a named scheme or a pattern without nested repetition"
    )]
    PatternLimit {
        /// The pattern.
        pattern: String,
        /// Byte offset in the text between special tokens.
        offset: usize,
        /// Length of that text.
        length: usize,
        /// The engine's words.
        message: String,
    },
    /// Word counts made under other rules than those asked for.
    #[error(
        "word counts differ in {what}: {left} and {right}; counts can be merged or trained on only under the rules they were made with"
    )]
    WordCountsMismatch {
        /// "pattern" or "special tokens".
        what: String,
        /// One side.
        left: String,
        /// The other side.
        right: String,
    },
    /// A count that does not fit 64 bits.
    #[error("the count of {what} exceeds 64 bits")]
    CountOverflow {
        /// The word or pair.
        what: String,
    },
    /// A step that would need more memory than the machine, or the control group, has to give.
    #[error(
        "{what} needs up to {:.1} MB of memory, and {:.1} MB are available; free memory or raise the container's limit, use a larger machine, or drop the rarest words from the counts",
        *needed as f64 / 1e6,
        *available as f64 / 1e6
    )]
    Memory {
        /// The step.
        what: &'static str,
        /// A bound on the bytes that it needs.
        needed: u64,
        /// The bytes available.
        available: u64,
    },
    /// An argument outside of what is allowed.
    #[error("{0}")]
    Argument(String),
    /// The caller asked to stop (Ctrl-C).
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Attaches a path to an I/O error, for `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}
