//! Ids of long words met before, and of those that have many.

use super::beside::Beside;
use super::line::{BESIDE, INLINE_IDS, Key, Line, Value};
use super::slots::Slots;
use crate::memory::prefetch;

/// Long words by hash; their bytes, and ids of any words, stand beside the slots. Results do not depend on what it holds.
#[derive(Debug)]
pub(super) struct WordCache {
    slots: Slots,
    beside: Beside,
}

impl WordCache {
    /// A cache that grows to at most `most` slots, a power of two.
    pub(super) fn new(most: usize) -> WordCache {
        WordCache { slots: Slots::new(most, 0), beside: Beside::default() }
    }

    /// Forgets all words if there are too many, and makes room for more otherwise. What was found is then lost.
    ///
    /// Returns whether it did forget them.
    #[inline]
    pub(super) fn make_room(&mut self) -> bool {
        let forget = self.slots.is_full() || self.beside.bytes() > self.slots.most_bytes() / 2 * 3;
        if forget {
            self.slots.clear();
            self.beside.clear();
        }
        self.slots.make_room(Key::hash);
        forget
    }

    /// Asks for the memory in which a word is looked for.
    #[inline]
    pub(super) fn prefetch(&self, key: Key) {
        prefetch(self.slots.lines(), self.first(key));
    }

    /// Asks for the ids of a word that stand beside the slots.
    #[inline]
    pub(super) fn prefetch_ids(&self, value: &Value) {
        self.beside.prefetch(value[0]);
    }

    /// Asks for what stands beside the slots of a word.
    #[inline]
    pub(super) fn prefetch_word(&self, key: Key) {
        let Line { keys, values } = &self.slots.lines()[self.first(key)];
        for (known, value) in keys.iter().zip(values) {
            if *known == key {
                self.prefetch_ids(value);
            }
        }
    }

    /// What is known of a long word.
    #[inline]
    pub(super) fn find(&self, key: Key, word: &[u8]) -> Option<Value> {
        let is_wanted = |known, value: &Value| {
            known == key && self.beside.is_word(value[0], (value[INLINE_IDS] - BESIDE) as usize, word)
        };
        let (at, slot) = self.slots.find(self.first(key), is_wanted)?;
        Some(self.slots.lines()[at].values[slot])
    }

    /// The ids of a word that stand beside the slots.
    #[inline]
    pub(super) fn beside(&self, value: &Value) -> &[u32] {
        self.beside.ids(value[0], (value[INLINE_IDS] - BESIDE) as usize)
    }

    #[inline(always)]
    fn first(&self, key: Key) -> usize {
        self.slots.first(key.hash())
    }

    /// Keeps ids beside the slots.
    pub(super) fn put_beside(&mut self, ids: &[u32]) -> Value {
        [self.beside.push(ids, &[]), 0, 0, BESIDE + ids.len() as u32]
    }

    /// Keeps the ids of a long word that was not found.
    pub(super) fn insert(&mut self, key: Key, word: &[u8], ids: &[u32]) {
        debug_assert!(ids.len() <= word.len(), "{} ids for {} bytes", ids.len(), word.len());
        // It may have been missed twice.
        if self.find(key, word).is_none() {
            let at = self.beside.push(ids, word);
            self.slots.place(self.first(key), key, [at, 0, 0, BESIDE + ids.len() as u32]);
        }
    }
}
