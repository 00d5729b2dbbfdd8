//! Ids of long words met before, and of those that have many.

use super::beside::Beside;
use super::line::{BESIDE, INLINE_IDS, Key, Line, Value};
use crate::memory::{huge, prefetch};

/// Lines looked at for a word, so that no input, however it was made, makes looking a word up slower than joining it.
const PROBES: usize = 16;
/// Slots that a growing cache begins with (128 KiB).
const FIRST: usize = 1 << 12;

/// A cache of bounded size: an open-addressing table that is emptied when it is full. Results do not depend on what it
/// holds.
#[derive(Debug)]
pub(super) struct WordCache {
    /// A power of two. At most half of the slots are taken while there may be more of them, then three quarters. Of a line,
    /// the left slot is taken first.
    lines: Vec<Line>,
    taken: usize,
    /// The number of slots may grow to this.
    most: usize,
    beside: Beside,
}

impl WordCache {
    /// A cache that grows to at most `most` slots, a power of two.
    pub(super) fn new(most: usize) -> WordCache {
        debug_assert!(most.is_power_of_two() && most >= FIRST);
        WordCache { lines: vec![Line::default(); FIRST / 2], taken: 0, most, beside: Beside::default() }
    }

    /// Forgets all words if there are too many, and makes room for more otherwise. What was found is then lost.
    ///
    /// Returns whether it did forget them.
    #[inline]
    pub(super) fn make_room(&mut self) -> bool {
        if self.beside.bytes() > self.most * size_of::<Line>() * 3 / 4 || self.taken >= self.most / 4 * 3 {
            self.lines.fill(Line::default());
            self.beside.clear();
            self.taken = 0;
            return true;
        }
        if self.taken >= self.lines.len() && self.lines.len() * 2 < self.most {
            self.grow();
        }
        false
    }

    /// Asks for the memory in which a word is looked for.
    #[inline]
    pub(super) fn prefetch(&self, key: Key) {
        prefetch(&self.lines, self.first(key));
    }

    /// Asks for the ids of a word that stand beside the slots.
    #[inline]
    pub(super) fn prefetch_ids(&self, value: &Value) {
        self.beside.prefetch(value[0]);
    }

    /// Asks for what stands beside the slots of a word.
    #[inline]
    pub(super) fn prefetch_word(&self, key: Key) {
        let line = &self.lines[self.first(key)];
        for (known, value) in line.keys.iter().zip(line.values) {
            if *known == key {
                self.beside.prefetch(value[0]);
            }
        }
    }

    /// What is known of a long word.
    #[inline]
    pub(super) fn find(&self, key: Key, word: &[u8]) -> Option<Value> {
        for at in self.probes(key) {
            let Line { keys, values } = &self.lines[at];
            for (known, value) in keys.iter().zip(values) {
                if *known == key && self.is_word(value, word) {
                    return Some(*value);
                }
            }
            if keys[1] == Key::EMPTY {
                return None;
            }
        }
        None
    }

    #[inline]
    fn is_word(&self, value: &Value, word: &[u8]) -> bool {
        self.beside.is_word(value[0], (value[INLINE_IDS] - BESIDE) as usize, word)
    }

    /// The ids of a word that stand beside the slots.
    #[inline]
    pub(super) fn beside(&self, value: &Value) -> &[u32] {
        self.beside.ids(value[0], (value[INLINE_IDS] - BESIDE) as usize)
    }

    #[inline(always)]
    fn first(&self, key: Key) -> usize {
        key.hash() as usize & (self.lines.len() - 1)
    }

    /// The lines in which a word may stand, in order; it stands before the first empty slot.
    #[inline(always)]
    fn probes(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        let (first, mask) = (self.first(key), self.lines.len() - 1);
        (0..PROBES).map(move |step| (first + step) & mask)
    }

    /// Keeps ids beside the slots.
    pub(super) fn put_beside(&mut self, ids: &[u32]) -> Value {
        [self.beside.push(ids, &[]), 0, 0, BESIDE + ids.len() as u32]
    }

    /// Keeps the ids of a long word that was not found.
    pub(super) fn insert(&mut self, key: Key, word: &[u8], ids: &[u32]) {
        debug_assert!(ids.len() <= word.len(), "{} ids for {} bytes", ids.len(), word.len());
        // It may have been missed twice.
        if self.find(key, word).is_some() {
            return;
        }
        let at = self.beside.push(ids, word);
        self.place(key, [at, 0, 0, BESIDE + ids.len() as u32]);
    }

    /// Puts a word in its place; without a free one near where it belongs it is not kept.
    fn place(&mut self, key: Key, value: Value) {
        for at in self.probes(key) {
            let Line { keys, values } = &mut self.lines[at];
            if let Some(slot) = keys.iter().position(|&key| key == Key::EMPTY) {
                (keys[slot], values[slot]) = (key, value);
                self.taken += 1;
                return;
            }
        }
    }

    #[cold]
    fn grow(&mut self) {
        let bigger = huge((self.lines.len() * 4).min(self.most / 2), Line::default());
        self.taken = 0;
        for Line { keys, values } in std::mem::replace(&mut self.lines, bigger) {
            for (key, value) in keys.into_iter().zip(values).filter(|(key, _)| *key != Key::EMPTY) {
                self.place(key, value);
            }
        }
    }
}
