//! Which added tokens an encoding recognises.

use super::added::Matcher;
use crate::definition::{AddedToken, Definition, Normalizer};
use crate::error::{Error, Result};
use crate::pretokenize::Cutter;

/// The special tokens to recognise in a text. Added tokens that are not special are always recognised.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Allowed {
    /// All of them.
    #[default]
    All,
    /// None: their text is encoded like any other.
    None,
    /// These.
    Only(Vec<String>),
}

/// The added tokens of one encoding, ready for searching.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Those sought in the text as given.
    pub(crate) raw: Matcher,
    /// Those sought, after the others, in the normalized text between.
    pub(crate) normalized: Matcher,
    pub(crate) cutter: Cutter,
    /// Whether a text can be encoded piece by piece as it comes: all matching happens in one pass, on the text as given.
    pub(crate) one_pass: bool,
}

impl Selection {
    /// # Errors
    /// [`Error::SpecialToken`] for an allowed token that is none of the tokenizer's.
    pub(crate) fn new(definition: &Definition, allowed: &Allowed) -> Result<Selection> {
        if let Allowed::Only(named) = allowed {
            let known = |name: &String| definition.added_tokens.iter().any(|t| t.special && t.content == *name);
            if let Some(unknown) = named.iter().find(|name| !known(name)) {
                return Err(Error::SpecialToken {
                    token: unknown.clone(),
                    problem: "not one of this tokenizer's special tokens".to_owned(),
                });
            }
        }
        let recognised = |token: &&AddedToken| match allowed {
            Allowed::All => true,
            Allowed::None => !token.special,
            Allowed::Only(named) => !token.special || named.contains(&token.content),
        };
        let tokens: Vec<AddedToken> = definition.added_tokens.iter().filter(recognised).cloned().collect();
        let flagged = tokens.iter().any(|token| token.lstrip || token.rstrip || token.single_word);
        let contents: Vec<String> = tokens.iter().map(|token| token.content.clone()).collect();
        let (mut normalized, raw): (Vec<_>, Vec<_>) = tokens.into_iter().partition(|token| token.normalized);
        for token in &mut normalized {
            token.content = definition.normalizer.apply(&token.content).into_owned();
        }
        let one_pass =
            definition.normalizer == Normalizer::None && !flagged && (normalized.is_empty() || raw.is_empty());
        // Flags reach beyond the token, so that a cut beside white space is no longer safe; the text stays whole then.
        let cutter = if flagged { Cutter::none() } else { Cutter::new(&definition.pattern, &contents) };
        Ok(Selection { raw: Matcher::new(raw)?, normalized: Matcher::new(normalized)?, cutter, one_pass })
    }

    /// The one matcher of a [`Selection::one_pass`] selection.
    pub(crate) fn only_matcher(&self) -> &Matcher {
        if self.raw.is_empty() { &self.normalized } else { &self.raw }
    }
}
