//! Patterns between our regex engine and Oniguruma, which reads the pattern of a tokenizer.json.
//!
//! A regex is walked with a whitelist: what means the same to both engines is copied, what has an equal form is
//! rewritten, and everything else is refused by name. The differences that are bridged:
//!
//! | fancy-regex | Oniguruma | why |
//! |---|---|---|
//! | `X{n,m}+` possessive | `(?>X{n,m})` | there, `X{n,m}+` is `(?:X{n,m})+` |
//! | `(?:X{n,m})+` | `X{n,m}+` (only read) | the same |
//! | `^` `$` | `\A` `\z` | there, `^` and `$` are ends of lines |
//! | `(?s:X)` | `(?m:X)` | the letter for "a dot matches a line feed" |
//!
//! Character classes, `\s`, `\d`, `.`, the general categories and the scripts named here were compared over all code
//! points; so was `(?i:...)` over ASCII, where both let `s` and `k` match U+017F and U+212A. What Oniguruma adds there is
//! a ligature for two letters (`ss` matches U+00DF, `st` U+FB06), so those letters may not meet; and two letters for a class
//! with a ligature, so a class has ASCII only.

mod class;
mod walker;

use crate::error::{Error, Result};
use crate::pretokenize::Pattern;
use walker::{Engine, translate};

/// Writes a pattern in Oniguruma's syntax.
///
/// # Errors
/// [`Error::Pattern`] naming the construct that has no equal form there.
pub fn to_onig(pattern: &Pattern) -> Result<String> {
    translate(pattern.regex(), Engine::Fancy).map_err(|refusal| Error::Pattern {
        pattern: pattern.name().to_owned(),
        message: format!(
            "cannot be written to tokenizer.json: {} at character {} has no form known to mean the same in the engine that reads the file",
            refusal.construct, refusal.position
        ),
    })
}

/// Reads a pattern in Oniguruma's syntax; `origin` is the file it stands in.
///
/// # Errors
/// [`Error::Unsupported`] naming the construct that our engine does not read the same way.
pub fn from_onig(regex: &str, origin: &str) -> Result<Pattern> {
    // Two spellings of `gpt2` in wide use; others that spell a named scheme are recognised after the translation.
    const GPT2_SPELLINGS: [&str; 2] = [
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    ];
    const NAMED: [Pattern; 4] = [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::Qwen];
    if GPT2_SPELLINGS.contains(&regex) {
        return Ok(Pattern::Gpt2);
    }
    match translate(regex, Engine::Oniguruma) {
        Ok(translated) => {
            Ok(NAMED.into_iter().find(|named| named.regex() == translated).unwrap_or(Pattern::Custom(translated)))
        }
        Err(refusal) => Err(Error::Unsupported {
            origin: origin.to_owned(),
            feature: format!(
                "{} at character {} of the pre_tokenizer's regex {regex:?}, which means something else to this engine or is not known to mean the same,",
                refusal.construct, refusal.position
            ),
        }),
    }
}
