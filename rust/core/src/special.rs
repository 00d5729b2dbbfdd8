//! Special tokens as boundaries of a text: found leftmost first, longest first where they overlap.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::error::{Error, Result};

/// A part of a text that was split at special tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text between special tokens; never empty.
    Text(&'t str),
    /// A special token, by its index among those given.
    Special(usize),
}

/// A set of special tokens, ready for searching.
#[derive(Debug, Clone)]
pub struct SpecialTokens {
    tokens: Vec<String>,
    matcher: Option<AhoCorasick>,
    longest: usize,
}

impl SpecialTokens {
    /// # Errors
    /// [`Error::SpecialToken`] for an empty or duplicate token.
    pub fn new(tokens: &[String]) -> Result<SpecialTokens> {
        check(tokens)?;
        let matcher = if tokens.is_empty() {
            None
        } else {
            let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(tokens);
            Some(built.map_err(|error| Error::Argument(format!("special tokens: {error}")))?)
        };
        let longest = tokens.iter().map(String::len).max().unwrap_or(0);
        Ok(SpecialTokens { tokens: tokens.to_vec(), matcher, longest })
    }

    /// The tokens in the order given.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Length of the longest token in bytes.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The matches in `text`, in order, as (index of the token, byte range).
    pub fn matches<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, Range<usize>)> + 'a {
        self.matcher
            .iter()
            .flat_map(move |matcher| matcher.find_iter(text).map(|found| (found.pattern().as_usize(), found.range())))
    }

    /// Calls `visit` for the parts of `text` in order.
    ///
    /// # Errors
    /// The first error that `visit` returns.
    pub fn split<'t>(&self, text: &'t str, mut visit: impl FnMut(Piece<'t>) -> Result<()>) -> Result<()> {
        let mut done = 0;
        for (index, range) in self.matches(text) {
            if range.start > done {
                visit(Piece::Text(&text[done..range.start]))?;
            }
            visit(Piece::Special(index))?;
            done = range.end;
        }
        if done < text.len() {
            visit(Piece::Text(&text[done..]))?;
        }
        Ok(())
    }
}

/// Refuses empty and duplicate tokens.
pub(crate) fn check(tokens: &[String]) -> Result<()> {
    for (i, token) in tokens.iter().enumerate() {
        let problem = if token.is_empty() {
            "empty"
        } else if tokens[..i].contains(token) {
            "given twice"
        } else {
            continue;
        };
        return Err(Error::SpecialToken { token: token.clone(), problem: problem.to_owned() });
    }
    Ok(())
}
