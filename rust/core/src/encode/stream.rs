//! A text that comes in parts of any size to the ids of the whole.

use std::sync::Arc;

use super::added::{Matcher, Piece};
use super::selection::{Allowed, Selection};
use super::text::Encoding;
use crate::control::Control;
use crate::error::Result;
use crate::pretokenize::Pattern;
use crate::tokenizer::Tokenizer;

/// Text that waits for more is looked at again when it has grown by as much as was undecided, or by this many bytes.
const LOOK_AGAIN: usize = 1 << 17;

/// Encodes a text as it comes; the ids are those of the parts joined.
///
/// For the named schemes it holds back no more than the last two pre-tokens, or what may become a special token, and
/// little beside them. A custom regex decides nothing before the text ends, nor does a normalizer or an added token with
/// white space flags: then everything up to the next special token, or to the end, is held.
#[derive(Debug)]
pub struct StreamEncoder {
    tokenizer: Arc<Tokenizer>,
    selection: Selection,
    streaming: bool,
    control: Control,
    pending: String,
    /// Bytes that `pending` must have before another look at it is worthwhile.
    enough: usize,
}

impl StreamEncoder {
    /// # Errors
    /// [`crate::Error::SpecialToken`] for an allowed token that is none of the tokenizer's.
    pub fn new(tokenizer: Arc<Tokenizer>, allowed: &Allowed) -> Result<StreamEncoder> {
        let selection = tokenizer.select(allowed)?.into_owned();
        let streaming = selection.one_pass && !matches!(tokenizer.definition().pattern, Pattern::Custom(_));
        Ok(StreamEncoder {
            tokenizer,
            selection,
            streaming,
            control: Control::default(),
            pending: String::new(),
            enough: 0,
        })
    }

    /// Takes the next part of the text and appends the ids that are decided by now to `ids`.
    ///
    /// # Errors
    /// [`crate::Error::PatternLimit`] under a custom regex.
    pub fn push(&mut self, part: &str, ids: &mut Vec<u32>) -> Result<()> {
        self.pending.push_str(part);
        if self.pending.len() < self.enough {
            return Ok(());
        }
        let done = if self.selection.one_pass { self.encode_decided(ids)? } else { 0 };
        self.pending.drain(..done);
        // Otherwise a long pre-token that comes letter by letter would be scanned at every letter.
        self.enough = self.pending.len() + self.pending.len().min(LOOK_AGAIN);
        if self.pending.is_empty() {
            self.pending.shrink_to(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Ends the text, and appends the remaining ids to `ids`.
    ///
    /// # Errors
    /// As [`StreamEncoder::push`].
    pub fn finish(&mut self, ids: &mut Vec<u32>) -> Result<()> {
        self.enough = 0;
        let text = std::mem::take(&mut self.pending);
        let StreamEncoder { tokenizer, selection, control, .. } = self;
        tokenizer.encode_into(&text, selection, tokenizer.scratch().lend(text.len()).scratch(), control, ids)
    }

    /// Encodes what no further text can change; returns how much of `pending` that is.
    fn encode_decided(&self, ids: &mut Vec<u32>) -> Result<usize> {
        let StreamEncoder { tokenizer, selection, control, pending, .. } = self;
        let matcher = selection.only_matcher();
        let (head, open) = decided_matches(matcher, pending);
        let mut lent = tokenizer.scratch().lend(0);
        let mut encoding = Encoding::new(tokenizer, lent.scratch(), control, ids);
        matcher.split(&pending[..head], |piece| match piece {
            Piece::Token(id, _) => {
                encoding.token(id);
                Ok(())
            }
            Piece::Text(text, _) => encoding.ordinary(text),
        })?;
        let decided = if self.streaming { encoding.decided(&pending[head..open])? } else { 0 };
        encoding.finish();
        Ok(head + decided)
    }
}

/// (The end of the last added token that is sure to be matched, from where on a token may be coming about).
fn decided_matches(matcher: &Matcher, text: &str) -> (usize, usize) {
    let mut head = 0;
    let mut open = first_open(matcher, text, 0);
    for (_, range) in matcher.matches(text) {
        // What starts where a longer token may still come about, or behind that, is undecided.
        if range.start >= open {
            break;
        }
        head = range.end;
        if head > open {
            open = first_open(matcher, text, head);
        }
    }
    (head, open)
}

/// The first place from `from` on where the rest of the text is the beginning of an added token.
fn first_open(matcher: &Matcher, text: &str, from: usize) -> usize {
    let longest = matcher.tokens().iter().map(|token| token.content.len()).max().unwrap_or(0);
    let bytes = text.as_bytes();
    (from.max(text.len().saturating_sub(longest))..text.len())
        .find(|&at| {
            let rest = &bytes[at..];
            matcher
                .tokens()
                .iter()
                .any(|token| token.content.len() > rest.len() && token.content.as_bytes().starts_with(rest))
        })
        .unwrap_or(text.len())
}
