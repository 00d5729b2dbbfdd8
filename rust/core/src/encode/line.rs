//! The cache lines that known words stand in: a word that fits is its own key, and has its ids beside it.

use super::index::LENGTHS;
use super::value::Value;
use crate::hash::{hash_long, hash_short};
use crate::memory::Zero;

/// A word of up to this many bytes is its own key.
pub(super) const INLINE: usize = 15;
/// Longer words are not kept: they hardly repeat.
const LONGEST: usize = LENGTHS - 2;

/// By length of a word, what its key has beside its bytes.
const TAGS: [u128; INLINE + 2] = {
    let mut tags = [0; INLINE + 2];
    let mut len = 0;
    while len < tags.len() {
        tags[len] = (len as u128) << 120;
        len += 1;
    }
    tags
};

/// The highest byte is the length of the word, and below it are its bytes; of a long word, to whose length [`Key::IS_LONG`]
/// is added, the lowest 64 bits are its hash; of a run, the highest byte is [`Key::RUN`], and below it are its first two bytes and
/// its length. 0 in an empty slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Key(u128);

impl Key {
    const IS_LONG: u128 = 0x80 << 120;
    /// The length of no word that has it in its key.
    const RUN: u128 = 0x7f;
    /// Of words that are not kept; no slot has it.
    pub(super) const NONE: Key = Key(u128::MAX);
    pub(super) const EMPTY: Key = Key(0);

    /// Of a word of `len` bytes, which are `bytes`. No slot has that of [`INLINE`] + 1.
    #[inline(always)]
    pub(super) fn short(bytes: u128, len: usize) -> Key {
        Key(bytes | TAGS[len])
    }

    /// Of a word longer than [`INLINE`].
    pub(super) fn longer(word: &[u8]) -> Key {
        if word.len() > LONGEST {
            return Key::NONE;
        }
        if is_run(word) {
            let bytes = u128::from(word[0]) | u128::from(word[1]) << 8;
            return Key(Key::RUN << 120 | (word.len() as u128) << 16 | bytes);
        }
        Key(Key::IS_LONG | (word.len() as u128) << 120 | u128::from(hash_long(word)))
    }

    /// Whether it is of a word that is one byte and many times another: a newline and its indentation, or a line of dashes. Such
    /// a word is its own key, however long.
    #[inline(always)]
    pub(super) fn is_run(self) -> bool {
        self.0 >> 120 == Key::RUN
    }

    /// Whether it is of a long word that may be kept.
    #[inline(always)]
    pub(super) fn is_long(self) -> bool {
        self.0 & Key::IS_LONG != 0 && self != Key::NONE
    }

    /// How many bytes its word has.
    #[inline(always)]
    pub(super) fn len(self) -> usize {
        (self.0 >> 120) as usize % LENGTHS
    }

    #[inline(always)]
    pub(super) fn hash(self) -> u64 {
        if self.is_long() { self.0 as u64 } else { hash_short(self.0) }
    }
}

/// A cache line: two slots.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct Line {
    pub(super) keys: [Key; 2],
    pub(super) values: [Value; 2],
}

/// Whether all bytes of a word longer than [`INLINE`] are the same but for the first.
#[inline(always)]
fn is_run(word: &[u8]) -> bool {
    let rest = &word[1..];
    let eight = [rest[0]; 8];
    // The last eight bytes by themselves, whether they are a whole number of times eight from the others or not.
    rest.as_chunks().0.iter().all(|bytes| *bytes == eight) && rest.last_chunk() == Some(&eight)
}

// SAFETY: numbers of zero bits are zero.
unsafe impl Zero for Line {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_words_have_different_keys_and_runs_are_told() {
        let mut keys = std::collections::HashMap::new();
        for len in 1..=LONGEST {
            for (first, other, rest) in
                [(b'\n', None, b' '), (b' ', None, b' '), (b' ', Some(b'x'), b' '), (b'-', None, b'=')]
            {
                for place in 0..len {
                    let mut word = vec![rest; len];
                    word[0] = first;
                    word[place] = other.unwrap_or(word[place]);
                    let key = if len > INLINE {
                        Key::longer(&word)
                    } else {
                        Key::short(crate::hash::load(&word, 0, len), len)
                    };
                    assert_eq!(key.is_run(), len > INLINE && (other.is_none() || place == 0), "{word:?}");
                    assert!(!(key.is_run() && key.is_long()) && key != Key::NONE && key != Key::EMPTY);
                    assert_eq!(*keys.entry(key.0).or_insert_with(|| word.clone()), word);
                }
            }
        }
        assert_eq!(Key::longer(&[b' '; LONGEST + 1]), Key::NONE);
    }
}
