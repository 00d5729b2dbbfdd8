//! Writes tokenizer.json, with the keys in the order and the layout that `tokenizers` itself writes.

use crate::definition::{AddedToken, Definition, Merges, Normalizer};
use crate::error::Result;
use crate::format::json::Ordered;
use crate::format::{broken, byte_chars, onig, spelt};
use crate::live::{self, Merge};
use crate::pretokenize::Pattern;

#[derive(serde::Serialize)]
struct File<'a> {
    version: &'static str,
    truncation: Option<()>,
    padding: Option<()>,
    added_tokens: Vec<Added<'a>>,
    normalizer: Option<Named>,
    pre_tokenizer: PreTokenizer,
    post_processor: ByteLevel,
    decoder: ByteLevel,
    model: Model,
}

#[derive(serde::Serialize)]
struct Added<'a> {
    id: u32,
    content: &'a str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

#[derive(serde::Serialize)]
struct Named {
    r#type: &'static str,
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum PreTokenizer {
    ByteLevel(ByteLevel),
    Sequence { r#type: &'static str, pretokenizers: (Split, ByteLevel) },
}

#[derive(serde::Serialize)]
struct Split {
    r#type: &'static str,
    pattern: Regex,
    behavior: &'static str,
    invert: bool,
}

#[derive(serde::Serialize)]
struct Regex {
    #[serde(rename = "Regex")]
    regex: String,
}

#[derive(serde::Serialize)]
struct ByteLevel {
    r#type: &'static str,
    add_prefix_space: bool,
    trim_offsets: bool,
    use_regex: bool,
}

#[derive(serde::Serialize)]
struct Model {
    r#type: &'static str,
    dropout: Option<()>,
    unk_token: Option<()>,
    continuing_subword_prefix: Option<()>,
    end_of_word_suffix: Option<()>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Ordered,
    merges: Vec<(String, String)>,
}

/// Writes a tokenizer.json that `tokenizers` and `transformers` load with the same ids.
///
/// Ranks are written as the merges they amount to ([`live::by_rank`]), with `ignore_merges` for the words that are tokens.
/// A custom pattern may come back in another spelling of the same meaning ([`onig`]).
///
/// # Errors
/// [`crate::Error::Pattern`] for a regex without an equal form there, [`crate::Error::SpecialToken`] for an added token spelt like
/// another token.
pub fn write(definition: &Definition, origin: &str) -> Result<String> {
    let byte_level =
        |use_regex| ByteLevel { r#type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex };
    let pre_tokenizer = match &definition.pattern {
        Pattern::Gpt2 => PreTokenizer::ByteLevel(byte_level(true)),
        pattern => {
            let pattern = Regex { regex: onig::to_onig(pattern)? };
            let split = Split { r#type: "Split", pattern, behavior: "Isolated", invert: false };
            PreTokenizer::Sequence { r#type: "Sequence", pretokenizers: (split, byte_level(false)) }
        }
    };
    let derived;
    let merges: &[Merge] = match &definition.merges {
        Merges::Listed(merges) => merges,
        Merges::ByRank => {
            derived = live::by_rank(&definition.vocab);
            &derived
        }
    };
    let file = File {
        version: "1.0",
        truncation: None,
        padding: None,
        added_tokens: definition.added_tokens.iter().map(added).collect(),
        normalizer: match definition.normalizer {
            Normalizer::None => None,
            Normalizer::Nfc => Some(Named { r#type: "NFC" }),
        },
        pre_tokenizer,
        post_processor: byte_level(true),
        decoder: byte_level(true),
        model: Model {
            r#type: "BPE",
            dropout: None,
            unk_token: None,
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: definition.whole_words,
            vocab: Ordered(vocab(definition)?),
            merges: merges.iter().map(|(left, right)| (byte_chars::encode(left), byte_chars::encode(right))).collect(),
        },
    };
    serde_json::to_string_pretty(&file).map_err(|error| broken(origin, format!("cannot be written: {error}")))
}

fn added(token: &AddedToken) -> Added<'_> {
    Added {
        id: token.id,
        content: &token.content,
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    }
}

/// The model's vocabulary. Special tokens stand in it too, as the `tokenizers` trainers put them there. Other added tokens
/// do only where they must: on loading, `tokenizers` looks an added token up in the vocabulary and numbers it after the
/// highest one otherwise, whatever id the file says.
fn vocab(definition: &Definition) -> Result<Vec<(String, u32)>> {
    let vocab = spelt::spell(definition, |token| token.special)?;
    let size = vocab.len();
    let mut highest_added = definition.added_tokens.iter().filter(|token| token.special).map(|token| token.id).max();
    let mut numbered = true;
    for token in definition.added_tokens.iter().filter(|token| !token.special) {
        if vocab.binary_search_by_key(&token.id, |(_, id)| *id).is_ok() {
            continue;
        }
        let next = highest_added.filter(|&id| id as usize >= size).map_or(size as u32, |id| id + 1);
        numbered &= next == token.id;
        highest_added = highest_added.max(Some(token.id));
    }
    if numbered { Ok(vocab) } else { spelt::spell(definition, |_| true) }
}
