//! Ids of words met before: text repeats its words, and looking one up is far cheaper than joining it.

use std::ops::Range;

use crate::hash::{hash_long, hash_short, load};
use crate::memory::{huge, prefetch, reserve};

/// A word of up to this many bytes stands in its slot.
const INLINE: usize = 15;
/// A word of up to this many ids has them in its slot.
const INLINE_IDS: usize = 3;
/// Of a word with more ids, up to this many are copied without asking how many.
const MOST_FOUND: usize = 16;
/// Longer words are not kept: they hardly repeat.
const LONGEST: usize = 128;
/// Words looked up at once: enough to ask for their memory ahead of time, few enough that it stays in the nearest cache.
const GROUP: usize = 32;
/// Slots looked at for a word, so that no input, however it was made, makes looking a word up slower than joining it.
const PROBES: usize = 32;
/// Slots that a growing cache begins with (128 KiB).
const FIRST: usize = 1 << 12;

/// A cache of bounded size: an open-addressing table that is emptied when it is full. Results do not depend on what it
/// holds.
#[derive(Debug)]
pub(crate) struct WordCache {
    /// A power of two, at most three quarters of them taken.
    slots: Vec<Slot>,
    taken: usize,
    /// The number of slots may grow to this.
    most: usize,
    /// Words longer than [`INLINE`], end to end.
    words: Vec<u8>,
    /// Ids of words that have more than [`INLINE_IDS`], end to end.
    ids: Vec<u32>,
    /// The words being looked up. Kept, like what follows, because to clear them would cost more than to use them.
    wanted: Wanted,
    found: [u32; GROUP * MOST_FOUND],
    missed: Missed,
}

/// The two numbers of the keys of words, and their first slots. Three arrays: written as one value and read as two, or the
/// other way round, a key would have to reach the cache in between.
#[derive(Debug, Default)]
struct Wanted {
    low: [u64; GROUP],
    high: [u64; GROUP],
    first: [usize; GROUP],
}

/// 32 bytes, two slots a cache line.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(32))]
struct Slot {
    key: Key,
    /// Up to [`INLINE_IDS`] ids, and last how many; or where they stand in the cache's `ids`, and how many.
    ids: [u32; INLINE_IDS + 1],
}

/// What a slot is known by. In the highest byte of the second number: the length of a word that stands there whole; [`SEEK`]
/// added where there is more to look at than the slot; 0 in an empty slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Key([u64; 2]);

const SEEK: u64 = 0x80;
/// Of a key of a word longer than [`INLINE`]: its hash, its length, and where it stands in the cache's `words`.
const LONG: u64 = SEEK + INLINE as u64 + 1;

impl Key {
    fn hash(self) -> u64 {
        let [low, high] = self.0;
        if self.kind() == LONG { low } else { hash_short(u128::from(high & !(SEEK << 56)) << 64 | u128::from(low)) }
    }

    #[inline(always)]
    fn kind(self) -> u64 {
        self.0[1] >> 56
    }
}

/// The words of one call that were not known, and then their ids.
#[derive(Debug, Default)]
struct Missed {
    words: Vec<Range<usize>>,
    /// How many ids of that call stand before those of the word, others that were missed aside.
    at: Vec<(usize, Key)>,
    ids: Vec<u32>,
    /// Where the ids of each word end.
    ends: Vec<usize>,
}

impl Missed {
    fn clear(&mut self) {
        self.words.clear();
        self.at.clear();
        self.ids.clear();
        self.ends.clear();
    }
}

impl WordCache {
    /// A cache that grows to at most `most` slots, a power of two.
    pub(crate) fn new(most: usize) -> WordCache {
        debug_assert!(most.is_power_of_two() && most >= FIRST);
        WordCache {
            slots: vec![Slot::default(); FIRST],
            taken: 0,
            most,
            words: Vec::new(),
            ids: Vec::new(),
            wanted: Wanted::default(),
            found: [0; GROUP * MOST_FOUND],
            missed: Missed::default(),
        }
    }

