//! Ids of short words met before, which are nearly all that a text has: looking one up is far cheaper than joining it.

use std::ops::Range;

use super::line::{INLINE, Key, Line};
use super::pending::Pending;
use super::slots::Slots;
use super::value::{ELSEWHERE, Known, MOST, Packing, Value, WIDTH};
use crate::hash;
use crate::memory::{prefetch, reserve};
use crate::processor::Instructions;

#[cfg(target_arch = "x86_64")]
mod fast;
#[cfg(not(target_arch = "x86_64"))]
#[path = "slow.rs"]
mod fast;

/// Words looked up at once: enough to ask for their memory ahead of time, few enough that it stays in the nearest cache.
const GROUP: usize = 256;
/// Short words; ids that are too many for a slot stand in the [`WordCache`]. Results do not depend on what it holds.
///
/// Tried, and no faster, on a Sapphire Rapids and on a Zen 3: a small table of the most frequent words before this one, with the
/// same lines (2 MiB) or with 16 bytes for a word of up to eight (8 to 128 KiB). What it saves in misses of the caches it costs
/// in instructions, for the one word in twenty, or in four, that is not there.
///
/// Tried, and no faster: to put all tokens of the vocabulary into the table before a large text, so that the words that are
/// tokens (a quarter of code's, one in fourteen of English) are never missed. Code took 4 % more, English 1 to 3 % less.
#[derive(Debug)]
pub(super) struct Front {
    slots: Slots,
    /// How ids stand in the slots.
    packing: Packing,
    /// What [`fast`] may use.
    instructions: Instructions,
    /// The words being looked up. Kept, because to clear it would cost more than to use it.
    wanted: Wanted,
}

#[derive(Debug)]
struct Wanted {
    keys: [Key; GROUP],
    /// How many bytes the line of each is behind the first.
    lines: [u32; GROUP],
}

impl Front {
    /// A table that grows to at most `most` slots, a power of two, and has room for about `words` words to begin with.
    pub(super) fn new(packing: Packing, most: usize, words: usize) -> Front {
        Front::limited_to(Instructions::best(), packing, most, words)
    }

    /// [`Front::new`], with no more than those instructions.
    pub(super) fn limited_to(instructions: Instructions, packing: Packing, most: usize, words: usize) -> Front {
        let instructions = instructions.min(fast::supported());
        let wanted = Wanted { keys: [Key::EMPTY; GROUP], lines: [0; GROUP] };
        Front { slots: Slots::new(most, words), packing, instructions, wanted }
    }

    /// How ids stand in what is kept.
    pub(super) fn packing(&self) -> Packing {
        self.packing
    }

