//! Ids that are not out yet: words that are not at hand are put off until there are enough of them to be looked up, and
//! joined, side by side.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::cache::WordCache;
use super::front::Front;
use super::id::Id;
use super::lanes::PADDING;
use super::line::Key;
use super::value::{self, Known, Value};
use crate::memory::reserve;

/// So many words that are not known are joined at once, or fewer if so many ids have come since the first of them: few
/// enough that all of it stays near.
const ENOUGH_UNKNOWN: usize = 192;
const ENOUGH_KNOWN: usize = 1 << 14;
/// Ids that are copied at once.
const WIDTH: usize = value::WIDTH;
/// Ids beside the slots are asked for when so many words are still before them.
const AHEAD: usize = 16;
/// A power of two.
const LAST: usize = 1 << 8;
/// Memory for the text of words to be joined is given back above this.
const TEXT_KEPT: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Ids of words at hand and of added tokens. (Tried, and no faster: in two bytes where they will be: what a store that needs
    /// no shuffle saves is nothing beside the rest.)
    pub(super) known: Vec<u32>,
    missed: Vec<Missed>,
    /// How many of those that were missed have been looked for.
    found: usize,
    unknown: Unknown,
    /// Places among the ids that are asked for: how many of `known` and how many of `missed` are before each.
    marks: Vec<(usize, usize)>,
}

/// A word that was not at hand.
#[derive(Debug)]
struct Missed {
    key: Key,
    /// How many of the known ids stand before it.
    at: usize,
    /// Where it stands in the text that is being encoded, until it was looked for.
    word: Range<usize>,
    /// What was found.
    value: Value,
}

/// Words to be joined.
#[derive(Debug)]
struct Unknown {
    /// Which of those missed each is.
    which: Vec<usize>,
    keys: Vec<Key>,
    /// By the lowest bits of a key's hash: the number of the unknown word that came last. A new word often comes several times
    /// before it has been joined. What is left of words that are none any more does no harm.
    ///
    /// (Tried, and no faster: to keep the hash by which a short word was looked for, and not to look for one again whose line
    /// was not full.)
    last: [u32; LAST],
    /// The words, end to end: their text may be gone before they are joined.
    text: Vec<u8>,
    words: Vec<Range<usize>>,
    ids: Vec<u32>,
    /// Where the ids of each word are.
    spans: Vec<Range<usize>>,
}

impl Default for Unknown {
    fn default() -> Self {
        Unknown {
            which: Vec::new(),
            keys: Vec::new(),
            last: [0; LAST],
            text: Vec::new(),
            words: Vec::new(),
            ids: Vec::new(),
            spans: Vec::new(),
        }
    }
}

impl Unknown {
    /// The number of a word, which is added if it is not there.
    fn number(&mut self, key: Key, word: &[u8], nth: usize) -> u32 {
        let new = self.which.len() as u32;
        let last = std::mem::replace(&mut self.last[key.hash() as usize % LAST], new);
        let is_word = |number: usize| self.keys[number] == key && &self.text[self.words[number].clone()] == word;
        if last < new && is_word(last as usize) {
            self.last[key.hash() as usize % LAST] = last;
            return last;
        }
        self.which.push(nth);
        self.keys.push(key);
        let start = self.text.len();
        self.text.extend_from_slice(word);
        self.words.push(start..self.text.len());
        new
    }

    /// The ids of the word of that number.
    fn ids(&self, number: usize) -> &[u32] {
        &self.ids[self.spans[number].clone()]
    }

    fn clear(&mut self) {
        self.which.clear();
        self.keys.clear();
        self.text.clear();
        self.text.shrink_to(TEXT_KEPT);
        self.words.clear();
        self.ids.clear();
        self.spans.clear();
    }
}

impl Pending {
    /// Adds a word that is not at hand, which stands there in the text, behind the first `at` known ids. [`Pending::find`] has to
    /// be called before the text is gone.
    #[inline]
    pub(super) fn miss(&mut self, key: Key, word: Range<usize>, at: usize) {
        self.missed.push(Missed { key, at, word, value: Value::NOTHING });
    }

    /// Adds a word whose ids stand beside the slots, as `value` says.
    #[inline]
    pub(super) fn beside(&mut self, value: Value, at: usize) {
        self.missed.push(Missed { key: Key::EMPTY, at, word: 0..0, value });
    }

    /// Looks for the words that were missed.
    #[inline(never)]
    pub(super) fn find(&mut self, front: &mut Front, cache: &WordCache, text: &[u8]) {
        let Pending { missed, found, unknown, .. } = self;
        let first = std::mem::replace(found, missed.len());
        if first == missed.len() {
            return;
        }
        for word in missed[first..].iter().filter(|word| word.key.is_long()) {
            cache.prefetch(word.key);
        }
        for word in missed[first..].iter().filter(|word| word.key.is_long()) {
            cache.prefetch_word(word.key);
        }
        for (nth, Missed { key, word, value, .. }) in missed.iter_mut().enumerate().skip(first) {
            if *value != Value::NOTHING {
                continue;
            }
            let word = &text[word.clone()];
            let known = if key.is_long() { cache.find(*key, word) } else { front.find(*key) };
            *value = known.unwrap_or_else(|| Value::unknown(unknown.number(*key, word, nth)));
        }
    }

