//! The counting table: words to 64-bit counts, open addressing. Words up to 16 bytes stand in the slot itself and compare as
//! one 128-bit number; longer ones in the arena.

use crate::error::{Error, Result};
use crate::hash::{INLINE, hash_long, hash_short, load};

const INITIAL_SLOTS: usize = 1 << 10;

/// Counts of words (byte strings).
#[derive(Debug, Clone)]
pub struct CountTable {
    /// A power of two; at most half of them taken, so that probes stay short.
    slots: Vec<Slot>,
    taken: usize,
    /// The bytes of long words, end to end.
    arena: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The word, padded with zeros; for a long word its hash and its offset in the arena.
    key: [u8; INLINE],
    count: u64,
    /// Length of the word: it tells a word from the same word followed by zeros. `u64`, since the padding is there anyway.
    len: u64,
}

const EMPTY: Slot = Slot { key: [0; INLINE], count: 0, len: u64::MAX };

impl Slot {
    fn is_empty(&self) -> bool {
        self.len == u64::MAX
    }

    fn long_hash(&self) -> u64 {
        (u128::from_le_bytes(self.key) >> 64) as u64
    }

    fn offset(&self) -> usize {
        u128::from_le_bytes(self.key) as u64 as usize
    }

    fn hash(&self) -> u64 {
        if self.len as usize <= INLINE {
            hash_short(u128::from_le_bytes(self.key), self.len as usize)
        } else {
            self.long_hash()
        }
    }
}

impl Default for CountTable {
    fn default() -> Self {
        CountTable { slots: vec![EMPTY; INITIAL_SLOTS], taken: 0, arena: Vec::new() }
    }
}

impl CountTable {
    /// Number of distinct words.
    pub fn len(&self) -> usize {
        self.taken
    }

    /// Whether no word was counted.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Counts one occurrence of each of the words in `text` that follow each other from `start` and end at `ends`. A 64-bit
    /// count of single occurrences cannot overflow.
    #[inline]
    pub fn increment(&mut self, text: &[u8], mut start: usize, ends: &[usize]) {
        for &end in ends {
            self.slot(text, start, end).count += 1;
            start = end;
        }
    }

    /// Adds `count` occurrences of `word`.
    ///
    /// # Errors
    /// [`Error::CountOverflow`] when the sum does not fit 64 bits.
    pub fn add(&mut self, word: &[u8], count: u64) -> Result<()> {
        let slot = self.slot(word, 0, word.len());
        match slot.count.checked_add(count) {
            Some(sum) => slot.count = sum,
            None => return Err(Error::CountOverflow { what: format!("the word {:?}", String::from_utf8_lossy(word)) }),
        }
        Ok(())
    }

    /// Adds all counts of `other`.
    ///
    /// # Errors
    /// [`Error::CountOverflow`] when a sum does not fit 64 bits.
    pub fn merge(&mut self, other: &CountTable) -> Result<()> {
        other.iter().try_for_each(|(word, count)| self.add(word, count))
    }

    /// The words and their counts, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.slots.iter().filter(|slot| !slot.is_empty()).map(|slot| {
            let len = slot.len as usize;
            let word = if len <= INLINE { &slot.key[..len] } else { &self.arena[slot.offset()..slot.offset() + len] };
            (word, slot.count)
        })
    }

    /// The slot of the word, made with count 0 if it is new.
    #[inline]
    fn slot(&mut self, text: &[u8], start: usize, end: usize) -> &mut Slot {
        if self.taken * 2 >= self.slots.len() {
            self.grow();
        }
        let len = end - start;
        if len <= INLINE {
            let key = load(text, start, len);
            let (index, found) =
                self.probe(hash_short(key, len), |slot| slot.len == len as u64 && u128::from_le_bytes(slot.key) == key);
            if !found {
                self.taken += 1;
                self.slots[index] = Slot { key: key.to_le_bytes(), count: 0, len: len as u64 };
            }
            &mut self.slots[index]
        } else {
            self.long_slot(&text[start..end])
        }
    }

    #[cold]
    fn long_slot(&mut self, word: &[u8]) -> &mut Slot {
        let hash = hash_long(word);
        let (index, found) = self.probe(hash, |slot| {
            slot.len == word.len() as u64
                && slot.long_hash() == hash
                && &self.arena[slot.offset()..slot.offset() + word.len()] == word
        });
        if !found {
            self.taken += 1;
            let key = u128::from(hash) << 64 | self.arena.len() as u128;
            self.arena.extend_from_slice(word);
            self.slots[index] = Slot { key: key.to_le_bytes(), count: 0, len: word.len() as u64 };
        }
        &mut self.slots[index]
    }

    /// Index of the first slot from `hash` on that `is_it` accepts, or of the empty one before it.
    #[inline(always)]
    fn probe(&self, hash: u64, is_it: impl Fn(&Slot) -> bool) -> (usize, bool) {
        let mask = self.slots.len() - 1;
        let mut index = hash as usize & mask;
        loop {
            let slot = &self.slots[index];
            if is_it(slot) {
                return (index, true);
            }
            if slot.is_empty() {
                return (index, false);
            }
            index = (index + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let bigger = vec![EMPTY; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, bigger);
        for slot in old.into_iter().filter(|slot| !slot.is_empty()) {
            let (index, _) = self.probe(slot.hash(), |_| false);
            self.slots[index] = slot;
        }
    }
}
