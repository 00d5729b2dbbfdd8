//! The counting table: words to 64-bit counts.
//!
//! Entries of 24 bytes stand end to end in the order in which the words were first seen, so that the frequent ones share
//! few cache lines, and an index of 4 bytes a slot finds them. This is small, and grows without a copy of it all: the
//! index is dropped and made again, the entries are only added to.
//!
//! What costs is waiting for memory. So words are looked up many at a time, in passes: nothing in a pass waits for what an
//! earlier word of the same pass asked for, and the passes that every word goes through do not branch on what it is.
//!
//! Not faster: one pass over everything (each word is a chain of two look-ups, and only three or four of those are
//! in flight at a time); no front (half of the time went into the index, which is spread over megabytes); a front that
//! holds no part of the hash (each word that it does not know then loads an entry that is not its own from far away).

use std::ops::Range;

use super::key::{Key, SHORT, long_hash};
use crate::error::{Error, Result};
use crate::memory::prefetch;

/// A power of two.
const INITIAL_SLOTS: usize = 1 << 12;
/// No entry. No slot with an entry looks like it: there are fewer entries than slots.
const EMPTY: u32 = u32::MAX;
/// Words that are looked up together: their numbers fit a byte.
const BATCH: usize = 255;
/// Slots of the front: as many as fit the second-level cache well.
const FRONT_BITS: u32 = 14;
const FRONT: usize = 1 << FRONT_BITS;
/// Bits of the hash that a slot of the front holds, below the number of an entry.
const TAG_BITS: u32 = 8;
const TAG: u32 = (1 << TAG_BITS) - 1;

/// Counts of words (byte strings).
#[derive(Debug, Clone)]
pub struct CountTable {
    /// The first is no word's: it is what a slot of the front points to that knows none.
    entries: Vec<Entry>,
    /// Open addressing over a power of two of slots, at most three quarters of them taken. A slot holds the number of an
    /// entry in as many bits as a slot number has, and the upper bits of the entry's hash above them.
    index: Vec<u32>,
    /// The short word that was seen last, by the upper bits of its hash: the number of its entry and a tag.
    front: Box<[u32; FRONT]>,
    /// The bytes of long words, end to end.
    arena: Vec<u8>,
    scratch: Box<Scratch>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    count: u64,
}

/// The words of a batch on their way through the passes. Kept, so that it need not be cleared each time.
#[derive(Debug, Clone)]
struct Scratch {
    keys: [Key; BATCH + 1],
    hashes: [u32; BATCH + 1],
    /// The entries that the front gives for the words, or 0.
    numbers: [u32; BATCH + 1],
    /// Which words of the batch are long.
    longs: [u8; BATCH + 1],
}

impl Default for CountTable {
    fn default() -> Self {
        CountTable::with_room(INITIAL_SLOTS, 0, 0)
    }
}

impl CountTable {
    /// A table that takes about `bytes` of memory until [`CountTable::is_full`], without ever moving what it holds.
    pub(super) fn within(bytes: usize) -> CountTable {
        let slots = (bytes / 5 / size_of::<u32>()).max(2 * BATCH);
        let slots = if slots.is_power_of_two() { slots } else { slots.next_power_of_two() / 2 };
        // Room for either kind of word alone; what is not used of it takes up addresses only.
        CountTable::with_room(slots, slots / 4 * 3 + 1, bytes)
    }

    fn with_room(slots: usize, entries: usize, arena: usize) -> CountTable {
        let mut table = CountTable {
            entries: Vec::with_capacity(entries),
            index: vec![EMPTY; slots],
            front: Box::new([0; FRONT]),
            arena: Vec::with_capacity(arena),
            scratch: Box::new(Scratch {
                keys: [Key::NONE; BATCH + 1],
                hashes: [0; BATCH + 1],
                numbers: [0; BATCH + 1],
                longs: [0; BATCH + 1],
            }),
        };
        table.entries.push(Entry { key: Key::NONE, count: 0 });
        table
    }

    /// Whether `words` more words of together `bytes` bytes could take the table beyond `limit` bytes of memory, or make
    /// it grow its index.
    pub(super) fn is_full(&self, limit: usize, words: usize, bytes: usize) -> bool {
        self.entries.len() + words > self.room() || self.bytes() + words * size_of::<Entry>() + bytes > limit
    }

