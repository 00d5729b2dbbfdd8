//! What does not fit the slots of a word cache.

use crate::hash::load;
use crate::memory::{prefetch, reserve};

/// Numbers that are moved at once: an entry's ids take a whole number of times so many.
pub(super) const WIDTH: usize = 4;
pub(super) const BYTES: usize = WIDTH * size_of::<u32>();

/// Entries of ids, and behind them, of a long word, its bytes; each begins at a multiple of 16 bytes.
#[derive(Debug, Default)]
pub(super) struct Beside(Vec<[u32; WIDTH]>);

impl Beside {
    pub(super) fn bytes(&self) -> usize {
        self.0.len() * BYTES
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds an entry; returns where it is.
    pub(super) fn push(&mut self, ids: &[u32], word: &[u8]) -> u32 {
        let at = self.0.len() as u32;
        reserve(&mut self.0, ids.len().div_ceil(WIDTH) + word.len().div_ceil(BYTES));
        for ids in ids.chunks(WIDTH) {
            let mut padded = [0; WIDTH];
            padded[..ids.len()].copy_from_slice(ids);
            self.0.push(padded);
        }
        for bytes in word.chunks(BYTES) {
            self.0.push(numbers(load(bytes, 0, bytes.len())));
        }
        at
    }

    #[inline]
    pub(super) fn prefetch(&self, at: u32) {
        prefetch(&self.0, at as usize);
    }

    /// The ids of the entry at `at`, which has `count`.
    #[inline]
    pub(super) fn ids(&self, at: u32, count: usize) -> &[u32] {
        &self.0[at as usize..].as_flattened()[..count]
    }

    /// Whether the entry at `at`, which has `count` ids and is of a word as long as `word`, is that of `word`.
    #[inline]
    pub(super) fn is_word(&self, at: u32, count: usize, word: &[u8]) -> bool {
        let kept = &self.0[at as usize + count.div_ceil(WIDTH)..];
        word.chunks(BYTES).zip(kept).all(|(bytes, kept)| numbers(load(bytes, 0, bytes.len())) == *kept)
    }
}

#[inline(always)]
fn numbers(bytes: u128) -> [u32; WIDTH] {
    [bytes as u32, (bytes >> 32) as u32, (bytes >> 64) as u32, (bytes >> 96) as u32]
}