    /// Remembers the place behind all that came so far.
    pub(super) fn mark(&mut self) {
        self.marks.push((self.known.len(), self.missed.len()));
    }

    #[inline]
    pub(super) fn is_enough(&self) -> bool {
        self.unknown.which.len() >= ENOUGH_UNKNOWN
            || self.known.len() >= ENOUGH_KNOWN
            || self.missed.len() >= ENOUGH_KNOWN
    }

    /// Forgets all there is.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.missed.clear();
        self.found = 0;
        self.marks.clear();
        self.unknown.clear();
    }

    /// Has `join` join the words that are not known, and keeps them.
    #[inline(never)]
    pub(super) fn join(
        &mut self,
        front: &mut Front,
        cache: &mut WordCache,
        join: impl FnOnce(&[u8], &[Range<usize>], &mut Vec<u32>, &mut Vec<Range<usize>>),
    ) {
        let Pending { missed, unknown, .. } = self;
        if unknown.which.is_empty() {
            return;
        }
        unknown.text.extend_from_slice(&[0; PADDING]);
        join(&unknown.text, &unknown.words, &mut unknown.ids, &mut unknown.spans);
        for &key in &unknown.keys {
            if key.is_long() {
                cache.prefetch(key);
            } else {
                front.prefetch(key);
            }
        }
        for (number, (&nth, word)) in unknown.which.iter().zip(&unknown.words).enumerate() {
            let (Missed { key, value, .. }, ids) = (&mut missed[nth], unknown.ids(number));
            if *key == Key::NONE {
                continue;
            }
            if key.is_long() {
                cache.insert(*key, &unknown.text[word.clone()], ids);
                continue;
            }
            let here = Value::here(ids, front.packing());
            front.keep(*key, here.unwrap_or_else(|| cache.put_beside(ids)));
            *value = here.unwrap_or(*value);
        }
    }

    /// Appends all ids to `ids`, and what the marked places are there to `marked`.
    #[inline(never)]
    pub(super) fn append_to<I: Id>(
        &mut self,
        (front, cache): (&Front, &WordCache),
        ids: &mut Vec<I>,
        marked: &mut Vec<usize>,
    ) {
        let Pending { known, missed, unknown, marks, .. } = &mut *self;
        let count = |value: Value| match value.known() {
            Known::Here(count) | Known::Beside(_, count) => count,
            Known::Unknown(number) => unknown.ids(number as usize).len(),
            Known::Nothing => 0,
        };
        ids.reserve(known.len() + missed.iter().map(|word| count(word.value)).sum::<usize>() + 2 * WIDTH);
        // Behind what is copied from there, too, has to be memory.
        reserve(known, WIDTH);
        let mut marks = marks.iter().peekable();
        let (mut from, mut end) = (0, ids.len());
        let to = ids.as_mut_ptr();
        for (nth, Missed { at, value, .. }) in missed.iter().enumerate() {
            if let Some(Missed { value, .. }) = missed.get(nth + AHEAD)
                && let Known::Beside(place, _) = value.known()
            {
                cache.prefetch_ids(place);
            }
            while let Some(&(mark, _)) = marks.next_if(|&&(_, missed)| missed <= nth) {
                marked.push(end + mark - from);
            }
            // SAFETY: this and what follows reads ids that are there, or up to `WIDTH` behind, where `known` has memory, and
            // writes to where the ids belong, or up to `WIDTH` behind, where `ids` has room; what was written behind is
            // written anew, or not part of the length.
            unsafe { copy(known.as_ptr().add(from), to.add(end), at - from) };
            end += at - from;
            from = *at;
            // SAFETY: as above, where `ids` has room for twice as many.
            unsafe {
                let to = to.add(end);
                match value.known() {
                    Known::Here(_) => value.write(front.packing(), to),
                    Known::Beside(place, count) => cache.copy_beside(place, count, to),
                    Known::Unknown(number) => {
                        let ids = unknown.ids(number as usize);
                        for (nth, &id) in ids.iter().enumerate() {
                            to.add(nth).write(I::of(id));
                        }
                    }
                    Known::Nothing => {}
                }
            }
            end += count(*value);
        }
        marked.extend(marks.map(|&(at, _)| end + at - from));
        // SAFETY: as above, and with this all ids up to the new length are written.
        unsafe {
            copy(known.as_ptr().add(from), to.add(end), known.len() - from);
            ids.set_len(end + known.len() - from);
        }
        self.clear();
    }
}