    /// Memory in use.
    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * size_of::<Entry>() + self.index.len() * size_of::<u32>() + self.arena.len()
    }

    /// Forgets all words, but keeps the memory.
    pub(super) fn clear(&mut self) {
        self.entries.truncate(1);
        self.index.fill(EMPTY);
        self.front.fill(0);
        self.arena.clear();
    }

    /// Number of distinct words.
    pub fn len(&self) -> usize {
        self.entries.len() - 1
    }

    /// Whether no word was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts one occurrence of each of the words in `text` that follow each other from `start` and end at `ends`. A 64-bit
    /// count of single occurrences cannot overflow.
    ///
    /// # Errors
    /// [`Error::Argument`] beyond 3 · 2³⁰ distinct words.
    pub fn increment(&mut self, text: &[u8], mut start: usize, ends: &[usize]) -> Result<()> {
        for ends in ends.chunks(BATCH) {
            self.reserve(ends.len())?;
            self.increment_batch(text, start, ends);
            start = ends[ends.len() - 1];
        }
        Ok(())
    }

    fn increment_batch(&mut self, text: &[u8], first: usize, ends: &[usize]) {
        let (shorts, longs) = read(text, first, ends, &self.front, &self.entries, &mut self.scratch);
        let misses = count_known(shorts, &mut self.entries, &mut self.scratch);
        self.count_missed(misses);
        for i in 0..longs {
            let i = usize::from(self.scratch.longs[i]);
            let start = if i == 0 { first } else { ends[i - 1] };
            let number = self.long_entry(&text[start..ends[i]]);
            self.entries[number].count += 1;
        }
    }

    /// Counts the short words that the front did not know, and makes them known to it.
    fn count_missed(&mut self, misses: usize) {
        self.expect(misses);
        for i in 0..misses {
            let (key, hash) = (self.scratch.keys[i], self.scratch.hashes[i]);
            let number = self.short_entry(key, hash);
            self.entries[number].count += 1;
            if number < 1 << (u32::BITS - TAG_BITS) {
                self.front[front_slot(hash)] = (number as u32) << TAG_BITS | hash & TAG;
            }
        }
    }

    /// Asks for what the look-ups of the first `words` hashes of the scratch will read.
    fn expect(&self, words: usize) {
        let mask = self.index.len() - 1;
        for &hash in &self.scratch.hashes[..words] {
            prefetch(&self.index, hash as usize & mask);
        }
        for &hash in &self.scratch.hashes[..words] {
            let slot = self.index[hash as usize & mask];
            prefetch(&self.entries, slot as usize & mask);
        }
    }

    /// Adds `count` occurrences of `word`.
    ///
    /// # Errors
    /// [`Error::CountOverflow`] when the sum does not fit 64 bits; [`Error::Argument`] as for [`CountTable::increment`].
    pub fn add(&mut self, word: &[u8], count: u64) -> Result<()> {
        self.reserve(1)?;
        let number = if word.len() <= SHORT {
            let key = Key::short(word, 0, word.len());
            self.short_entry(key, key.hash())
        } else {
            self.long_entry(word)
        };
        self.add_to(number, count)
    }

    /// Adds a count of each of the words that stand end to end in `words`, of so many bytes each.
    ///
    /// # Errors
    /// As [`CountTable::add`].
    pub(super) fn add_all(&mut self, words: &[u8], lengths: &[u32], counts: &[u64]) -> Result<()> {
        // Every word is another: there will be so many at least.
        self.reserve(lengths.len().saturating_sub(self.len()))?;
        let mut start = 0;
        for (lengths, counts) in lengths.chunks(BATCH).zip(counts.chunks(BATCH)) {
            self.reserve(lengths.len())?;
            let mut end = start;
            for (i, &length) in lengths.iter().enumerate() {
                let length = length as usize;
                let key = Key::short(words, end, length);
                self.scratch.keys[i] = key;
                self.scratch.hashes[i] =
                    if length <= SHORT { key.short_hash() } else { long_hash(&words[end..end + length]) };
                end += length;
            }
            self.expect(lengths.len());
            for (i, (&length, &count)) in lengths.iter().zip(counts).enumerate() {
                let end = start + length as usize;
                let number = if length as usize <= SHORT {
                    self.short_entry(self.scratch.keys[i], self.scratch.hashes[i])
                } else {
                    self.long_entry(&words[start..end])
                };
                self.add_to(number, count)?;
                start = end;
            }
        }
        Ok(())
    }

    /// Adds all counts of `other`.
    ///
    /// # Errors
    /// As [`CountTable::add`].
    pub fn merge(&mut self, other: &CountTable) -> Result<()> {
        for entries in other.entries[1..].chunks(BATCH) {
            self.reserve(entries.len())?;
            let mask = self.mask();
            for entry in entries {
                prefetch(&self.index, (entry.key.hash() & mask) as usize);
            }
            for entry in entries {
                let slot = self.index[(entry.key.hash() & mask) as usize];
                prefetch(&self.entries, (slot & mask) as usize);
            }
            for Entry { key, count } in entries {
                let number = match key.is_long() {
                    false => self.short_entry(*key, key.hash()),
                    true => self.long_entry(other.word(key)),
                };
                self.add_to(number, *count)?;
            }
        }
        Ok(())
    }

    fn add_to(&mut self, number: usize, count: u64) -> Result<()> {
        match self.entries[number].count.checked_add(count) {
            Some(sum) => self.entries[number].count = sum,
            None => return Err(overflow(self.get(number).0)),
        }
        Ok(())
    }

    /// The words and their counts, in the order in which the words were first seen.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        (1..self.entries.len()).map(|number| self.get(number))
    }

    /// The entries' numbers in the order of their words; [`CountTable::get`] gives the words. A sixth of the size of a list
    /// of references to them.
    pub(super) fn sorted(&self) -> Vec<u32> {
        self.sort(1..self.entries.len())
    }

    /// The same for `size` entries at a time, each time in an order of their own.
    pub(super) fn sorted_parts(&self, size: usize) -> impl Iterator<Item = Vec<u32>> {
        let end = self.entries.len();
        (1..end).step_by(size).map(move |start| self.sort(start..end.min(start + size)))
    }

    fn sort(&self, numbers: Range<usize>) -> Vec<u32> {
        let mut numbers: Vec<u32> = numbers.map(|number| number as u32).collect();
        numbers.sort_unstable_by(|&a, &b| self.compare(&self.entries[a as usize].key, &self.entries[b as usize].key));
        numbers
    }

    /// The word and the count of an entry.
    pub(super) fn get(&self, number: usize) -> (&[u8], u64) {
        let entry = &self.entries[number];
        (self.word(&entry.key), entry.count)
    }

    fn compare(&self, a: &Key, b: &Key) -> std::cmp::Ordering {
        if a.is_long() || b.is_long() { self.word(a).cmp(self.word(b)) } else { a.order().cmp(&b.order()) }
    }

    fn word<'a>(&'a self, key: &'a Key) -> &'a [u8] {
        if key.is_long() {
            let (offset, len) = key.range();
            &self.arena[offset..offset + len]
        } else {
            key.bytes()
        }
    }

    /// The entry of a short word, made with count 0 if it is new.
    #[inline]
    fn short_entry(&mut self, key: Key, hash: u32) -> usize {
        let (slot, number) = self.probe(hash, |entry| entry.key == key);
        number.unwrap_or_else(|| self.insert(slot, hash, key))
    }

    /// The entry of a long word, made with count 0 if it is new.
    fn long_entry(&mut self, word: &[u8]) -> usize {
        let hash = long_hash(word);
        let (slot, number) = self.probe(hash, |entry| entry.key.is_long() && self.word(&entry.key) == word);
        number.unwrap_or_else(|| {
            let key = Key::long(hash, self.arena.len(), word.len());
            self.arena.extend_from_slice(word);
            self.insert(slot, hash, key)
        })
    }

    #[inline]
    fn insert(&mut self, slot: usize, hash: u32, key: Key) -> usize {
        let mask = self.mask();
        let number = self.entries.len();
        self.index[slot] = hash & !mask | number as u32;
        self.entries.push(Entry { key, count: 0 });
        number
    }

    /// The slot and the number of the first entry from `hash` on that `is_it` accepts, or the empty slot before it.
    #[inline(always)]
    fn probe(&self, hash: u32, is_it: impl Fn(&Entry) -> bool) -> (usize, Option<usize>) {
        let mask = self.mask();
        let mut slot = hash & mask;
        loop {
            let here = self.index[slot as usize];
            if here == EMPTY {
                return (slot as usize, None);
            }
            let number = (here & mask) as usize;
            if (here ^ hash) & !mask == 0 && is_it(&self.entries[number]) {
                return (slot as usize, Some(number));
            }
            slot = (slot + 1) & mask;
        }
    }

    #[inline(always)]
    fn mask(&self) -> u32 {
        (self.index.len() - 1) as u32
    }

    /// Entries that the index has room for.
    fn room(&self) -> usize {
        self.index.len() / 4 * 3
    }

    /// Makes room for that many more words.
    #[inline]
    fn reserve(&mut self, words: usize) -> Result<()> {
        while self.entries.len() + words > self.room() {
            self.grow()?;
        }
        Ok(())
    }

    #[cold]
    fn grow(&mut self) -> Result<()> {
        let slots = self.index.len() * 2;
        if slots as u64 > 1 << u32::BITS {
            return Err(Error::Argument(
                "there are more distinct words than a table can hold; give max_memory".to_owned(),
            ));
        }
        // Dropped before the new one is made.
        self.index = Vec::new();
        self.index = vec![EMPTY; slots];
        let mask = self.mask();
        for (number, entry) in self.entries.iter().enumerate().skip(1) {
            let hash = entry.key.hash();
            let mut slot = hash & mask;
            while self.index[slot as usize] != EMPTY {
                slot = (slot + 1) & mask;
            }
            self.index[slot as usize] = hash & !mask | number as u32;
        }
        Ok(())
    }
}

