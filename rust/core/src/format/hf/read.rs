//! Reads tokenizer.json. What this crate does not do is refused by its name in the file, never approximated.

use serde::Deserialize;
use serde_json::Value;

use super::components::{self, Feature};
use crate::definition::{AddedToken, Definition, Merges};
use crate::error::{Error, Result};
use crate::format::broken;
use crate::format::json::{Entries, SpeltMerge, parse};
use crate::format::spelt::{Spelt, check_ids};
use crate::live;
use crate::special;

#[derive(Deserialize)]
struct File {
    version: Option<Value>,
    #[serde(default)]
    truncation: Value,
    #[serde(default)]
    padding: Value,
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Option<Model>,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
    normalized: Option<bool>,
}

#[derive(Deserialize)]
struct Model {
    /// Absent in files of the first releases.
    #[serde(rename = "type")]
    kind: Option<String>,
    dropout: Option<f64>,
    // `unk_token` and `fuse_unk` are read by nobody: with all 256 bytes in the vocabulary nothing is unknown.
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    vocab: Entries,
    merges: Option<Vec<SpeltMerge>>,
}

/// Reads a tokenizer.json; `origin` names it in errors.
///
/// # Errors
/// [`Error::Unsupported`] for a feature that this crate lacks, [`Error::Vocabulary`] for a file that is broken or
/// contradicts itself.
pub fn read(json: &[u8], origin: &str) -> Result<Definition> {
    let file: File = parse(json, origin)?;
    let Some(model) = file.model else {
        return Err(broken(origin, "no model: this is not a tokenizer.json"));
    };
    let refuse = |feature: String| Error::Unsupported { origin: origin.to_owned(), feature };
    if let Some(version) = file.version.filter(|version| version != "1.0") {
        return Err(refuse(format!("version {version}")));
    }
    if !file.truncation.is_null() {
        return Err(refuse("truncation".to_owned()));
    }
    if !file.padding.is_null() {
        return Err(refuse("padding".to_owned()));
    }
    let normalizer = components::normalizer(&file.normalizer).map_err(refuse)?;
    let pattern = components::pattern(&file.pre_tokenizer, origin)?;
    components::post_processor(&file.post_processor).map_err(refuse)?;
    components::decoder(&file.decoder).map_err(refuse)?;
    model_features(&model).map_err(refuse)?;

    let whole_words = model.ignore_merges;
    let (Some(entries), Some(merges)) = (model.vocab.0, model.merges) else {
        return Err(broken(origin, "the model has no vocab object with merges"));
    };
    let spelt = Spelt::new(entries, merges, origin, |index| format!("model.merges[{index}]"))?;
    let added_tokens = added_tokens(file.added_tokens, &spelt, origin)?;
    let (vocab, listed) = spelt.into_model(&added_tokens, whole_words, origin)?;
    // The form in which a vocabulary of ranks is written: it is one again.
    let merges = if whole_words && live::by_rank(&vocab) == listed { Merges::ByRank } else { Merges::Listed(listed) };
    Ok(Definition { vocab, merges, added_tokens, pattern, normalizer, whole_words })
}

fn added_tokens(added: Vec<Added>, spelt: &Spelt, origin: &str) -> Result<Vec<AddedToken>> {
    let contents: Vec<String> = added.iter().map(|token| token.content.clone()).collect();
    special::check(&contents)?;
    let ids = spelt.ids();
    let mut tokens = Vec::with_capacity(added.len());
    for token in added {
        let content = token.content;
        let Ok(id) = u32::try_from(token.id) else {
            return Err(broken(
                origin,
                format!("added token {content:?} has id {}, which exceeds {}", token.id, u32::MAX),
            ));
        };
        if let Some(&other) = ids.get(content.as_str()).filter(|&&other| other != id) {
            return Err(broken(
                origin,
                format!("added token {content:?} has id {id}, but the vocabulary says {other}"),
            ));
        }
        tokens.push(AddedToken {
            content,
            id,
            special: token.special,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            single_word: token.single_word,
            normalized: token.normalized.unwrap_or(!token.special),
        });
    }
    let outside =
        tokens.iter().map(|token| (token.content.as_str(), token.id)).filter(|(content, _)| !ids.contains_key(content));
    check_ids(ids.iter().map(|(token, id)| (*token, *id)).chain(outside), origin)?;
    tokens.sort_unstable_by_key(|token| token.id);
    Ok(tokens)
}

fn model_features(model: &Model) -> Feature<()> {
    match model.kind.as_deref() {
        Some("BPE") => {}
        None if model.merges.is_some() => {}
        Some(kind) => return Err(format!("model type {kind}")),
        None => return Err("a model without type and merges".to_owned()),
    }
    if let Some(dropout) = model.dropout.filter(|&dropout| dropout != 0.0) {
        return Err(format!("dropout {dropout}"));
    }
    if let Some(prefix) = model.continuing_subword_prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
        return Err(format!("continuing_subword_prefix {prefix:?}"));
    }
    if let Some(suffix) = model.end_of_word_suffix.as_ref().filter(|suffix| !suffix.is_empty()) {
        return Err(format!("end_of_word_suffix {suffix:?}"));
    }
    if model.byte_fallback { Err("byte_fallback".to_owned()) } else { Ok(()) }
}
