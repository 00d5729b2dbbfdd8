//! Added tokens in a text: found leftmost first, longest first, with the flags of tokenizer.json.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::definition::AddedToken;
use crate::error::{Error, Result};

/// A part of a text split at added tokens.
pub(crate) enum Piece<'t> {
    /// Text between added tokens, never empty, and where it starts.
    Text(&'t str, usize),
    /// The id of an added token, and the bytes it takes, white space by its flags included.
    Token(u32, Range<usize>),
}

/// A set of added tokens, ready for searching.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matcher {
    tokens: Vec<AddedToken>,
    searcher: Option<AhoCorasick>,
}

impl Matcher {
    pub(crate) fn new(tokens: Vec<AddedToken>) -> Result<Matcher> {
        let contents = tokens.iter().map(|token| &token.content);
        let searcher = if tokens.is_empty() {
            None
        } else {
            let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(contents);
            Some(built.map_err(|error| Error::Argument(format!("added tokens: {error}")))?)
        };
        Ok(Matcher { tokens, searcher })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(crate) fn tokens(&self) -> &[AddedToken] {
        &self.tokens
    }

    /// The matches that count, in order, as (token, what it takes).
    pub(crate) fn matches<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (&'a AddedToken, Range<usize>)> {
        let mut done = 0;
        self.searcher.iter().flat_map(move |searcher| searcher.find_iter(text)).filter_map(move |found| {
            let token = &self.tokens[found.pattern().as_usize()];
            let (mut start, mut end) = (found.start(), found.end());
            if start < done {
                return None;
            }
            if token.single_word
                && (text[..start].chars().next_back().is_some_and(is_word)
                    || text[end..].chars().next().is_some_and(is_word))
            {
                return None;
            }
            if token.lstrip {
                start = text[..start].trim_end().len().max(done);
            }
            if token.rstrip {
                end = text.len() - text[end..].trim_start().len();
            }
            done = end;
            Some((token, start..end))
        })
    }

    /// Calls `visit` for the parts of `text` in order.
    pub(crate) fn split<'t>(&self, text: &'t str, mut visit: impl FnMut(Piece<'t>) -> Result<()>) -> Result<()> {
        if self.is_empty() {
            return if text.is_empty() { Ok(()) } else { visit(Piece::Text(text, 0)) };
        }
        let mut done = 0;
        for (token, range) in self.matches(text) {
            if range.start > done {
                visit(Piece::Text(&text[done..range.start], done))?;
            }
            done = range.end;
            visit(Piece::Token(token.id, range))?;
        }
        if done < text.len() { visit(Piece::Text(&text[done..], done)) } else { Ok(()) }
    }
}

/// `\w` for the flag `single_word`.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
