//! Ids of short words met before, which are nearly all that a text has: looking one up is far cheaper than joining it.

use super::cache::WordCache;
use super::line::{BESIDE, INLINE, INLINE_IDS, Key, Line, Value};
use super::pending::Pending;
use super::slots::Slots;
use crate::hash;
use crate::memory::{prefetch, reserve};

/// Words looked up at once: enough to ask for their memory ahead of time, few enough that it stays in the nearest cache.
const GROUP: usize = 256;
/// Short words; ids that are too many for a slot stand in the [`WordCache`]. Results do not depend on what it holds.
///
/// Tried, and no faster: a small table of the most frequent words before this one. What it saves in misses of the caches it
/// costs in instructions, for the one word in twenty that is not there.
#[derive(Debug)]
pub(super) struct Front {
    slots: Slots,
    /// Whether the processor has what [`fast`] needs.
    fast: bool,
    /// The words being looked up. Kept, because to clear it would cost more than to use it.
    wanted: Wanted,
}

#[derive(Debug)]
struct Wanted {
    keys: [Key; GROUP],
    /// The line of each; all are below the number of lines.
    lines: [u32; GROUP],
}

impl Front {
    /// A table that grows to at most `most` slots, a power of two, and has room for about `words` words to begin with.
    pub(super) fn new(most: usize, words: usize) -> Front {
        Front::on(most, words, true)
    }

    /// [`Front::new`], with or without what only some processors have.
    pub(super) fn on(most: usize, words: usize, fast: bool) -> Front {
        let fast = fast && fast::is_supported();
        let wanted = Wanted { keys: [Key::EMPTY; GROUP], lines: [0; GROUP] };
        Front { slots: Slots::new(most, words), fast, wanted }
    }

    /// Adds the ids of the words of `text` that follow each other from `start` and end at `ends` to `pending`, or those that
    /// are not known as missed.
    #[inline]
    pub(super) fn look_up(
        &mut self,
        text: &[u8],
        mut start: usize,
        ends: &[usize],
        pending: &mut Pending,
        cache: &WordCache,
    ) {
        for ends in ends.chunks(GROUP) {
            self.want(text, start, ends);
            let known = pending.known.len();
            reserve(&mut pending.known, ends.len() * INLINE_IDS + 1);
            let room: *mut u32 = pending.known.spare_capacity_mut().as_mut_ptr().cast();
            let (mut nth, mut count) = (0, 0);
            loop {
                // SAFETY: there is room for as many ids as so many words can have here, and for a value behind them.
                (nth, count) = unsafe { self.copy_known(nth, ends.len(), room, count) };
                if nth == ends.len() {
                    break;
                }
                let word = nth.checked_sub(1).map_or(start, |before| ends[before])..ends[nth];
                let value = if word.len() > INLINE { None } else { self.elsewhere(nth) };
                match value {
                    Some(value) if value[INLINE_IDS] >= BESIDE => pending.beside(value, cache, known + count),
                    Some(value) => {
                        // SAFETY: as above.
                        unsafe { value.as_ptr().copy_to_nonoverlapping(room.add(count), value.len()) };
                        count += value[INLINE_IDS] as usize;
                    }
                    None => pending.miss(self.wanted.keys[nth], text, word, known + count),
                }
                nth += 1;
            }
            // SAFETY: so many ids were written.
            unsafe { pending.known.set_len(known + count) };
            start = ends.last().copied().unwrap_or(start);
        }
    }

    /// Prepares the words for being looked up, and asks for the memory of their lines.
    fn want(&mut self, text: &[u8], start: usize, ends: &[usize]) {
        // Which way to load is asked once, and not of each word: behind all but the last few there are as many bytes as are
        // loaded.
        let start_of = |nth: usize| if nth == 0 { start } else { ends[nth - 1] };
        let within = |nth: &usize| start_of(*nth) + hash::INLINE <= text.len();
        let last = (0..ends.len()).rev().find(within).map_or(0, |nth| nth + 1);
        let Front { slots, wanted, fast } = self;
        let (keys, last_keys) = wanted.keys.split_at_mut(last);
        let (lines, last_lines) = wanted.lines.split_at_mut(last);
        if *fast {
            // SAFETY: the processor has what it needs, and the words have as many bytes behind their starts as are loaded.
            unsafe { fast::want(slots.lines(), (keys, lines), text, start, &ends[..last]) };
        } else {
            // SAFETY: as above.
            let load = |start, len| unsafe { hash::load_within(text, start, len) };
            want(slots.lines(), (keys, lines), start, &ends[..last], load, line);
        }
        if last < ends.len() {
            let line = if *fast { fast::line } else { line };
            let load = |start, len| hash::load(text, start, len);
            want(slots.lines(), (last_keys, last_lines), start_of(last), &ends[last..], load, line);
        }
    }

