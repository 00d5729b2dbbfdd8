//! Cutting text into pre-tokens: the named schemes by hand-written scanners, any other regex by an engine.

use std::fmt;

/// `gpt2` as tiktoken publishes it.
pub const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// `cl100k` as tiktoken publishes it.
pub const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
/// `o200k` as tiktoken publishes it.
pub const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Qwen's: the older cl100k with digits one by one.
pub const QWEN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A pre-tokenization pattern. Two patterns are equal when their regexes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// [`GPT2`], also r50k and p50k.
    Gpt2,
    /// [`CL100K`].
    Cl100k,
    /// [`O200K`].
    O200k,
    /// [`QWEN`].
    Qwen,
    /// Any other regex (fancy-regex syntax).
    Custom(String),
}

impl Pattern {
    /// From a scheme name (`gpt2`, `cl100k`, `o200k`, `qwen`) or a regex; a regex that spells a named scheme becomes it.
    pub fn parse(text: &str) -> Pattern {
        match text {
            "gpt2" | GPT2 => Pattern::Gpt2,
            "cl100k" | CL100K => Pattern::Cl100k,
            "o200k" | O200K => Pattern::O200k,
            "qwen" | QWEN => Pattern::Qwen,
            other => Pattern::Custom(other.to_owned()),
        }
    }

    /// The scheme's name, or the regex itself.
    pub fn name(&self) -> &str {
        match self {
            Pattern::Gpt2 => "gpt2",
            Pattern::Cl100k => "cl100k",
            Pattern::O200k => "o200k",
            Pattern::Qwen => "qwen",
            Pattern::Custom(regex) => regex,
        }
    }

    /// The regex that defines it.
    pub fn regex(&self) -> &str {
        match self {
            Pattern::Gpt2 => GPT2,
            Pattern::Cl100k => CL100K,
            Pattern::O200k => O200K,
            Pattern::Qwen => QWEN,
            Pattern::Custom(regex) => regex,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
