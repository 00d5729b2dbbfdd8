//! Where a word can be cut because no token of a vocabulary lies across.
//!
//! No join makes a token that is not in the vocabulary, so where none has two bytes side by side, what is joined on one side of
//! them does not depend on the other side, whatever the ranks. A vocabulary has few tokens of two characters in the scripts that
//! it was not made for: there, words are cut into single characters, which come again and again where words do not, and nearly
//! each of them is looked up and not joined. (With GPT-2's vocabulary, the 290,000 different words of 12 MB of Chinese, Korean
//! and Japanese become 49,000 pieces, of 0.35 MB in place of 5.7.)

use std::ops::{Range, RangeInclusive};

use super::class::{CASELESS, class_at};

/// Whether there is a seam before a character of three or four bytes, by its first byte and the last of the one before.
///
/// Before no others: characters of two bytes (Cyrillic, Greek, Arabic) are mostly one token each, and to look up one word of them
/// takes less than to look up all its letters.
#[derive(Debug, Clone)]
pub(crate) struct Seams {
    /// By the lowest bits of the first byte of a character: the bits of the last bytes of the one before, by their lowest bits.
    apart: [u64; 1 << LEAD_BITS],
    /// Whether there are any.
    any: bool,
}

/// The first bytes of characters of three and four bytes.
pub(super) const LEADS: RangeInclusive<u8> = 0xe0..=0xff;
/// In which bits they differ.
const LEAD_BITS: u32 = 5;
/// In which bits the bytes differ that characters go on with.
const CONTINUATION_BITS: u32 = 6;

impl Seams {
    /// No seams.
    pub(super) const NONE: Seams = Seams { apart: [0; 1 << LEAD_BITS], any: false };

    /// Those of a vocabulary of `tokens`.
    pub(crate) fn between<'a>(tokens: impl IntoIterator<Item = &'a [u8]>) -> Seams {
        let mut apart = [u64::MAX; 1 << LEAD_BITS];
        let inside = |two: &&[u8]| !two[0].is_ascii() && LEADS.contains(&two[1]);
        for two in tokens.into_iter().flat_map(|token| token.windows(2)).filter(inside) {
            apart[lead(two[1])] &= !(1 << continuation(two[0]));
        }
        Seams { apart, any: apart.iter().any(|&apart| apart != 0) }
    }

    /// Whether they are worth looking for.
    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// Whether there is a seam between a character that is not ASCII, whose last byte is `last`, and one of three or four bytes
    /// that begins with `first`.
    #[inline(always)]
    pub(super) fn is_between(&self, last: u8, first: u8) -> bool {
        self.apart[lead(first)] >> continuation(last) & 1 != 0
    }

    /// The seams between letters without case in `text[word]`.
    pub(super) fn within(&self, text: &[u8], word: Range<usize>) -> impl Iterator<Item = usize> {
        let (mut at, mut behind_letter) = (word.start, false);
        std::iter::from_fn(move || {
            while at < word.end {
                let start = at;
                let (class, len) = class_at(text, start);
                at += len;
                let behind_another = std::mem::replace(&mut behind_letter, class == CASELESS);
                if behind_letter
                    && behind_another
                    && LEADS.contains(&text[start])
                    && self.is_between(text[start - 1], text[start])
                {
                    return Some(start);
                }
            }
            None
        })
    }
}

#[inline(always)]
fn lead(byte: u8) -> usize {
    usize::from(byte) % (1 << LEAD_BITS)
}

#[inline(always)]
fn continuation(byte: u8) -> u32 {
    u32::from(byte) % (1 << CONTINUATION_BITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Pattern, PreTokenizer};
    use super::*;
    use crate::processor::Instructions;

    fn ends(pre_tokenizer: &PreTokenizer, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        pre_tokenizer.for_each(text, &mut |_: &[u8], _: usize, end: usize| ends.push(end)).unwrap();
        ends
    }

    proptest! {
        #[test]
        fn pre_tokens_are_cut_at_seams_between_letters_and_nowhere_else(
            parts in prop::collection::vec(prop::sample::select(vec!["日", "本", "한", "국", "ท", "ี", "…", "𠀀", "é", "a", "A", " ", "'s", "१"]), 0..400),
            tokens in prop::collection::vec(prop::sample::select(vec!["本日", "日본", "한국", "ทท", "日ท"]), 0..4),
        ) {
            let text = parts.concat();
            let seams = Seams::between(tokens.iter().map(|token| token.as_bytes()));
            let is_apart = |two: &[u8]| !tokens.iter().any(|token| token.as_bytes().windows(2).any(|bytes| bytes == two));
            let letter = |text: &str| text.chars().next().is_some_and(|first| "日本한국ท𠀀".contains(first));
            for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::Qwen, Pattern::O200k] {
                let whole = ends(&PreTokenizer::new(&pattern).unwrap(), &text);
                let mut expected = whole.clone();
                if pattern != Pattern::O200k {
                    let behind = |at: usize| text[..at].char_indices().next_back().is_some_and(|(before, _)| letter(&text[before..]));
                    expected.extend((1..text.len()).filter(|&at| {
                        text.is_char_boundary(at) && letter(&text[at..]) && behind(at) && is_apart(&text.as_bytes()[at - 1..=at])
                    }));
                    expected.sort_unstable();
                    expected.dedup();
                }
                for most in [Instructions::Portable, Instructions::Avx2, Instructions::Avx512] {
                    let cut = PreTokenizer::new(&pattern).unwrap().limited_to(most).with_seams(seams.clone());
                    let found = ends(&cut, &text);
                    // Vectors leave some words to the other way, whole.
                    prop_assert!(found.iter().all(|end| expected.contains(end)), "{pattern} {most:?}");
                    prop_assert!(whole.iter().all(|end| found.contains(end)), "{pattern} {most:?}");
                    if most == Instructions::Portable {
                        prop_assert_eq!(found, &expected[..], "{}", pattern);
                    }
                }
            }
        }
    }
}