    /// Appends to `ids` those of the words of `text` that follow each other from `start` and end at `ends`, from the cache or
    /// as `join` finds them. It is given all words of the call that are not known, and appends the ids of each, and where
    /// they end.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        text: &[u8],
        mut start: usize,
        ends: &[usize],
        ids: &mut Vec<u32>,
        join: impl FnOnce(&[u8], &[Range<usize>], &mut Vec<u32>, &mut Vec<usize>),
    ) {
        let before = ids.len();
        reserve(ids, ends.len() * INLINE_IDS);
        for ends in ends.chunks(GROUP) {
            self.want(text, start, ends);
            let mut count = 0;
            for (nth, &end) in ends.iter().enumerate() {
                let wanted = Key([self.wanted.low[nth], self.wanted.high[nth]]);
                let first = self.wanted.first[nth];
                // The word may stand in either slot of the line; which, cannot be foretold.
                let slot = &self.slots[first + usize::from(self.slots[first + 1].key == wanted)];
                if slot.key == wanted {
                    // All are written, whatever the count: that costs less than to ask.
                    self.found[count..count + INLINE_IDS + 1].copy_from_slice(&slot.ids);
                    count += slot.ids[INLINE_IDS] as usize;
                } else if slot.key == Key([wanted.0[0], wanted.0[1] | SEEK << 56])
                    && let Some(beside) = self.ids[slot.ids[0] as usize..].first_chunk::<MOST_FOUND>()
                    && slot.ids[INLINE_IDS] as usize <= MOST_FOUND
                {
                    self.found[count..count + MOST_FOUND].copy_from_slice(beside);
                    count += slot.ids[INLINE_IDS] as usize;
                } else {
                    ids.extend_from_slice(&self.found[..count]);
                    count = 0;
                    self.seek(text, start..end, nth, before, ids);
                }
                start = end;
            }
            ids.extend_from_slice(&self.found[..count]);
        }
        if !self.missed.words.is_empty() {
            self.join_missed(text, before, ids, join);
        }
    }

    /// Prepares the words for being looked up, and asks for the memory of their slots.
    #[inline(always)]
    fn want(&mut self, text: &[u8], mut start: usize, ends: &[usize]) {
        let mask = self.slots.len() - 1;
        for (nth, &end) in ends.iter().enumerate().take(GROUP) {
            let len = end - start;
            let hash = if len <= INLINE {
                let key = load(text, start, len) | (len as u128) << 120;
                self.wanted.low[nth] = key as u64;
                self.wanted.high[nth] = (key >> 64) as u64;
                hash_short(key)
            } else {
                let hash = if len <= LONGEST { hash_long(&text[start..end]) } else { 0 };
                self.wanted.low[nth] = hash;
                self.wanted.high[nth] = LONG << 56;
                hash
            };
            let first = hash as usize & mask & !1;
            self.wanted.first[nth] = first;
            prefetch(&self.slots, first);
            start = end;
        }
    }

    /// [`WordCache::encode`] of the word wanted `nth`, which does not stand whole in its first slot.
    #[inline(never)]
    fn seek(&mut self, text: &[u8], word: Range<usize>, nth: usize, before: usize, ids: &mut Vec<u32>) {
        let wanted = Key([self.wanted.low[nth], self.wanted.high[nth]]);
        let Some(at) = self.find(&text[word.clone()], wanted) else {
            self.missed.words.push(word);
            self.missed.at.push((ids.len() - before, wanted));
            return;
        };
        ids.extend_from_slice(self.ids(&self.slots[at]));
        // A word that is asked for often comes to stand where it is looked for first. All slots in between are taken, so
        // the one that makes room is still found.
        self.slots.swap(at, self.wanted.first[nth] + (at & 1));
    }

    fn find(&self, word: &[u8], wanted: Key) -> Option<usize> {
        self.probes(wanted.hash()).take_while(|&at| self.slots[at].key.0[1] != 0).find(|&at| {
            let slot = &self.slots[at];
            let Key([low, high]) = slot.key;
            low == wanted.0[0]
                && if wanted.kind() == LONG {
                    high >> 56 == LONG && self.long(slot) == word
                } else {
                    high & !(SEEK << 56) == wanted.0[1]
                }
        })
    }

    /// The slots in which a word may stand, in order; it stands before the first that is empty.
    fn probes(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len() - 1;
        let first = hash as usize & mask & !1;
        (0..PROBES).map(move |step| (first + step) & mask)
    }

    /// Puts the ids of the words that were missed where they belong in `ids[first..]`, and keeps them.
    #[inline(never)]
    fn join_missed(
        &mut self,
        text: &[u8],
        first: usize,
        ids: &mut Vec<u32>,
        join: impl FnOnce(&[u8], &[Range<usize>], &mut Vec<u32>, &mut Vec<usize>),
    ) {
        let mut missed = std::mem::take(&mut self.missed);
        join(text, &missed.words, &mut missed.ids, &mut missed.ends);
        // From the end, so that what moves has room.
        let mut from = ids.len();
        ids.resize(from + missed.ids.len(), 0);
        let mut to = ids.len();
        let mut end = missed.ids.len();
        for (nth, &(at, _)) in missed.at.iter().enumerate().rev() {
            let start = nth.checked_sub(1).map_or(0, |before| missed.ends[before]);
            let known = from - (first + at);
            ids.copy_within(first + at..from, to - known);
            to -= known + (end - start);
            ids[to..to + (end - start)].copy_from_slice(&missed.ids[start..end]);
            from = first + at;
            end = start;
        }
        let mut start = 0;
        for ((word, &end), &(_, wanted)) in missed.words.iter().zip(&missed.ends).zip(&missed.at) {
            let word = &text[word.clone()];
            // It may have been missed twice.
            if word.len() <= LONGEST && self.find(word, wanted).is_none() {
                self.insert(word, wanted, &missed.ids[start..end]);
            }
            start = end;
        }
        missed.clear();
        self.missed = missed;
    }

    fn insert(&mut self, word: &[u8], wanted: Key, ids: &[u32]) {
        let beside = self.words.len() + self.ids.len() * size_of::<u32>();
        let full = self.taken * 4 >= self.slots.len() * 3;
        if beside > self.most * size_of::<Slot>() || full && self.slots.len() == self.most {
            self.slots.fill(Slot::default());
            self.words.clear();
            self.ids.clear();
            self.taken = 0;
        } else if full {
            self.grow();
        }
        let Key([low, mut high]) = wanted;
        if word.len() > INLINE {
            // Where the word stands, and how long it is; both fit, since all words together are of bounded size.
            high |= (self.words.len() as u64) << 8 | word.len() as u64;
            self.words.extend_from_slice(word);
        }
        let mut stored = [0; INLINE_IDS + 1];
        if ids.len() <= INLINE_IDS && word.len() <= INLINE {
            stored[..ids.len()].copy_from_slice(ids);
        } else {
            high |= SEEK << 56;
            stored[0] = self.ids.len() as u32;
            self.ids.extend_from_slice(ids);
        }
        stored[INLINE_IDS] = ids.len() as u32;
        self.place(Slot { key: Key([low, high]), ids: stored });
    }

    /// Puts a word in its place; without a free one near where it belongs it is not kept.
    fn place(&mut self, slot: Slot) {
        if let Some(at) = self.probes(slot.key.hash()).find(|&at| self.slots[at].key.0[1] == 0) {
            self.slots[at] = slot;
            self.taken += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let bigger = huge((self.slots.len() * 4).min(self.most), Slot::default());
        self.taken = 0;
        for slot in std::mem::replace(&mut self.slots, bigger).into_iter().filter(|slot| slot.key.0[1] != 0) {
            self.place(slot);
        }
    }

    fn long(&self, slot: &Slot) -> &[u8] {
        let high = slot.key.0[1];
        let (start, len) = ((high >> 8) as usize & 0xffff_ffff, high as usize & 0xff);
        &self.words[start..start + len]
    }

    fn ids<'a>(&'a self, slot: &'a Slot) -> &'a [u32] {
        let count = slot.ids[INLINE_IDS] as usize;
        if slot.key.kind() & SEEK != 0 {
            let start = slot.ids[0] as usize;
            &self.ids[start..start + count]
        } else {
            &slot.ids[..count]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids that tell a word from every other, more of them for some words than for others.
    fn ids_of(word: &[u8]) -> Vec<u32> {
        let hash =
            word.iter().fold(word.len() as u32, |hash, &byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let count = if hash.is_multiple_of(5) { hash / 5 % 30 } else { hash % 4 };
        (0..=count).map(|nth| hash ^ nth).collect()
    }

    #[test]
    fn what_is_found_is_what_was_joined_however_full_the_cache() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) % below
        };
        // Words of all lengths, some of them frequent, more of them than a small cache has slots for.
        let words: Vec<Vec<u8>> = (0..20_000)
            .map(|_| {
                let len = [1, 2, 5, 14, 15, 16, 17, 40, 128, 129][random(10) as usize];
                (0..len).map(|_| random(3) as u8).collect()
            })
            .collect();
        for most in [FIRST, FIRST * 16] {
            let mut cache = WordCache::new(most);
            let mut joined = 0;
            for _ in 0..300 {
                let (mut text, mut ends, mut expected) = (Vec::new(), Vec::new(), Vec::new());
                for _ in 0..300 {
                    let below = if random(2) == 0 { 50 } else { words.len() as u64 };
                    let word = &words[random(below) as usize];
                    text.extend_from_slice(word);
                    ends.push(text.len());
                    expected.extend(ids_of(word));
                }
                let mut ids = vec![7];
                cache.encode(&text, 0, &ends, &mut ids, |text, words, ids, ends| {
                    joined += words.len();
                    for word in words {
                        ids.extend(ids_of(&text[word.clone()]));
                        ends.push(ids.len());
                    }
                });
                assert_eq!(ids[0], 7);
                assert_eq!(&ids[1..], &expected[..]);
                assert!(cache.slots.len() <= most && cache.taken <= most / 4 * 3 + 1);
            }
            assert!(joined < 300 * 300 * 3 / 4, "{joined} words were joined");
        }
    }
}