/// Copies `count` ids, and those behind them up to a whole [`WIDTH`].
///
/// # Safety
/// There is memory for so many at both places, which don't overlap.
#[inline(always)]
unsafe fn copy<I: Id>(from: *const u32, to: *mut I, count: usize) {
    let mut done = 0;
    while done < count {
        // SAFETY: by the contract of the function; what is copied need not have been written.
        unsafe {
            let from: *const [MaybeUninit<u32>; WIDTH] = from.add(done).cast();
            let ids = from.read_unaligned().map(I::of_uninit);
            to.add(done).cast::<[MaybeUninit<I>; WIDTH]>().write_unaligned(ids);
        }
        done += WIDTH;
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::Packing;
    use super::*;
    use crate::processor::Instructions;

    /// Ids that tell a word from others, more of them for some words than for others.
    fn ids_of(word: &[u8], packing: Packing) -> Vec<u32> {
        let hash =
            word.iter().fold(word.len() as u32, |hash, &byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let count = if hash.is_multiple_of(5) { hash / 5 % 30 } else { hash % 4 };
        // Some too large to stand in a slot, in a large vocabulary, and some the same again and again; as many as bytes at most.
        let id = match packing {
            Packing::TwoBytes => hash % (1 << 16),
            Packing::ThreeBytes if hash.is_multiple_of(7) => hash,
            Packing::ThreeBytes => hash % (1 << 17),
        };
        let differ = hash.is_multiple_of(3);
        (0..=count.min(word.len() as u32 - 1)).map(|nth| if differ { id ^ nth } else { id ^ nth.min(2) }).collect()
    }

    #[test]
    fn what_is_found_is_what_was_joined_however_full_the_tables() {
        what_is_found_is_what_was_joined::<u16>(&[Packing::TwoBytes]);
        what_is_found_is_what_was_joined::<u32>(&[Packing::TwoBytes, Packing::ThreeBytes]);
    }

    fn what_is_found_is_what_was_joined<I: Id>(packings: &[Packing]) {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) % below
        };
        // Words of all lengths, some of them frequent, more of them than small tables have slots for.
        let words: Vec<Vec<u8>> = (0..40_000)
            .map(|_| {
                let len = [1, 2, 5, 9, 14, 15, 16, 17, 40, 126, 127, 300][random(12) as usize];
                let mut word: Vec<u8> = (0..len).map(|_| random(3) as u8).collect();
                if len > 1 && random(4) == 0 {
                    // A run.
                    let byte = word[1];
                    word[1..].fill(byte);
                }
                word
            })
            .collect();
        use Instructions::{Avx2, Avx512, Portable};
        let ways =
            [Portable, Avx2, Avx512].into_iter().flat_map(|set| packings.iter().map(move |&packing| (set, packing)));
        for (instructions, packing, most) in
            ways.flat_map(|(set, packing)| [12, 16].map(|bits| (set, packing, 1 << bits)))
        {
            let (mut front, mut cache) =
                (Front::limited_to(instructions, packing, most, 0), WordCache::new(packing, most));
            let (mut pending, mut joined, mut forgotten) = (Pending::default(), 0, 0);
            let (mut ids, mut marked) = (vec![I::of(7)], vec![]);
            let (mut expected, mut expected_marks) = (vec![7], vec![]);
            for round in 0..600 {
                let (mut text, mut ends) = (Vec::new(), Vec::new());
                // A text of one pre-token, too, and none long enough for a vector.
                for _ in 0..[1, 3, 250, 250, 250][round % 5] {
                    let below = if random(2) == 0 { 50 } else { words.len() as u64 };
                    let word = &words[random(below) as usize];
                    text.extend_from_slice(word);
                    ends.push(text.len());
                    expected.extend(ids_of(word, packing));
                }
                front.look_up(&text, 0, &ends, &mut pending);
                pending.find(&mut front, &cache, &text);
                pending.known.push(9);
                expected.push(9);
                pending.mark();
                expected_marks.push(expected.len());
                if pending.is_enough() || round == 599 {
                    pending.join(&mut front, &mut cache, |text, words, ids, spans| {
                        joined += words.len();
                        for word in words {
                            let first = ids.len();
                            ids.extend(ids_of(&text[word.clone()], packing));
                            spans.push(first..ids.len());
                        }
                    });
                    pending.append_to((&front, &cache), &mut ids, &mut marked);
                    if cache.make_room() {
                        front.clear();
                        forgotten += 1;
                    }
                }
            }
            let ids: Vec<u32> = ids.into_iter().map(Into::into).collect();
            assert!(ids == expected, "{most} slots, {instructions:?}, {packing:?}");
            assert_eq!(marked, expected_marks);
            assert!(joined < expected_marks.len() * 100, "{joined} words were joined");
            assert_eq!(forgotten > 0, most == 1 << 12);
        }
    }
}
