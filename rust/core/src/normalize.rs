//! Unicode normalization form C, with the way back to the text as given.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc, is_nfc_quick};

use crate::definition::Normalizer;

impl Normalizer {
    /// The normalized text.
    pub fn apply<'t>(self, text: &'t str) -> Cow<'t, str> {
        match self {
            Normalizer::Nfc if !is_nfc(text) => Cow::Owned(text.nfc().collect()),
            Normalizer::None | Normalizer::Nfc => Cow::Borrowed(text),
        }
    }

    /// The normalized text and where its parts come from.
    pub fn apply_aligned(self, text: &str) -> (Cow<'_, str>, Alignment) {
        match self {
            Normalizer::Nfc if !is_nfc(text) => {
                let (normalized, alignment) = nfc_aligned(text);
                (Cow::Owned(normalized), alignment)
            }
            Normalizer::None | Normalizer::Nfc => (Cow::Borrowed(text), Alignment::default()),
        }
    }
}

/// Maps byte ranges of a normalized text to the original's. Outside of the changed parts both run in step; a changed
/// part belongs together and is mapped as a whole.
#[derive(Debug, Default)]
pub struct Alignment {
    /// Changed parts in order: range in the normalized text, range in the original.
    changed: Vec<(Range<usize>, Range<usize>)>,
}

impl Alignment {
    /// The range of the original that gave the non-empty `range` of the normalized text.
    pub fn original(&self, range: Range<usize>) -> Range<usize> {
        let start = self.locate(range.start);
        let end = self.locate(range.end - 1);
        start.start..end.end
    }

    /// The original's bytes that the byte at `at` comes from.
    fn locate(&self, at: usize) -> Range<usize> {
        let before = self.changed.partition_point(|(normalized, _)| normalized.end <= at);
        match self.changed.get(before) {
            Some((normalized, original)) if normalized.start <= at => original.clone(),
            _ => {
                let (normalized, original) = match before.checked_sub(1) {
                    Some(last) => (self.changed[last].0.end, self.changed[last].1.end),
                    None => (0, 0),
                };
                original + (at - normalized)..original + (at - normalized) + 1
            }
        }
    }
}

fn nfc_aligned(text: &str) -> (String, Alignment) {
    let mut normalized = String::with_capacity(text.len());
    let mut changed = Vec::new();
    let mut starts = text.char_indices().filter(|&(_, c)| begins_part(c)).map(|(at, _)| at).skip_while(|&at| at == 0);
    let mut start = 0;
    while start < text.len() {
        let end = starts.next().unwrap_or(text.len());
        let part = &text[start..end];
        let before = normalized.len();
        normalized.extend(part.nfc());
        if normalized[before..] != *part {
            changed.push((before..normalized.len(), start..end));
        }
        start = end;
    }
    (normalized, Alignment { changed })
}

/// Whether the character never interacts with what stands before it: a starter that is sure to stay as it is.
fn begins_part(c: char) -> bool {
    canonical_combining_class(c) == 0 && is_nfc_quick(std::iter::once(c)) == IsNormalized::Yes
}
