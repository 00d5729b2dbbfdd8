//! Reads tokenizer.json. What this crate does not do is refused by its name in the file, never approximated.

use serde::Deserialize;
use serde_json::Value;

use crate::definition::{AddedToken, Definition, Merges, Normalizer};
use crate::error::{Error, Result};
use crate::format::live;
use crate::format::onig;
use crate::format::vocabulary::{Entries, Spelt, SpeltMerge, assign_ids, broken, check_ids, parse};
use crate::pretokenize::Pattern;

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
    model: Model,
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
    let refuse = |feature: String| Err(Error::Unsupported { origin: origin.to_owned(), feature });
    if let Some(version) = file.version.filter(|version| version != "1.0") {
        return refuse(format!("version {version}"));
    }
    if !file.truncation.is_null() {
        return refuse("truncation".to_owned());
    }
    if !file.padding.is_null() {
        return refuse("padding".to_owned());
    }
    let normalizer = normalizer(&file.normalizer).or_else(refuse)?;
    let pattern = pattern(&file.pre_tokenizer, origin)?;
    post_processor(&file.post_processor).or_else(refuse)?;
    decoder(&file.decoder).or_else(refuse)?;
    model_features(&file.model).or_else(refuse)?;

    let whole_words = file.model.ignore_merges;
    let (Some(entries), Some(merges)) = (file.model.vocab.0, file.model.merges) else {
        return Err(broken(origin, "the model has no vocab object with merges"));
    };
    let spelt = Spelt::new(entries, merges, origin, |index| format!("model.merges[{index}]"))?;
    let added_tokens = added_tokens(file.added_tokens, &spelt, origin)?;
    let (vocab, listed) = spelt.into_model(&added_tokens, whole_words, origin)?;
    // The form in which a vocabulary of ranks is written: it is one again.
    let merges =
        if whole_words && live::by_rank(&vocab) == listed { Merges::ByRank } else { Merges::Listed(listed) };
    Ok(Definition { vocab, merges, added_tokens, pattern, normalizer, whole_words })
}

fn added_tokens(added: Vec<Added>, spelt: &Spelt, origin: &str) -> Result<Vec<AddedToken>> {
    let contents: Vec<String> = added.iter().map(|token| token.content.clone()).collect();
    // Only for its checks: empty ones and duplicates.
    assign_ids(&contents, 0, |_| Some(0))?;
    let ids = spelt.ids();
    let mut tokens = Vec::with_capacity(added.len());
    for token in added {
        let content = token.content;
        let Ok(id) = u32::try_from(token.id) else {
            return Err(broken(origin, format!("added token {content:?} has id {}, which exceeds {}", token.id, u32::MAX)));
        };
        if let Some(&other) = ids.get(content.as_str()).filter(|&&other| other != id) {
            return Err(broken(origin, format!("added token {content:?} has id {id}, but the vocabulary says {other}")));
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
    let outside = tokens.iter().map(|token| (token.content.as_str(), token.id)).filter(|(content, _)| !ids.contains_key(content));
    check_ids(ids.iter().map(|(token, id)| (*token, *id)).chain(outside), origin)?;
    tokens.sort_unstable_by_key(|token| token.id);
    Ok(tokens)
}

type Feature<T> = std::result::Result<T, String>;

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

/// The steps of a component that may be absent, single, or a `Sequence` with its steps under `key`.
fn steps<'a>(component: &'a Value, key: &str) -> Vec<&'a Value> {
    match (component, component.get(key).and_then(Value::as_array)) {
        (Value::Null, _) => Vec::new(),
        (_, Some(inner)) if kind(component) == "Sequence" => inner.iter().flat_map(|step| steps(step, key)).collect(),
        _ => vec![component],
    }
}

fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or("without a type")
}

fn flag(step: &Value, name: &str, default: bool) -> bool {
    step.get(name).and_then(Value::as_bool).unwrap_or(default)
}

fn normalizer(component: &Value) -> Feature<Normalizer> {
    match steps(component, "normalizers").as_slice() {
        [] => Ok(Normalizer::None),
        [only] if kind(only) == "NFC" => Ok(Normalizer::Nfc),
        steps => {
            let names: Vec<&str> = steps.iter().map(|step| kind(step)).collect();
            Err(format!("normalizer {}", names.join(" then ")))
        }
    }
}

fn pattern(component: &Value, origin: &str) -> Result<Pattern> {
    let steps = steps(component, "pretokenizers");
    let refuse = |feature: String| Err(Error::Unsupported { origin: origin.to_owned(), feature: format!("pre_tokenizer {feature}") });
    if let Some(step) = steps.iter().find(|step| !matches!(kind(step), "ByteLevel" | "Split")) {
        return refuse(kind(step).to_owned());
    }
    if let Some(step) = steps.iter().find(|step| kind(step) == "ByteLevel")
        && flag(step, "add_prefix_space", true)
    {
        return refuse("ByteLevel with add_prefix_space".to_owned());
    }
    let shape: Vec<(&str, bool)> = steps.iter().map(|step| (kind(step), flag(step, "use_regex", true))).collect();
    match shape.as_slice() {
        [("ByteLevel", true)] => Ok(Pattern::Gpt2),
        [("Split", _), ("ByteLevel", false)] => {
            let split = steps[0];
            if split.get("behavior").and_then(Value::as_str) != Some("Isolated") {
                return refuse(format!("Split with behavior {}", split.get("behavior").unwrap_or(&Value::Null)));
            }
            if flag(split, "invert", false) {
                return refuse("Split with invert".to_owned());
            }
            match split.get("pattern").and_then(|pattern| pattern.get("Regex")).and_then(Value::as_str) {
                Some(regex) => onig::from_onig(regex, origin),
                None => refuse(format!("Split by {}", split.get("pattern").unwrap_or(&Value::Null))),
            }
        }
        [] => refuse("null".to_owned()),
        [("ByteLevel", false)] => refuse("ByteLevel without use_regex and without a Split".to_owned()),
        other => {
            let names: Vec<&str> = other.iter().map(|(name, _)| *name).collect();
            refuse(format!("{} (other than one Split and one ByteLevel without use_regex)", names.join(" then ")))
        }
    }
}

/// Accepts what leaves ids as they are.
fn post_processor(component: &Value) -> Feature<()> {
    for step in steps(component, "processors") {
        match kind(step) {
            // Trims offsets; ours are never trimmed.
            "ByteLevel" => {}
            "TemplateProcessing" => {
                let single = step.get("single").and_then(Value::as_array);
                let plain = single.is_some_and(|pieces| {
                    matches!(pieces.as_slice(), [piece] if piece.pointer("/Sequence/id").and_then(Value::as_str) == Some("A"))
                });
                if !plain {
                    return Err("post_processor TemplateProcessing that adds tokens".to_owned());
                }
            }
            other => return Err(format!("post_processor {other}")),
        }
    }
    Ok(())
}

fn decoder(component: &Value) -> Feature<()> {
    match steps(component, "decoders").as_slice() {
        [only] if kind(only) == "ByteLevel" => Ok(()),
        [] => Err("decoder null (it would give GPT-2's characters instead of text)".to_owned()),
        steps => {
            let names: Vec<&str> = steps.iter().map(|step| kind(step)).collect();
            Err(format!("decoder {}", names.join(" then ")))
        }
    }
}
