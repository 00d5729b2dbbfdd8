//! Ids of words met before: text repeats its words, and looking one up is far cheaper than joining it.

use std::ops::Range;

use super::beside::Beside;
use crate::hash::{hash_long, hash_short, load};
use crate::memory::{huge, prefetch, reserve};

/// A word of up to this many bytes is its own key.
const INLINE: usize = 15;
/// A word of up to this many bytes and so many ids has them in its slot.
const INLINE_IDS: usize = 3;
/// Longer words are not kept: they hardly repeat.
const LONGEST: usize = 126;
/// Words looked up at once: enough to ask for their memory ahead of time, few enough that it stays in the nearest cache.
const GROUP: usize = 256;
/// So many words that are not known are joined at once, or fewer if so many ids have come since the first of them, all of
/// which have to move when it is known.
const ENOUGH_MISSED: usize = 48;
const FAR: usize = 1 << 14;
/// Lines looked at for a word, so that no input, however it was made, makes looking a word up slower than joining it.
const PROBES: usize = 16;
/// Slots that a growing cache begins with (128 KiB).
const FIRST: usize = 1 << 12;

/// A cache of bounded size: an open-addressing table that is emptied when it is full. Results do not depend on what it
/// holds.
#[derive(Debug)]
pub(crate) struct WordCache {
    /// A power of two. At most half of the slots are taken while there may be more of them, then three quarters.
    lines: Vec<Line>,
    taken: usize,
    /// The number of slots may grow to this.
    most: usize,
    beside: Beside,
    /// The words being looked up. Kept, like what follows, because to clear it would cost more than to use it.
    wanted: Wanted,
    /// Of the words being looked up: whose ids stand beside the slots. Where they belong among the ids of the group, where
    /// they are, and how many. They are copied at the end of the group, when the memory has come.
    later: Vec<(usize, u32, usize)>,
    missed: Missed,
}

#[derive(Debug)]
struct Wanted {
    keys: [Key; GROUP],
    /// The line in which each is looked for first.
    lines: [usize; GROUP],
    /// Those longer than [`INLINE`].
    long: Vec<usize>,
}

/// A cache line: two slots, taken from the left.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
struct Line {
    keys: [Key; 2],
    values: [Value; 2],
}

impl Line {
    /// In which slot `wanted` is, and whether it is in any.
    #[inline(always)]
    fn slot(&self, wanted: &Key) -> (usize, bool) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_mm_castsi128_ps, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_ps};
            // In vectors: the compiler compares by halves, in more than twice the instructions. Only four equal quarters
            // carry into the bit of 16.
            let [first, second] = self.keys.each_ref().map(|key| {
                // SAFETY: both are 16 bytes, and loading them asks for no alignment. Every x86-64 has SSE2.
                let quarters = unsafe {
                    let wanted = _mm_loadu_si128((&raw const *wanted).cast());
                    let key = _mm_loadu_si128((&raw const *key).cast());
                    _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(key, wanted)))
                };
                quarters as usize + 1
            });
            (second >> 4 & 1, (first | second) & 16 != 0)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let [first, second] = self.keys.map(|key| key == *wanted);
            (usize::from(second), first | second)
        }
    }
}

/// Up to [`INLINE_IDS`] ids, and last how many; or, with [`BESIDE`] added to the number, where they stand beside the slots.
type Value = [u32; INLINE_IDS + 1];

const BESIDE: u32 = 1 << 31;

/// The highest byte is the length of the word, and below it are its bytes; of a long word, to whose length [`Key::IS_LONG`]
/// is added, the lowest 64 bits are its hash. 0 in an empty slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Key(u128);

impl Key {
    const IS_LONG: u128 = 0x80 << 120;
    /// Of words that are not kept; no slot has it.
    const NONE: Key = Key(u128::MAX);
    const EMPTY: Key = Key(0);

    /// Of a word longer than [`INLINE`].
    #[inline(never)]
    fn long(word: &[u8]) -> Key {
        if word.len() > LONGEST {
            return Key::NONE;
        }
        Key(Key::IS_LONG | (word.len() as u128) << 120 | u128::from(hash_long(word)))
    }