    /// Copies the ids of the wanted words from `nth` to before `end` to `to`, behind the `count` that are there, until one
    /// comes that is not known; returns which, and how many ids are then there.
    ///
    /// # Safety
    /// There is room at `to` for `end` times [`INLINE_IDS`] ids and one more.
    #[inline(always)]
    unsafe fn copy_known(&self, nth: usize, end: usize, to: *mut u32, count: usize) -> (usize, usize) {
        if self.fast {
            // SAFETY: the processor has what it needs, and the contract is the same.
            unsafe { fast::copy_known(self.slots.lines(), &self.wanted, nth, end, to, count) }
        } else {
            // SAFETY: the contract is the same.
            unsafe { copy_known(self.slots.lines(), &self.wanted, nth, end, to, count) }
        }
    }

    /// What is known of the word wanted `nth`, whose ids do not stand in the line where it is looked for first.
    #[inline(never)]
    fn elsewhere(&mut self, nth: usize) -> Option<Value> {
        let (key, first) = (self.wanted.keys[nth], self.wanted.lines[nth] as usize);
        let (at, slot) = self.slots.find(first, |known, _| known == key)?;
        let value = self.slots.lines()[at].values[slot];
        if at != first {
            // A word that is asked for often comes to stand where it is looked for first.
            self.slots.exchange(first, at, slot);
        }
        Some(value)
    }

    /// Has the word at hand from now on.
    #[inline]
    pub(super) fn keep(&mut self, key: Key, value: Value) {
        // Room is made for so many.
        let number = value[INLINE_IDS];
        assert!(number as usize <= INLINE_IDS || number >= BESIDE, "{number} ids in a slot");
        if self.slots.is_full() {
            self.slots.clear();
        }
        let hash = if self.fast { fast::line } else { line };
        self.slots.make_room(hash);
        let first = self.slots.first(hash(key));
        // It may have been missed twice.
        if self.slots.find(first, |known, _| known == key).is_none() {
            self.slots.place(first, key, value);
        }
    }

    /// Forgets all words.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }
}

/// In which line a short word stands: the lowest bits count.
#[inline(always)]
fn line(key: Key) -> u64 {
    key.hash()
}

/// [`Front::want`], given how to load the first bytes of a word and how to hash.
#[inline(always)]
fn want(
    table: &[Line],
    (keys, lines): (&mut [Key], &mut [u32]),
    mut start: usize,
    ends: &[usize],
    load: impl Fn(usize, usize) -> u128,
    line: impl Fn(Key) -> u64,
) {
    let mask = table.len() - 1;
    for ((&end, key), at) in ends.iter().zip(keys).zip(lines) {
        let len = (end - start).min(INLINE + 1);
        *key = Key::short(load(start, len), len);
        let line = line(*key) as usize & mask;
        *at = line as u32;
        prefetch(table, line);
        start = end;
    }
}

/// [`Front::copy_known`]. By itself, so that all it needs is kept in registers: a count that goes through memory takes longer
/// than all else.
///
/// # Safety
/// As there.
#[inline(never)]
unsafe fn copy_known(
    table: &[Line],
    wanted: &Wanted,
    mut nth: usize,
    end: usize,
    to: *mut u32,
    mut count: usize,
) -> (usize, usize) {
    for (key, &line) in wanted.keys[nth..end].iter().zip(&wanted.lines[nth..end]) {
        let Line { keys, values } = &table[line as usize];
        // Which it is cannot be foretold.
        let slot = usize::from(keys[1] == *key);
        let number = values[slot][INLINE_IDS];
        if keys[slot] != *key || number >= BESIDE {
            break;
        }
        // All are written, whatever the count: that costs less than to ask.
        // SAFETY: by the contract of the function.
        unsafe { to.add(count).copy_from_nonoverlapping(values[slot].as_ptr(), values[slot].len()) };
        count += number as usize;
        nth += 1;
    }
    (nth, count)
}

