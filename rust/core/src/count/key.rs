//! What the counting table knows a word by: 16 bytes that are equal for equal words and for no others. Words of up to 15
//! bytes are in it whole; for longer ones it says where they are.

use crate::hash::{hash_long, hash_short, load};

/// Words up to this many bytes are kept in their key.
pub(super) const SHORT: usize = 15;

/// The last byte is the length of a short word, which tells it from the same word followed by zeros; before it stand the
/// word's bytes, padded with zeros. Of a long word they hold 32 bits of its hash, 44 of its offset in the arena and 44 of
/// its length, under a last byte that no length is.
///
/// Bytes rather than a number, which would be aligned so that an entry were 32 bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; SHORT + 1]);

const LONG: u8 = 0xff;
const FIELD_BITS: u32 = 44;
const FIELD: u128 = (1 << FIELD_BITS) - 1;

impl Key {
    /// No word's: that of a long word without a hash, an offset and a length that could be.
    pub(super) const NONE: Key = Key([LONG; SHORT + 1]);

    /// The key of the word of `len` bytes at `start`. When it is not short this is no word's key.
    #[inline(always)]
    pub(super) fn short(text: &[u8], start: usize, len: usize) -> Key {
        let bytes = load(text, start, len.min(SHORT));
        let len = len.min(SHORT + 1);
        Key((bytes | (len as u128) << 120).to_le_bytes())
    }

    /// The key of a long word.
    pub(super) fn long(hash: u32, offset: usize, len: usize) -> Key {
        let fields =
            u128::from(hash) << (2 * FIELD_BITS) | (offset as u128 & FIELD) << FIELD_BITS | len as u128 & FIELD;
        Key((fields | u128::from(LONG) << 120).to_le_bytes())
    }

    #[inline(always)]
    pub(super) fn is_long(self) -> bool {
        self.0[SHORT] == LONG
    }

    /// The bytes of a short word.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0[..usize::from(self.0[SHORT]).min(SHORT)]
    }

    /// Of a long word: its offset and its length.
    pub(super) fn range(self) -> (usize, usize) {
        let fields = u128::from_le_bytes(self.0);
        ((fields >> FIELD_BITS & FIELD) as usize, (fields & FIELD) as usize)
    }

    /// The hash that the table places the word by.
    pub(super) fn hash(self) -> u32 {
        if self.is_long() { (u128::from_le_bytes(self.0) >> (2 * FIELD_BITS)) as u32 } else { self.short_hash() }
    }

    /// The hash of a short word.
    #[inline(always)]
    pub(super) fn short_hash(self) -> u32 {
        hash_short(u128::from_le_bytes(self.0)) as u32
    }

    /// Short words compare as these numbers: by their bytes, then by length where one is the other with zeros behind.
    pub(super) fn order(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

/// The hash of a long word.
pub(super) fn long_hash(word: &[u8]) -> u32 {
    hash_long(word) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(word: &[u8]) -> Key {
        Key::short(word, 0, word.len())
    }

    proptest! {
        #[test]
        fn keys_are_equal_and_ordered_as_words_are(
            a in prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xff]), 0..=SHORT),
            b in prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xff]), 0..=SHORT),
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            prop_assert_eq!(key(&a) == key(&b), a == b);
            prop_assert_eq!(key(&a).order().cmp(&key(&b).order()), a.cmp(&b));
            prop_assert!(!key(&a).is_long());
            let longer = [a.as_slice(), &behind].concat();
            prop_assert_eq!(Key::short(&longer, 0, a.len()), key(&a), "whatever follows");
            let key = key(&a);
            prop_assert_eq!(key.bytes(), a.as_slice());
        }

        #[test]
        fn long_keys_say_where(hash in any::<u32>(), offset in 0usize..1 << FIELD_BITS, len in 0usize..1 << FIELD_BITS) {
            let key = Key::long(hash, offset, len);
            prop_assert!(key.is_long());
            prop_assert_eq!((key.hash(), key.range()), (hash, (offset, len)));
        }
    }
}
