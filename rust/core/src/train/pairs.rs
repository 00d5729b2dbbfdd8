//! The pairs of adjacent symbols: how often each occurs, and where its occurrences were when they came about.
//!
//! All occurrences of a pair come about in one step (see `queue.rs`), so each list is made once, at its exact size, in
//! one allocation for all pairs of that step. Later merges may take occurrences away; the list is not touched then, and
//! who reads it checks each place.

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::Hasher;
use std::ops::Range;

use super::words::Words;

#[derive(Debug, Clone)]
struct Pair {
    left: u32,
    right: u32,
    count: u64,
    /// Where its list is among those of the step that made it.
    places: Range<u32>,
}

#[derive(Default)]
pub(super) struct Pairs {
    pairs: Vec<Pair>,
    by_symbols: HashTable<u32>,
    /// Positions of left symbols, ascending in each list; one vector for the byte pairs, then one a step.
    places: Vec<Vec<u32>>,
}

/// A pair that a step made: how often, at how many places.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewPair {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) count: u64,
    pub(super) places: u32,
}

fn hash(left: u32, right: u32) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(u64::from(left) << 32 | u64::from(right));
    hasher.finish()
}

impl Pairs {
    /// The pairs of adjacent bytes.
    pub(super) fn of_bytes(words: &Words) -> Pairs {
        let index = |left: u32, right: u32| (left << 8 | right) as usize;
        let mut found = vec![(0u64, 0u32); 1 << 16];
        words.for_each_byte_pair(|_, left, right, count| {
            let (sum, places) = &mut found[index(left, right)];
            *sum += count;
            *places += 1;
        });
        let mut pairs = Pairs::default();
        let new = (0..1u32 << 16).filter_map(|both| {
            let (count, places) = found[both as usize];
            (places > 0).then_some(NewPair { left: both >> 8, right: both & 0xff, count, places })
        });
        let mut ends = vec![0; 1 << 16];
        pairs.insert_step(new, |pair, start| ends[index(pair.left, pair.right)] = start);
        // `insert_step` made room; each end moves on as its list fills.
        let places = &mut pairs.places[0];
        words.for_each_byte_pair(|position, left, right, _| {
            let end: &mut u32 = &mut ends[index(left, right)];
            places[*end as usize] = position;
            *end += 1;
        });
        pairs
    }

    /// Adds the pairs of one step with room for their places, and says of each where its list starts.
    /// Returns the numbers given to them.
    pub(super) fn insert_step(
        &mut self,
        new: impl Iterator<Item = NewPair>,
        mut starts_at: impl FnMut(NewPair, u32),
    ) -> Range<u32> {
        let first = self.pairs.len() as u32;
        let mut end = 0;
        for pair in new {
            starts_at(pair, end);
            let places = end..end + pair.places;
            end = places.end;
            let number = self.pairs.len() as u32;
            self.pairs.push(Pair { left: pair.left, right: pair.right, count: pair.count, places });
            let pairs = &self.pairs;
            self.by_symbols.insert_unique(hash(pair.left, pair.right), number, |&number| {
                let pair = &pairs[number as usize];
                hash(pair.left, pair.right)
            });
        }
        self.places.push(vec![0; end as usize]);
        first..self.pairs.len() as u32
    }

    /// The places of the step made last, to be filled.
    pub(super) fn last_places(&mut self) -> &mut [u32] {
        self.places.last_mut().map_or(&mut [], Vec::as_mut_slice)
    }

    /// Number of pairs ever made.
    pub(super) fn len(&self) -> u32 {
        self.pairs.len() as u32
    }

    pub(super) fn symbols(&self, pair: u32) -> (u32, u32) {
        let pair = &self.pairs[pair as usize];
        (pair.left, pair.right)
    }

    pub(super) fn count(&self, pair: u32) -> u64 {
        self.pairs[pair as usize].count
    }

    /// Where the pair's occurrences were when they came about.
    pub(super) fn places(&self, pair: u32) -> &[u32] {
        let Pair { left, right, ref places, .. } = self.pairs[pair as usize];
        // Symbols are 256 bytes and then one a step: the younger one tells the step.
        let step = left.max(right).saturating_sub(255) as usize;
        &self.places[step][places.start as usize..places.end as usize]
    }

    /// Takes `count` occurrences away from a pair that exists.
    pub(super) fn lose(&mut self, left: u32, right: u32, count: u64) {
        let pairs = &mut self.pairs;
        let found = self.by_symbols.find(hash(left, right), |&number| {
            let pair = &pairs[number as usize];
            (pair.left, pair.right) == (left, right)
        });
        debug_assert!(found.is_some(), "adjacent symbols are a known pair");
        if let Some(&number) = found {
            pairs[number as usize].count -= count;
        }
    }

    /// Marks a pair as merged: no occurrence is left.
    pub(super) fn exhaust(&mut self, pair: u32) {
        self.pairs[pair as usize].count = 0;
    }
}
