//! Where a word can be cut because no token of a vocabulary lies across.
//!
//! No join makes a token that is not in the vocabulary, so where none has two bytes side by side, what is joined on one side of
//! them does not depend on the other side, whatever the ranks. A vocabulary has few tokens of two characters in the scripts that
//! it was not made for: there, words are cut into single characters, which come again and again where words do not, and nearly
//! each of them is looked up and not joined. (With GPT-2's vocabulary, the 290,000 different words of 12 MB of Chinese, Korean
//! and Japanese become 49,000 pieces, of 0.35 MB in place of 5.7.)

/// Whether there is a seam before a character of three or four bytes, by its first byte and the last of the one before.
///
/// Before no others: characters of two bytes (Cyrillic, Greek, Arabic) are mostly one token each, and to look up one word of them
/// takes less than to look up all its letters.
#[derive(Debug, Clone)]
pub(crate) struct Seams {
    /// By the lowest bits of the first byte of a character: the bits of the last bytes of the one before, by their lowest bits.
    apart: [u64; 1 << LEAD_BITS],
}

/// The first bytes of characters of three and four bytes.
pub(super) const LEADS: std::ops::RangeInclusive<u8> = 0xe0..=0xff;
/// In which bits they differ.
const LEAD_BITS: u32 = 5;
/// In which bits the bytes differ that characters go on with.
const CONTINUATION_BITS: u32 = 6;

impl Seams {
    /// No seams.
    pub(super) const NONE: Seams = Seams { apart: [0; 1 << LEAD_BITS] };

    /// Those of a vocabulary of `tokens`.
    pub(crate) fn between<'a>(tokens: impl IntoIterator<Item = &'a [u8]>) -> Seams {
        let mut apart = [u64::MAX; 1 << LEAD_BITS];
        for two in tokens.into_iter().flat_map(|token| token.windows(2)).filter(|two| LEADS.contains(&two[1])) {
            apart[lead(two[1])] &= !(1 << continuation(two[0]));
        }
        Seams { apart }
    }

    /// Whether there is a seam between a character that is not ASCII, whose last byte is `last`, and one of three or four bytes
    /// that begins with `first`.
    #[inline(always)]
    pub(super) fn is_between(&self, last: u8, first: u8) -> bool {
        self.apart[lead(first)] >> continuation(last) & 1 != 0
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
