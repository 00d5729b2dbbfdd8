//! Ids of words met before: text repeats its words, and looking one up is far cheaper than joining it.

use super::memo::Memo;
use crate::hash::{INLINE, hash_short, load};

/// Words up to `INLINE` bytes and this many ids are kept in slots of 32 bytes, two slots a cache line.
const INLINE_IDS: usize = 3;
/// Longer words, up to this many bytes, are kept in a table of their own; beyond it they hardly repeat.
const LONGEST: usize = 128;

/// A cache of bounded size. Results do not depend on what it holds.
#[derive(Debug)]
pub(crate) struct WordCache {
    /// A power of two; a word stands in one of the two slots of its pair, the newer one first.
    slots: Vec<Slot>,
    long: Memo,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: [u8; INLINE],
    ids: [u32; INLINE_IDS],
    len: u8,
    /// Number of ids; 0 in an empty slot.
    count: u8,
}

impl WordCache {
    /// `slots` is a power of two.
    pub(crate) fn new(slots: usize) -> WordCache {
        debug_assert!(slots.is_power_of_two() && slots >= 2);
        WordCache { slots: vec![Slot::default(); slots], long: Memo::new(slots * 8) }
    }

    /// Appends the ids of the word `text[start..end]` to `ids`, from the cache or as `encode` finds them.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        text: &[u8],
        start: usize,
        end: usize,
        ids: &mut Vec<u32>,
        encode: impl FnOnce(&[u8], &mut Vec<u32>),
    ) {
        let len = end - start;
        if len > INLINE {
            let word = &text[start..end];
            return if len > LONGEST { encode(word, ids) } else { self.long.encode(word, ids, encode) };
        }
        let key = load(text, start, len);
        let pair = hash_short(key, len) as usize & (self.slots.len() - 2);
        for slot in &self.slots[pair..pair + 2] {
            if u128::from_le_bytes(slot.key) == key && usize::from(slot.len) == len && slot.count > 0 {
                ids.extend_from_slice(&slot.ids[..usize::from(slot.count)]);
                return;
            }
        }
        let first = ids.len();
        encode(&text[start..end], ids);
        let found = &ids[first..];
        if found.len() <= INLINE_IDS {
            let mut slot = Slot { key: key.to_le_bytes(), len: len as u8, count: found.len() as u8, ..Slot::default() };
            slot.ids[..found.len()].copy_from_slice(found);
            self.slots[pair + 1] = std::mem::replace(&mut self.slots[pair], slot);
        }
    }
}