/// The same in instructions that most processors have: half as many of them.
#[cfg(target_arch = "x86_64")]
mod fast {
    use std::arch::x86_64::{
        _mm_aesenc_si128, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_set_epi64x, _mm256_broadcastsi128_si256,
        _mm256_castsi256_pd, _mm256_cmpeq_epi64, _mm256_loadu_si256, _mm256_movemask_pd,
    };

    use super::{BESIDE, INLINE_IDS, Key, Line, Wanted};
    use crate::hash;

    pub(super) fn is_supported() -> bool {
        crate::processor::has_avx2() && is_x86_feature_detected!("aes")
    }

    /// Two rounds of AES carry every bit of the key into the lowest.
    #[inline(always)]
    pub(super) fn line(key: Key) -> u64 {
        // SAFETY: called where [`is_supported`].
        unsafe { by_aes(key) }
    }

    #[inline]
    #[target_feature(enable = "aes")]
    fn by_aes(key: Key) -> u64 {
        let round = _mm_set_epi64x(0x1e37_79b9_7f4a_7c15, 0x42b2_ae3d_27d4_eb4f);
        // SAFETY: a key is 16 bytes.
        let key = unsafe { _mm_loadu_si128((&raw const key).cast()) };
        _mm_cvtsi128_si64(_mm_aesenc_si128(_mm_aesenc_si128(key, round), round)) as u64
    }

    /// # Safety
    /// Each word has [`hash::INLINE`] bytes of `text` behind its start.
    #[inline(never)]
    #[target_feature(enable = "avx2,aes,bmi1,bmi2")]
    pub(super) unsafe fn want(
        table: &[Line],
        wanted: (&mut [Key], &mut [u32]),
        text: &[u8],
        start: usize,
        ends: &[usize],
    ) {
        // SAFETY: by the contract of the function.
        let load = |start, len| unsafe { hash::load_within(text, start, len) };
        super::want(table, wanted, start, ends, load, |key| by_aes(key));
    }

    /// By which halves of the two keys of a line are equal: where in the line the value is, or 0.
    const VALUES: [u8; 16] = [0, 0, 0, 32, 0, 0, 0, 32, 0, 0, 0, 32, 48, 48, 48, 48];

    /// # Safety
    /// As of [`super::Front::copy_known`].
    #[inline(never)]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) unsafe fn copy_known(
        table: &[Line],
        wanted: &Wanted,
        mut nth: usize,
        end: usize,
        to: *mut u32,
        mut count: usize,
    ) -> (usize, usize) {
        for (key, &line) in wanted.keys[nth..end].iter().zip(&wanted.lines[nth..end]) {
            // SAFETY: the numbers of wanted lines are below that of all lines.
            let line = unsafe { table.as_ptr().add(line as usize) };
            // SAFETY: a key is 16 bytes, and a line begins with two.
            let halves = unsafe {
                let key = _mm256_broadcastsi128_si256(_mm_loadu_si128((&raw const *key).cast()));
                let keys = _mm256_loadu_si256(line.cast());
                _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(key, keys)))
            };
            let value = usize::from(VALUES[halves as usize % VALUES.len()]);
            // SAFETY: the value lies within the line, or what is read is one of its keys.
            let (value, number) = unsafe {
                let value = line.cast::<u32>().add(value / size_of::<u32>());
                (value, value.add(INLINE_IDS).read())
            };
            if value == line.cast() || number >= BESIDE {
                break;
            }
            // All are written, whatever the count: that costs less than to ask.
            // SAFETY: by the contract of the function.
            unsafe { to.add(count).copy_from_nonoverlapping(value, INLINE_IDS + 1) };
            count += number as usize;
            nth += 1;
        }
        (nth, count)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod fast {
    use super::{Key, Line, hash};

    pub(super) use super::{copy_known, line};

    pub(super) fn is_supported() -> bool {
        false
    }

    /// # Safety
    /// Each word has [`hash::INLINE`] bytes of `text` behind its start.
    pub(super) unsafe fn want(
        table: &[Line],
        wanted: (&mut [Key], &mut [u32]),
        text: &[u8],
        start: usize,
        ends: &[usize],
    ) {
        // SAFETY: by the contract of the function.
        let load = |start, len| unsafe { hash::load_within(text, start, len) };
        super::want(table, wanted, start, ends, load, line);
    }
}
