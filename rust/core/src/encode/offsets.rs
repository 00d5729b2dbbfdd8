//! Ids with the characters of the original text that they stand for.

use std::ops::Range;

use super::added::Piece;
use super::selection::Allowed;
use super::text::Encoding;
use crate::control::Control;
use crate::error::Result;
use crate::tokenizer::Tokenizer;

impl Tokenizer {
    /// The ids of `text`, and for each the range of characters it stands for. A token that holds a part of a character
    /// has that character's range. Under NFC the range is one of the text as given.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], and [`crate::Error::Cancelled`].
    pub fn encode_with_offsets(
        &self,
        text: &str,
        allowed: &Allowed,
        control: &Control,
    ) -> Result<(Vec<u32>, Vec<Range<usize>>)> {
        let selection = self.select(allowed)?;
        let mut ids = Vec::new();
        let mut spans: Vec<Range<usize>> = Vec::new();
        let mut lent = self.scratch().lend(text.len());
        let scratch = lent.scratch();
        selection.raw.split(text, |piece| {
            let (raw, raw_start) = match piece {
                Piece::Token(id, range) => {
                    ids.push(id);
                    spans.push(range);
                    return Ok(());
                }
                Piece::Text(text, start) => (text, start),
            };
            let (normalized, alignment) = self.definition().normalizer.apply_aligned(raw);
            let original = |range: Range<usize>| {
                let original = alignment.original(range);
                raw_start + original.start..raw_start + original.end
            };
            selection.normalized.split(&normalized, |piece| match piece {
                Piece::Token(id, range) => {
                    ids.push(id);
                    spans.push(original(range));
                    Ok(())
                }
                Piece::Text(ordinary, mut at) => {
                    let first = ids.len();
                    let mut encoding = Encoding::new(self, scratch, control, &mut ids);
                    encoding.ordinary(ordinary)?;
                    encoding.finish();
                    // The tokens of a text without added tokens are its bytes, end to end.
                    for &id in &ids[first..] {
                        let len = self.vocab().token(id).map_or(0, <[u8]>::len);
                        spans.push(original(at..at + len));
                        at += len;
                    }
                    Ok(())
                }
            })
        })?;
        Ok((ids, to_characters(text, &spans)))
    }
}

/// Byte ranges to ranges of the characters that they touch.
fn to_characters(text: &str, spans: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut character = 0usize;
    let of_byte: Vec<usize> = text
        .bytes()
        .enumerate()
        .map(|(at, _)| {
            character += usize::from(at > 0 && text.is_char_boundary(at));
            character
        })
        .collect();
    spans.iter().map(|span| of_byte[span.start]..of_byte[span.end - 1] + 1).collect()
}
