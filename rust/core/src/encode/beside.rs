//! What does not fit the slots of a word cache.

use crate::hash::load;
use crate::memory::{Pages, prefetch};

/// Numbers that are moved at once: an entry's ids take a whole number of times so many.
pub(super) const WIDTH: usize = 4;
pub(super) const BYTES: usize = WIDTH * size_of::<u32>();

/// The pages of so many bytes are made at a time.
const AHEAD: usize = 1 << 18;

/// Entries of ids, and behind them, of a long word, its bytes; each begins at a multiple of 16 bytes.
#[derive(Debug)]
pub(super) struct Beside {
    entries: Vec<[u32; WIDTH]>,
    pages: Pages,
    /// For so many there is room whose pages have been made.
    made: usize,
}

impl Default for Beside {
    fn default() -> Self {
        let entries = Vec::new();
        Beside { pages: Pages::of(&entries, 0), entries, made: 0 }
    }
}

impl Beside {
    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * BYTES
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds an entry; returns where it is.
    pub(super) fn push(&mut self, ids: &[u32], word: &[u8]) -> u32 {
        let at = self.entries.len() as u32;
        let end = self.entries.len() + ids.len().div_ceil(WIDTH) + word.len().div_ceil(BYTES);
        if end > self.made {
            self.make_room(end);
        }
        // Whole ones by themselves: to copy so few takes less than to call what copies any number.
        let (whole, rest) = ids.as_chunks::<WIDTH>();
        for ids in whole {
            self.entries.push(*ids);
        }
        if !rest.is_empty() {
            self.entries.push(std::array::from_fn(|nth| rest.get(nth).copied().unwrap_or_default()));
        }
        let (whole, rest) = word.as_chunks::<BYTES>();
        for bytes in whole {
            self.entries.push(numbers(u128::from_le_bytes(*bytes)));
        }
        if !rest.is_empty() {
            self.entries.push(numbers(load(rest, 0, rest.len())));
        }
        at
    }

    #[cold]
    fn make_room(&mut self, end: usize) {
        let Beside { entries, pages, made } = self;
        if end > entries.capacity() {
            entries.reserve(end - entries.len());
            *pages = Pages::of(entries, *made);
        }
        *made = end.max(entries.len() + AHEAD / BYTES).min(entries.capacity());
        pages.make(entries, entries.len()..*made);
    }

    #[inline]
    pub(super) fn prefetch(&self, at: u32) {
        prefetch(&self.entries, at as usize);
    }

    /// The ids of the entry at `at`, which has `count`.
    #[inline]
    pub(super) fn ids(&self, at: u32, count: usize) -> &[u32] {
        &self.entries[at as usize..].as_flattened()[..count]
    }

    /// Whether the entry at `at`, which has `count` ids and is of a word as long as `word`, is that of `word`.
    #[inline]
    pub(super) fn is_word(&self, at: u32, count: usize, word: &[u8]) -> bool {
        let kept = &self.entries[at as usize + count.div_ceil(WIDTH)..];
        word.chunks(BYTES).zip(kept).all(|(bytes, kept)| numbers(load(bytes, 0, bytes.len())) == *kept)
    }
}

#[inline(always)]
fn numbers(bytes: u128) -> [u32; WIDTH] {
    [bytes as u32, (bytes >> 32) as u32, (bytes >> 64) as u32, (bytes >> 96) as u32]
}