    #[inline(always)]
    fn is_long(self) -> bool {
        self.0 & Key::IS_LONG != 0
    }

    #[inline(always)]
    fn hash(self) -> u64 {
        if self.is_long() { self.0 as u64 } else { hash_short(self.0) }
    }
}

/// Words that were not known, and then their ids.
#[derive(Debug, Default)]
struct Missed {
    words: Vec<Range<usize>>,
    /// How many ids stand before those of the word, others that were missed aside.
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
            lines: vec![Line::default(); FIRST / 2],
            taken: 0,
            most,
            beside: Beside::default(),
            wanted: Wanted { keys: [Key::EMPTY; GROUP], lines: [0; GROUP], long: Vec::new() },
            later: Vec::new(),
            missed: Missed::default(),
        }
    }

    /// Appends to `ids` those of the words of `text` that follow each other from `start` and end at `ends`. Words that are
    /// not known are left out until enough of them have come to be joined side by side, or [`WordCache::settle`] is called,
    /// which has to be before anything else is appended; `join` is given the words, and appends the ids of each, and where
    /// they end.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        text: &[u8],
        mut start: usize,
        ends: &[usize],
        ids: &mut Vec<u32>,
        join: impl FnMut(&[u8], &[Range<usize>], &mut Vec<u32>, &mut Vec<usize>),
    ) {
        for ends in ends.chunks(GROUP) {
            self.want(text, start, ends);
            if !self.wanted.long.is_empty() {
                self.want_beside();
            }
            self.look_up(text, start, ends, ids);
            start = ends.last().copied().unwrap_or(start);
        }
        if let Some(&(first, _)) = self.missed.at.first()
            && (self.missed.at.len() >= ENOUGH_MISSED || ids.len() - first >= FAR)
        {
            self.settle(text, ids, join);
        }
    }

    /// Forgets the words that were left out, of a text that will not be finished.
    pub(crate) fn forget(&mut self) {
        self.missed.clear();
    }

    /// Prepares the words for being looked up, and asks for the memory of their lines.
    #[inline(never)]
    fn want(&mut self, text: &[u8], mut start: usize, ends: &[usize]) {
        // Taken out of the structure, so that what is written to it cannot be thought to change them.
        let table = self.lines.as_slice();
        let mask = table.len() - 1;
        let Wanted { keys, lines, long } = &mut self.wanted;
        long.clear();
        for (nth, ((&end, key), line)) in ends.iter().zip(keys).zip(lines).enumerate() {
            let len = end - start;
            let hash = if len <= INLINE {
                *key = Key(load(text, start, len) | (len as u128) << 120);
                hash_short(key.0)
            } else {
                *key = Key::long(&text[start..end]);
                long.push(nth);
                key.0 as u64
            };
            *line = hash as usize & mask;
            prefetch(table, *line);
            start = end;
        }
    }

    /// Asks for the memory of what is known of long words beside the slots.
    #[inline(never)]
    fn want_beside(&mut self) {
        for &nth in &self.wanted.long {
            let Line { keys, values } = &self.lines[self.wanted.lines[nth]];
            for (key, value) in keys.iter().zip(values) {
                if *key == self.wanted.keys[nth] {
                    self.beside.prefetch(value[0]);
                }
            }
        }
    }

    /// Appends the ids of the words that are wanted and known.
    #[inline(never)]
    fn look_up(&mut self, text: &[u8], start: usize, ends: &[usize], ids: &mut Vec<u32>) {
        // A word has no more ids than bytes, which is seen to where it is put in the cache.
        reserve(ids, ends.last().map_or(0, |end| end - start) + INLINE_IDS + 1);
        let known = ids.len();
        let room: *mut u32 = ids.spare_capacity_mut().as_mut_ptr().cast();
        let mut count = 0;
        let mut nth = 0;
        loop {
            // SAFETY: there is room for as many ids as all words have bytes, and for a value behind them.
            (nth, count) = unsafe { self.copy_known(nth, ends.len(), room, count) };
            if nth == ends.len() {
                break;
            }
            let word = nth.checked_sub(1).map_or(start, |before| ends[before])..ends[nth];
            match self.elsewhere(text, word.clone(), nth) {
                Some(value) if value[INLINE_IDS] >= BESIDE => {
                    let len = (value[INLINE_IDS] - BESIDE) as usize;
                    self.later.push((count, value[0], len));
                    count += len;
                }
                Some(value) => {
                    // SAFETY: as above.
                    unsafe { room.add(count).copy_from_nonoverlapping(value.as_ptr(), value.len()) };
                    count += value[INLINE_IDS] as usize;
                }
                None => {
                    self.missed.words.push(word);
                    self.missed.at.push((known + count, self.wanted.keys[nth]));
                }
            }
            nth += 1;
        }
        for (at, from, len) in self.later.drain(..) {
            let from = self.beside.ids(from, len);
            // SAFETY: these ids are among the `count` that there is room for.
            unsafe { room.add(at).copy_from_nonoverlapping(from.as_ptr(), len) };
        }
        // SAFETY: all ids so far were written, and there was room for them.
        unsafe { ids.set_len(known + count) };
    }

    /// Copies the ids of the words from `nth` to before `end` to `to`, behind the `count` that are there, until a word comes
    /// whose ids do not stand in its first line; returns which, and how many ids are then there.
    ///
    /// (By itself, so that all it needs is kept in registers: a count that goes through memory takes longer than all else.)
    ///
    /// # Safety
    /// There is room at `to` for all ids of the words and a value behind them.
    #[inline(never)]
    unsafe fn copy_known(&self, mut nth: usize, end: usize, to: *mut u32, mut count: usize) -> (usize, usize) {
        let Wanted { keys, lines, .. } = &self.wanted;
        for (key, &line) in keys[nth..end].iter().zip(&lines[nth..end]) {
            let line = &self.lines[line];
            // The word may stand in either slot; which, cannot be foretold.
            let (slot, found) = line.slot(key);
            let value = &line.values[slot];
            let number = value[INLINE_IDS];
            if !found || number >= BESIDE {
                break;
            }
            // All are written, whatever the count: that costs less than to ask.
            // SAFETY: by the contract of the function.
            unsafe { to.add(count).copy_from_nonoverlapping(value.as_ptr(), value.len()) };
            count += number as usize;
            nth += 1;
        }
        (nth, count)
    }

    /// What is known of the word wanted `nth` whose ids do not stand in its first line.
    #[inline(never)]
    fn elsewhere(&mut self, text: &[u8], word: Range<usize>, nth: usize) -> Option<Value> {
        let first = self.wanted.lines[nth];
        let (at, slot) = self.find(&text[word], self.wanted.keys[nth], first)?;
        let value = self.lines[at].values[slot];
        if value[INLINE_IDS] >= BESIDE {
            self.beside.prefetch(value[0]);
        }
        if at != first {
            // A word that is asked for often comes to stand where it is looked for first. All slots in between are taken,
            // so the one that makes room is still found.
            let (key, other) = (self.lines[at].keys[slot], self.lines[first]);
            self.lines[at].keys[slot] = other.keys[slot];
            self.lines[at].values[slot] = other.values[slot];
            self.lines[first].keys[slot] = key;
            self.lines[first].values[slot] = value;
        }
        Some(value)
    }

    /// The line and the slot in which a word stands that is looked for from line `first` on.
    fn find(&self, word: &[u8], wanted: Key, first: usize) -> Option<(usize, usize)> {
        for at in self.probes(first) {
            let Line { keys, values } = &self.lines[at];
            for slot in 0..2 {
                if keys[slot] == wanted && (!wanted.is_long() || self.is_long_word(&values[slot], word)) {
                    return Some((at, slot));
                }
            }
            if keys[1] == Key::EMPTY {
                return None;
            }
        }
        None
    }

    #[inline]
    fn is_long_word(&self, value: &Value, word: &[u8]) -> bool {
        self.beside.is_word(value[0], (value[INLINE_IDS] - BESIDE) as usize, word)
    }

    /// The lines in which a word may stand, in order; it stands before the first empty slot.
    fn probes(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let mask = self.lines.len() - 1;
        (0..PROBES).map(move |step| (first + step) & mask)
    }

    /// Puts the ids of the words of `text` that were left out where they belong in `ids`, and keeps them.
    #[inline(never)]
    pub(crate) fn settle(
        &mut self,
        text: &[u8],
        ids: &mut Vec<u32>,
        mut join: impl FnMut(&[u8], &[Range<usize>], &mut Vec<u32>, &mut Vec<usize>),
    ) {
        if self.missed.words.is_empty() {
            return;
        }
        let mut missed = std::mem::take(&mut self.missed);
        join(text, &missed.words, &mut missed.ids, &mut missed.ends);
        // From the end, so that what moves has room.
        let mut from = ids.len();
        ids.resize(from + missed.ids.len(), 0);
        let mut to = ids.len();
        let mut end = missed.ids.len();
        for (nth, &(at, _)) in missed.at.iter().enumerate().rev() {
            let start = nth.checked_sub(1).map_or(0, |before| missed.ends[before]);
            ids.copy_within(at..from, to - (from - at));
            to -= from - at + (end - start);
            ids[to..to + (end - start)].copy_from_slice(&missed.ids[start..end]);
            from = at;
            end = start;
        }
        let mut start = 0;
        for ((word, &end), &(_, wanted)) in missed.words.iter().zip(&missed.ends).zip(&missed.at) {
            if wanted != Key::NONE {
                self.insert(&text[word.clone()], wanted, &missed.ids[start..end]);
            }
            start = end;
        }
        missed.clear();
        self.missed = missed;
    }

    fn insert(&mut self, word: &[u8], wanted: Key, ids: &[u32]) {
        assert!(ids.len() <= word.len(), "{} ids for {} bytes", ids.len(), word.len());
        let slots = self.lines.len() * 2;
        if self.beside.bytes() > self.most * size_of::<Line>() * 3 / 4 || self.taken >= self.most / 4 * 3 {
            self.lines.fill(Line::default());
            self.beside.clear();
            self.taken = 0;
        } else if self.taken * 2 >= slots && slots < self.most {
            self.grow();
        }
        let first = wanted.hash() as usize & (self.lines.len() - 1);
        // It may have been missed twice.
        if self.find(word, wanted, first).is_some() {
            return;
        }
        let mut value = [0; INLINE_IDS + 1];
        if wanted.is_long() || ids.len() > INLINE_IDS {
            value[0] = self.beside.push(ids, if wanted.is_long() { word } else { &[] });
            value[INLINE_IDS] = BESIDE;
        } else {
            value[..ids.len()].copy_from_slice(ids);
        }
        value[INLINE_IDS] += ids.len() as u32;
        self.place(wanted, value);
    }

    /// Puts a word in its place; without a free one near where it belongs it is not kept.
    fn place(&mut self, key: Key, value: Value) {
        for at in self.probes(key.hash() as usize & (self.lines.len() - 1)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids that tell a word from others, more of them for some words than for others.
    fn ids_of(word: &[u8]) -> Vec<u32> {
        let hash =
            word.iter().fold(word.len() as u32, |hash, &byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let count = if hash.is_multiple_of(5) { hash / 5 % 30 } else { hash % 4 };
        // As many ids as bytes at most.
        (0..=count.min(word.len() as u32 - 1)).map(|nth| hash ^ nth).collect()
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
                let mut join = |text: &[u8], words: &[Range<usize>], ids: &mut Vec<u32>, ends: &mut Vec<usize>| {
                    joined += words.len();
                    for word in words {
                        ids.extend(ids_of(&text[word.clone()]));
                        ends.push(ids.len());
                    }
                };
                cache.encode(&text, 0, &ends, &mut ids, &mut join);
                cache.settle(&text, &mut ids, &mut join);
                assert_eq!(ids[0], 7);
                assert_eq!(&ids[1..], &expected[..]);
                assert!(cache.lines.len() * 2 <= most && cache.taken <= most / 4 * 3 + 1);
            }
            assert!(joined < 300 * 300 * 3 / 4, "{joined} words were joined");
        }
    }
}