    /// Adds the ids of the words of `text` that follow each other from `start` and end at `ends` to `pending`, or those that
    /// are not known as missed.
    #[inline]
    pub(super) fn look_up(&mut self, text: &[u8], mut start: usize, ends: &[usize], pending: &mut Pending) {
        for ends in ends.chunks(GROUP) {
            self.want(text, start, ends);
            let known = pending.known.len();
            reserve(&mut pending.known, ends.len() * MOST + WIDTH);
            let room: *mut u32 = pending.known.spare_capacity_mut().as_mut_ptr().cast();
            let (mut nth, mut count) = (0, 0);
            loop {
                // SAFETY: there is room for as many ids as so many words can have here, and for what is written behind them.
                (nth, count) = unsafe { self.copy_known(nth, ends.len(), room, count) };
                if nth == ends.len() {
                    break;
                }
                let word = nth.checked_sub(1).map_or(start, |before| ends[before])..ends[nth];
                let mut key = self.wanted.keys[nth];
                let value = if word.len() <= INLINE {
                    self.beside(nth)
                } else {
                    key = Key::longer(&text[word.clone()]);
                    if key.is_run() { self.find(key) } else { None }
                };
                match value.map(|value| (value, value.known())) {
                    // Of a run: short words whose ids are here were copied above.
                    Some((value, Known::Here(number))) => {
                        // SAFETY: as above.
                        unsafe { value.write(self.packing, room.add(count)) };
                        count += number;
                    }
                    Some((value, _)) => pending.beside(value, known + count),
                    None => pending.miss(key, word, known + count),
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
        // Behind all but the last few there are as many bytes as are loaded, so that they are not asked one by one.
        let start_of = |nth: usize| if nth == 0 { start } else { ends[nth - 1] };
        let within = |nth: &usize| start_of(*nth) + hash::INLINE <= text.len();
        let last = (0..ends.len()).rev().find(within).map_or(0, |nth| nth + 1);
        // SAFETY: so they have.
        unsafe { self.want_within(0, text, start, &ends[..last]) };
        if last < ends.len() {
            // These have them in a copy of the end of the text.
            let from = start_of(last);
            let mut end_of_text = [0; 2 * hash::INLINE];
            end_of_text[..text.len() - from].copy_from_slice(&text[from..]);
            let mut ends_there = [0; hash::INLINE];
            let ends_there = &mut ends_there[..ends.len() - last];
            for (there, end) in ends_there.iter_mut().zip(&ends[last..]) {
                *there = end - from;
            }
            // SAFETY: they start within the first half.
            unsafe { self.want_within(last, &end_of_text, 0, ends_there) };
        }
    }

    /// [`Front::want`], of words that are the `first` and those that follow.
    ///
    /// # Safety
    /// They have as many bytes of `text` behind their starts as are loaded: [`hash::INLINE`].
    #[inline(always)]
    unsafe fn want_within(&mut self, first: usize, text: &[u8], start: usize, ends: &[usize]) {
        let Front { slots, instructions, wanted, .. } = self;
        let wanted = (&mut wanted.keys[first..][..ends.len()], &mut wanted.lines[first..][..ends.len()]);
        match instructions {
            // SAFETY: the processor has them, and for the rest by the contract of the function.
            Instructions::Avx512 => unsafe { fast::want_by_avx512(slots.lines(), wanted, text, start, ends) },
            // SAFETY: as above.
            Instructions::Avx2 => unsafe { fast::want_by_avx2(slots.lines(), wanted, text, start, ends) },
            Instructions::Portable => {
                // SAFETY: as above.
                let load = |start, len| unsafe { hash::load_within(text, start, len) };
                want(slots.lines(), wanted, start, ends, load, line);
            }
        }
    }

    /// Copies the ids of the wanted words from `nth` to before `end` to `to`, behind the `count` that are there, until one
    /// comes that is not known; returns which, and how many ids are then there.
    ///
    /// # Safety
    /// There is room at `to` for `end` times [`MOST`] ids and [`WIDTH`] more.
    #[inline(always)]
    unsafe fn copy_known(&self, nth: usize, end: usize, to: *mut u32, count: usize) -> (usize, usize) {
        if self.instructions != Instructions::Portable {
            // SAFETY: the processor has what it needs, and the contract is the same.
            unsafe { fast::copy_known((self.slots.lines(), self.packing), &self.wanted, nth..end, to, count) }
        } else {
            // SAFETY: the contract is the same.
            unsafe { copy_known((self.slots.lines(), self.packing), &self.wanted, nth..end, to, count) }
        }
    }

    /// What stands of the word wanted `nth` in the line where it is looked for first: its ids are not there. If it does not
    /// stand there, the next line is asked for.
    #[inline]
    fn beside(&self, nth: usize) -> Option<Value> {
        let (key, first) = (self.wanted.keys[nth], self.wanted.lines[nth] as usize / size_of::<Line>());
        let Line { keys, values } = &self.slots.lines()[first];
        let slot = keys.iter().position(|&known| known == key);
        if slot.is_none() && keys[1] != Key::EMPTY {
            prefetch(self.slots.lines(), self.slots.first(first as u64 + 1));
        }
        slot.map(|slot| values[slot])
    }

    /// What is known of a short word.
    pub(super) fn find(&mut self, key: Key) -> Option<Value> {
        let first = self.slots.first(line_by(self.instructions)(key));
        let (at, slot) = self.slots.find(first, key)?;
        let value = self.slots.lines()[at].values[slot];
        if at != first {
            // A word that is asked for often comes to stand where it is looked for first.
            self.slots.exchange(first, at, slot);
        }
        Some(value)
    }

    /// Asks for the memory in which a word is looked for first.
    #[inline]
    pub(super) fn prefetch(&self, key: Key) {
        let line = line_by(self.instructions);
        prefetch(self.slots.lines(), self.slots.first(line(key)));
    }

    /// Has the word at hand from now on.
    #[inline]
    pub(super) fn keep(&mut self, key: Key, value: Value) {
        debug_assert!(matches!(value.known(), Known::Here(_) | Known::Beside(..)));
        if self.slots.is_full() {
            self.slots.clear();
        }
        let line = line_by(self.instructions);
        self.slots.make_room(line);
        let first = self.slots.first(line(key));
        // It may have been missed twice.
        if self.slots.find(first, key).is_none() {
            self.slots.place(first, key, value);
        }
    }

    /// How much of its memory [`Front::collapse`] would put in other pages.
    pub(super) fn bytes_in_small_pages(&self) -> usize {
        self.slots.bytes_in_small_pages()
    }

    /// Puts its memory in large pages, which takes some time, or as much of it as that takes little for.
    pub(super) fn collapse(&mut self, whatever_it_takes: bool) {
        self.slots.collapse(whatever_it_takes);
    }

    /// Forgets all words.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }
}

/// In which line a short word stands: the lowest bits count.
#[inline(always)]
fn line_by(instructions: Instructions) -> fn(Key) -> u64 {
    if instructions == Instructions::Portable { line } else { fast::line }
}

/// [`line_by`] what every processor has.
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
    for ((&end, key), at) in ends.iter().zip(keys).zip(&mut *lines) {
        let len = (end - start).min(INLINE + 1);
        *key = Key::short(load(start, len), len);
        let line = line(*key) as usize & mask;
        *at = (line * size_of::<Line>()) as u32;
        start = end;
    }
    // By themselves: the processor waits for several of them at once, and between others it would see but one at a time. (To ask
    // for each line while the ids of a word 24 or 48 before it are copied takes a tenth to a fifth more for a whole text.)
    for &at in &*lines {
        prefetch(table, at as usize / size_of::<Line>());
    }
}

/// [`Front::copy_known`]. By itself, so that all it needs is kept in registers: a count that goes through memory takes longer
/// than all else.
///
/// # Safety
/// As there.
#[inline(never)]
unsafe fn copy_known(
    (table, packing): (&[Line], Packing),
    wanted: &Wanted,
    Range { start: mut nth, end }: Range<usize>,
    to: *mut u32,
    mut count: usize,
) -> (usize, usize) {
    for (key, &line) in wanted.keys[nth..end].iter().zip(&wanted.lines[nth..end]) {
        let Line { keys, values } = &table[line as usize / size_of::<Line>()];
        // Which it is cannot be foretold.
        let slot = usize::from(keys[1] == *key);
        let number = values[slot].kind();
        if keys[slot] != *key || number >= ELSEWHERE {
            break;
        }
        // SAFETY: by the contract of the function.
        unsafe { values[slot].write(packing, to.add(count)) };
        count += usize::from(number);
        nth += 1;
    }
    (nth, count)
}
