//! Ids of words met before: text repeats its words, and looking one up is far cheaper than joining it.

use hashbrown::HashTable;

use crate::hash::{INLINE, hash_long, hash_short, load};

/// Words up to `INLINE` bytes and this many ids are kept in slots of 32 bytes, two slots a cache line.
const INLINE_IDS: usize = 3;
/// Longer words, up to this many bytes, are kept in a table of their own; beyond it they hardly repeat.
const LONGEST: usize = 128;

/// A cache of bounded size. Results do not depend on what it holds.
#[derive(Debug)]
pub(crate) struct WordCache {
    /// A power of two; a word stands in one of the two slots of its pair, the newer one first.
    slots: Vec<Slot>,
    long: LongWords,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: [u8; INLINE],
    ids: [u32; INLINE_IDS],
    len: u8,
    /// Number of ids; 0 in an empty slot.
    count: u8,
}

/// Words to ids, emptied when full.
#[derive(Debug, Default)]
struct LongWords {
    table: HashTable<LongWord>,
    words: Vec<u8>,
    ids: Vec<u32>,
    /// Most bytes in `words`.
    capacity: usize,
}

#[derive(Debug, Clone, Copy)]
struct LongWord {
    hash: u64,
    word: (u32, u32),
    ids: (u32, u32),
}

impl WordCache {
    /// `slots` is a power of two.
    pub(crate) fn new(slots: usize) -> WordCache {
        debug_assert!(slots.is_power_of_two() && slots >= 2);
        let long = LongWords { capacity: slots * 8, ..LongWords::default() };
        WordCache { slots: vec![Slot::default(); slots], long }
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
            return self.long.encode(&text[start..end], ids, encode);
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

impl LongWords {
    fn encode(&mut self, word: &[u8], ids: &mut Vec<u32>, encode: impl FnOnce(&[u8], &mut Vec<u32>)) {
        if word.len() > LONGEST {
            return encode(word, ids);
        }
        let hash = hash_long(word);
        let LongWords { table, words, ids: kept, capacity } = self;
        let found = table.find(hash, |entry| {
            let (start, len) = entry.word;
            entry.hash == hash && &words[start as usize..(start + len) as usize] == word
        });
        if let Some(entry) = found {
            let (start, len) = entry.ids;
            ids.extend_from_slice(&kept[start as usize..(start + len) as usize]);
            return;
        }
        if words.len() + word.len() > *capacity {
            table.clear();
            words.clear();
            kept.clear();
        }
        let first = ids.len();
        encode(word, ids);
        let entry = LongWord {
            hash,
            word: (words.len() as u32, word.len() as u32),
            ids: (kept.len() as u32, (ids.len() - first) as u32),
        };
        words.extend_from_slice(word);
        kept.extend_from_slice(&ids[first..]);
        table.insert_unique(hash, entry, |entry| entry.hash);
    }
}
