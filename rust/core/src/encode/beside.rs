//! What does not fit the slots of a word cache.

use super::id::Id;
use super::value::Packing;
use crate::hash::load;
use crate::memory::{Pages, prefetch};

/// Bytes that are moved at once: an entry's ids, and its word, take a whole number of times so many.
pub(super) const BYTES: usize = 16;
/// The most ids that stand in so many.
pub(super) const MOST: usize = BYTES / size_of::<u16>();

/// The pages of so many bytes are made at a time.
const AHEAD: usize = 1 << 18;

/// Entries of ids, in two bytes each where the vocabulary is so small, or in four, and behind them, of a long word, its bytes.
#[derive(Debug)]
pub(super) struct Beside {
    packing: Packing,
    /// Each entry begins with one of these.
    entries: Vec<u128>,
    pages: Pages,
    /// For so many there is room whose pages have been made.
    made: usize,
}

impl Beside {
    /// For ids that are packed like that elsewhere.
    pub(super) fn new(packing: Packing) -> Beside {
        let entries = Vec::new();
        Beside { packing, pages: Pages::of(&entries, 0), entries, made: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * BYTES
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds an entry; returns where it is.
    pub(super) fn push(&mut self, ids: &[u32], word: &[u8]) -> u32 {
        let at = self.entries.len() as u32;
        let end = self.entries.len() + self.width(ids.len()) + word.len().div_ceil(BYTES);
        if end > self.made {
            self.make_room(end);
        }
        match self.packing {
            Packing::TwoBytes => self.push_ids::<MOST>(ids),
            Packing::ThreeBytes => self.push_ids::<{ MOST / 2 }>(ids),
        }
        let (whole, rest) = word.as_chunks::<BYTES>();
        for bytes in whole {
            self.entries.push(u128::from_le_bytes(*bytes));
        }
        if !rest.is_empty() {
            self.entries.push(load(rest, 0, rest.len()));
        }
        at
    }

    /// Adds ids, so many together. Whole ones by themselves: to copy so few takes less than to call what copies any number.
    #[inline(always)]
    fn push_ids<const TOGETHER: usize>(&mut self, ids: &[u32]) {
        let packed = |ids: [u32; TOGETHER]| {
            debug_assert!(TOGETHER < MOST || ids.iter().all(|&id| id <= u16::MAX.into()));
            ids.into_iter().rev().fold(0, |packed, id| packed << (8 * BYTES / TOGETHER) | u128::from(id))
        };
        let (whole, rest) = ids.as_chunks::<TOGETHER>();
        for ids in whole {
            self.entries.push(packed(*ids));
        }
        if !rest.is_empty() {
            self.entries.push(packed(std::array::from_fn(|nth| rest.get(nth).copied().unwrap_or_default())));
        }
    }

    /// How much of `entries` so many ids take.
    #[inline(always)]
    fn width(&self, ids: usize) -> usize {
        match self.packing {
            Packing::TwoBytes => ids.div_ceil(MOST),
            Packing::ThreeBytes => ids.div_ceil(MOST / 2),
        }
    }

    #[cold]
    fn make_room(&mut self, end: usize) {
        let Beside { entries, pages, made, .. } = self;
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

    /// Writes the ids of the entry at `at`, which has `count`, to `to`, and what else there is to a multiple of [`MOST`].
    ///
    /// # Safety
    /// There is room.
    #[inline(always)]
    pub(super) unsafe fn copy<I: Id>(&self, at: u32, count: usize, to: *mut I) {
        let entry = &self.entries[at as usize..][..self.width(count)];
        // SAFETY: by the contract of the function.
        unsafe {
            match self.packing {
                Packing::TwoBytes => unpack::<MOST, I>(entry, to),
                Packing::ThreeBytes => unpack::<{ MOST / 2 }, I>(entry, to),
            }
        }
    }

    /// Whether the entry at `at`, which has `count` ids and is of a word as long as `word`, is that of `word`.
    #[inline]
    pub(super) fn is_word(&self, at: u32, count: usize, word: &[u8]) -> bool {
        let kept = &self.entries[at as usize + self.width(count)..];
        word.chunks(BYTES).zip(kept).all(|(bytes, kept)| load(bytes, 0, bytes.len()) == *kept)
    }
}

/// Writes ids of which so many stand together.
///
/// # Safety
/// There is room for all.
#[inline(always)]
unsafe fn unpack<const TOGETHER: usize, I: Id>(entry: &[u128], mut to: *mut I) {
    let bits = 8 * BYTES / TOGETHER;
    for packed in entry {
        let ids: [I; TOGETHER] =
            std::array::from_fn(|nth| I::of((packed >> (bits * nth)) as u32 & (u32::MAX >> (32 - bits))));
        // SAFETY: by the contract of the function.
        unsafe {
            to.cast::<[I; TOGETHER]>().write_unaligned(ids);
            to = to.add(TOGETHER);
        }
    }
}
