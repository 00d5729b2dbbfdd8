//! A tokenizer as plain data: what the file formats read and write, and what the engine is built from.

use std::collections::HashMap;

use crate::pretokenize::Pattern;

/// How adjacent tokens are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merges {
    /// Pairs of byte strings in order of their rank (GPT-2, tokenizer.json).
    Listed(Vec<(Vec<u8>, Vec<u8>)>),
    /// Any two adjacent tokens whose joined bytes are a token join, lowest rank (= id of the joined token) first (tiktoken).
    ByRank,
}

/// Text transformation before matching and pre-tokenization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalizer {
    /// Text is taken as it is.
    #[default]
    None,
    /// Unicode normalization form C.
    Nfc,
}

/// A token matched in the text before pre-tokenization. The flags are those of tokenizer.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedToken {
    /// The text it matches.
    pub content: String,
    /// Its id.
    pub id: u32,
    /// A control token (`encode_ordinary` and `allowed_special` govern these); others are matched always.
    pub special: bool,
    /// Takes white space on its left.
    pub lstrip: bool,
    /// Takes white space on its right.
    pub rstrip: bool,
    /// Matches only between non-word characters.
    pub single_word: bool,
    /// Matched in the normalized text rather than in the text as given.
    pub normalized: bool,
}

impl AddedToken {
    /// A special token without flags.
    pub fn special(content: impl Into<String>, id: u32) -> Self {
        AddedToken {
            content: content.into(),
            id,
            special: true,
            lstrip: false,
            rstrip: false,
            single_word: false,
            normalized: false,
        }
    }
}

/// A whole tokenizer as data. Two tokenizers are equal when their definitions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Token bytes and ids of the model itself (added tokens may be among them or not), sorted by id.
    pub vocab: Vec<(Vec<u8>, u32)>,
    /// How tokens are joined.
    pub merges: Merges,
    /// Added tokens, special and not, sorted by id.
    pub added_tokens: Vec<AddedToken>,
    /// The pre-tokenization pattern.
    pub pattern: Pattern,
    /// The normalizer.
    pub normalizer: Normalizer,
    /// A pre-token that is a token as a whole is taken as it is, without merging (tiktoken's rule; `ignore_merges` in tokenizer.json).
    pub whole_words: bool,
}

impl Definition {
    /// From a vocabulary and its merges. Special tokens that the vocabulary has keep their ids; the others are appended
    /// in the order given.
    pub fn from_vocab(
        mut vocab: Vec<(Vec<u8>, u32)>,
        merges: Vec<(Vec<u8>, Vec<u8>)>,
        special_tokens: &[String],
        pattern: Pattern,
    ) -> Definition {
        vocab.sort_unstable_by_key(|(_, id)| *id);
        let ids: HashMap<&[u8], u32> = vocab.iter().map(|(token, id)| (token.as_slice(), *id)).collect();
        let mut next = vocab.last().map_or(0, |(_, id)| id.saturating_add(1));
        let added = special_tokens.iter().map(|token| {
            let id = ids.get(token.as_bytes()).copied().unwrap_or_else(|| {
                next = next.saturating_add(1);
                next - 1
            });
            AddedToken::special(token.clone(), id)
        });
        let mut added_tokens: Vec<AddedToken> = added.collect();
        added_tokens.sort_by_key(|token| token.id);
        Definition {
            vocab,
            merges: Merges::Listed(merges),
            added_tokens,
            pattern,
            normalizer: Normalizer::None,
            whole_words: false,
        }
    }
}