/// The error for a word that occurs too often.
pub(super) fn overflow(word: &[u8]) -> Error {
    Error::CountOverflow { what: format!("the word {:?}", String::from_utf8_lossy(word)) }
}

#[inline(always)]
fn front_slot(hash: u32) -> usize {
    hash as usize >> (u32::BITS - FRONT_BITS)
}

/// The first pass, over the words of `text` that end at `ends`: the keys of the short ones, and what the front knows about
/// them. Returns how many are short and how many long.
// A function of its own, so that the compiler knows that its arguments do not overlap; so the next.
#[inline(never)]
fn read(
    text: &[u8],
    mut start: usize,
    ends: &[usize],
    front: &[u32; FRONT],
    entries: &[Entry],
    scratch: &mut Scratch,
) -> (usize, usize) {
    let (mut shorts, mut longs) = (0u8, 0u8);
    for (i, &end) in ends.iter().enumerate() {
        let len = end - start;
        let key = Key::short(text, start, len);
        let hash = key.short_hash();
        let slot = front[front_slot(hash)];
        let number = if (slot ^ hash) & TAG == 0 { slot >> TAG_BITS } else { 0 };
        prefetch(entries, number as usize);
        let at = usize::from(shorts);
        scratch.keys[at] = key;
        scratch.hashes[at] = hash;
        scratch.numbers[at] = number;
        scratch.longs[usize::from(longs)] = i as u8;
        let is_long = len > SHORT;
        shorts += u8::from(!is_long);
        longs += u8::from(is_long);
        start = end;
    }
    (usize::from(shorts), usize::from(longs))
}

/// The second pass: counts the words that the front knew and moves the others to the start. Returns how many those are.
#[inline(never)]
fn count_known(shorts: usize, entries: &mut [Entry], scratch: &mut Scratch) -> usize {
    let mut misses = 0u8;
    for i in 0..shorts.min(BATCH) {
        let (key, hash) = (scratch.keys[i], scratch.hashes[i]);
        let entry = &mut entries[scratch.numbers[i] as usize];
        let is_known = entry.key == key;
        entry.count += u64::from(is_known);
        scratch.keys[usize::from(misses)] = key;
        scratch.hashes[usize::from(misses)] = hash;
        misses += u8::from(!is_known);
    }
    usize::from(misses)
}
