//! The parts of tokenizer.json around the model: which of them this crate does, and the names of those it refuses.

use serde_json::Value;

use crate::definition::Normalizer;
use crate::error::{Error, Result};
use crate::format::onig;
use crate::pretokenize::Pattern;

/// A part, or the name of the feature that is refused.
pub type Feature<T> = std::result::Result<T, String>;

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

/// The normalizer: none or NFC.
pub fn normalizer(component: &Value) -> Feature<Normalizer> {
    match steps(component, "normalizers").as_slice() {
        [] => Ok(Normalizer::None),
        [only] if kind(only) == "NFC" => Ok(Normalizer::Nfc),
        steps => {
            let names: Vec<&str> = steps.iter().map(|step| kind(step)).collect();
            Err(format!("normalizer {}", names.join(" then ")))
        }
    }
}

/// The pattern: ByteLevel with its own regex, or one Split by a regex and ByteLevel without.
pub fn pattern(component: &Value, origin: &str) -> Result<Pattern> {
    let steps = steps(component, "pretokenizers");
    let refuse = |feature: String| {
        Err(Error::Unsupported { origin: origin.to_owned(), feature: format!("pre_tokenizer {feature}") })
    };
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
pub fn post_processor(component: &Value) -> Feature<()> {
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

/// Accepts what turns GPT-2's characters into bytes.
pub fn decoder(component: &Value) -> Feature<()> {
    match steps(component, "decoders").as_slice() {
        [only] if kind(only) == "ByteLevel" => Ok(()),
        [] => Err("decoder null (it would give GPT-2's characters instead of text)".to_owned()),
        steps => {
            let names: Vec<&str> = steps.iter().map(|step| kind(step)).collect();
            Err(format!("decoder {}", names.join(" then ")))
        }
    }
}
