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
/// is added, the lowest 64 bits are its hash. 0 in an empty slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Key(u128);

impl Key {
    const IS_LONG: u128 = 0x80 << 120;
    /// Of words that are not kept; no slot has it.
    pub(super) const NONE: Key = Key(u128::MAX);
    pub(super) const EMPTY: Key = Key(0);

    /// Of a word of `len` bytes, which are `bytes`. No slot has that of [`INLINE`] + 1.
    #[inline(always)]
    pub(super) fn short(bytes: u128, len: usize) -> Key {
        Key(bytes | TAGS[len])
    }

    /// Of a word longer than [`INLINE`].
    pub(super) fn long(word: &[u8]) -> Key {
        if word.len() > LONGEST {
            return Key::NONE;
        }
        Key(Key::IS_LONG | (word.len() as u128) << 120 | u128::from(hash_long(word)))
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

// SAFETY: numbers of zero bits are zero.
unsafe impl Zero for Line {}
