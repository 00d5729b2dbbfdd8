//! Ids of long words met before, and of those that have many.

use super::beside::{self, Beside};
use super::id::Id;
use super::index::{Index, PLACES};
use super::line::Key;
use super::value::{Packing, Value};

/// Bytes beside the index for each word that it may have: more than most take.
const BYTES_A_WORD: usize = 64;

/// Long words by hash; their bytes, and ids of any words, stand beside the index. Results do not depend on what it holds.
#[derive(Debug)]
pub(super) struct WordCache {
    index: Index,
    beside: Beside,
}

impl WordCache {
    /// A cache of at most three quarters of `most` words, a power of two.
    pub(super) fn new(packing: Packing, most: usize) -> WordCache {
        let cache = WordCache { index: Index::new(most), beside: Beside::new(packing) };
        debug_assert!(cache.most_bytes() < PLACES / 2 * beside::BYTES, "room for what comes at once");
        cache
    }

    /// The most bytes beside the index, but for what comes at once.
    fn most_bytes(&self) -> usize {
        self.index.most() * BYTES_A_WORD
    }

    /// Forgets all words if there are too many, and makes room for more otherwise. What was found is then lost.
    ///
    /// Returns whether it did forget them.
    #[inline]
    pub(super) fn make_room(&mut self) -> bool {
        let forget = self.index.is_full() || self.beside.bytes() > self.most_bytes();
        if forget {
            self.index.clear();
            self.beside.clear();
        }
        self.index.make_room();
        forget
    }

    /// Asks for the memory in which a word is looked for.
    #[inline]
    pub(super) fn prefetch(&self, key: Key) {
        self.index.prefetch(key.hash());
    }

    /// Asks for the ids that stand at `place` beside the index.
    #[inline]
    pub(super) fn prefetch_ids(&self, place: u32) {
        self.beside.prefetch(place);
    }

    /// Asks for what stands beside the index of a word.
    #[inline]
    pub(super) fn prefetch_word(&self, key: Key) {
        if let Some((place, _)) = self.index.find(key.hash(), key.len(), |_, _| true) {
            self.beside.prefetch(place);
        }
    }

    /// What is known of a long word.
    #[inline]
    pub(super) fn find(&self, key: Key, word: &[u8]) -> Option<Value> {
        let is_word = |place, count| self.beside.is_word(place, count, word);
        let (place, count) = self.index.find(key.hash(), word.len(), is_word)?;
        Some(Value::beside(place, count))
    }

    /// Writes the `count` ids that stand at `place` beside the index to `to`, and what else there is to a multiple of
    /// [`beside::MOST`].
    ///
    /// # Safety
    /// There is room.
    #[inline(always)]
    pub(super) unsafe fn copy_beside<I: Id>(&self, place: u32, count: usize, to: *mut I) {
        // SAFETY: the contract is the same.
        unsafe { self.beside.copy(place, count, to) }
    }

    /// Keeps ids beside the index.
    pub(super) fn put_beside(&mut self, ids: &[u32]) -> Value {
        Value::beside(self.beside.push(ids, &[]), ids.len())
    }

    /// Keeps the ids of a long word that was not found.
    pub(super) fn insert(&mut self, key: Key, word: &[u8], ids: &[u32]) {
        debug_assert!(ids.len() <= word.len(), "{} ids for {} bytes", ids.len(), word.len());
        // It may have been missed twice.
        if self.find(key, word).is_none() {
            let place = self.beside.push(ids, word);
            self.index.insert(key.hash(), word.len(), place, ids.len());
        }
    }
}
