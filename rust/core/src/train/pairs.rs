//! The pairs of adjacent symbols that occur often enough to be merged soon: how often, and where their occurrences were
//! when they came about.
//!
//! A pair gains occurrences only in the step that makes its younger symbol; from then on its count only falls. So a pair
//! whose count is below a threshold then can be left out until the most frequent one has fallen below it; all pairs are
//! then counted anew, with a lower threshold. Nearly all pairs of a large text are rare and never come in at all.
//!
//! For the same reason a list of places is made once, at its exact size. Later merges may take occurrences away; the list
//! is not touched then, and who reads it checks each place.

use super::words::{Slot, Words};
use crate::control::Control;
use crate::error::Result;

/// No pair.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Pair {
    left: u32,
    right: u32,
    count: u64,
    /// The next pair of the same bucket.
    next: u32,
    /// Number of places, while they are counted.
    places: u32,
}

pub(super) struct Pairs {
    threshold: u64,
    pairs: Vec<Pair>,
    /// Positions of left symbols by pair, ascending.
    places: Vec<Vec<u32>>,
    /// The first pair of each bucket of the hash table; a power of two of them.
    buckets: Vec<u32>,
}

#[inline]
fn bucket(left: u32, right: u32, buckets: usize) -> usize {
    // Fibonacci hashing; the product's upper half has seen all bits of both.
    let both = u64::from(left) << 32 | u64::from(right);
    let mixed = (both ^ both >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize & (buckets - 1)
}

impl Pairs {
    /// The pairs whose counts are at least a threshold that `choose` picks, given a bound on the greatest count.
    pub(super) fn count<S: Slot>(
        words: &Words<S>,
        mut below: u64,
        choose: impl Fn(u64) -> u64,
        control: &Control,
    ) -> Result<Pairs> {
        // Most pairs are rare. Sums by bucket need little memory, and only pairs in a bucket that reaches the threshold
        // are then counted exactly.
        let buckets = (words.len() / 4).next_power_of_two().clamp(1 << 10, 1 << 20);
        let mut sums = vec![0u32; buckets];
        words.for_each_pair(control, |_, left, right, count| {
            let sum = &mut sums[bucket(left, right, buckets)];
            *sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        })?;
        let greatest = sums.iter().copied().max().unwrap_or(0);
        if greatest < u32::MAX {
            below = below.min(u64::from(greatest) + 1);
        }
        loop {
            let threshold = choose(below.saturating_sub(1)).max(1);
            let pairs = Pairs::from_threshold(words, threshold, &sums, control)?;
            // Where pairs shared the greatest bucket, or nothing is near the last threshold, none may reach it.
            if threshold == 1 || !pairs.pairs.is_empty() {
                return Ok(pairs);
            }
            below = threshold;
        }
    }

    fn from_threshold<S: Slot>(words: &Words<S>, threshold: u64, sums: &[u32], control: &Control) -> Result<Pairs> {
        let low = u32::try_from(threshold).unwrap_or(u32::MAX);
        let mut found = Pairs { threshold, pairs: Vec::new(), places: Vec::new(), buckets: vec![NONE; sums.len()] };
        words.for_each_pair(control, |_, left, right, count| {
            let bucket = bucket(left, right, sums.len());
            if sums[bucket] >= low {
                let number = found.find(left, right).unwrap_or_else(|| found.push(left, right, 0));
                let pair = &mut found.pairs[number as usize];
                pair.count += count;
                pair.places += 1;
            }
        })?;
        found.pairs.retain(|pair| pair.count >= threshold);
        found.pairs.shrink_to_fit();
        found.places = found.pairs.iter().map(|pair| Vec::with_capacity(pair.places as usize)).collect();
        found.rehash();
        words.for_each_pair(control, |position, left, right, _| {
            if let Some(number) = found.find(left, right) {
                found.places[number as usize].push(position);
            }
        })?;
        Ok(found)
    }

    /// Pairs whose counts were lower than this when they came about are not here.
    pub(super) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Pairs { threshold: self.threshold, pairs: Vec::new(), places: Vec::new(), buckets: vec![NONE] };
    }

    /// Number of pairs, merged ones included.
    pub(super) fn len(&self) -> u32 {
        self.pairs.len() as u32
    }

    pub(super) fn symbols(&self, pair: u32) -> (u32, u32) {
        let pair = &self.pairs[pair as usize];
        (pair.left, pair.right)
    }

    pub(super) fn count_of(&self, pair: u32) -> u64 {
        self.pairs[pair as usize].count
    }

    /// Adds a pair with room for its places. Returns its number.
    pub(super) fn insert(&mut self, left: u32, right: u32, count: u64, places: u32) -> u32 {
        self.places.push(Vec::with_capacity(places as usize));
        let number = self.push(left, right, count);
        if self.pairs.len() > self.buckets.len() {
            self.buckets = vec![NONE; self.buckets.len() * 2];
            self.rehash();
        }
        number
    }

    /// Adds a place to a pair.
    #[inline]
    pub(super) fn add_place(&mut self, pair: u32, place: u32) {
        self.places[pair as usize].push(place);
    }

    /// Takes `count` occurrences away from a pair, if it is here.
    #[inline]
    pub(super) fn lose(&mut self, left: u32, right: u32, count: u64) {
        if let Some(number) = self.find(left, right) {
            self.pairs[number as usize].count -= count;
        }
    }

    /// Takes out the places of a pair, where its occurrences were when they came about; it has none left thereafter.
    pub(super) fn exhaust(&mut self, pair: u32) -> Vec<u32> {
        self.pairs[pair as usize].count = 0;
        std::mem::take(&mut self.places[pair as usize])
    }

    #[inline]
    fn find(&self, left: u32, right: u32) -> Option<u32> {
        let mut number = self.buckets[bucket(left, right, self.buckets.len())];
        while number != NONE {
            let pair = &self.pairs[number as usize];
            if (pair.left, pair.right) == (left, right) {
                return Some(number);
            }
            number = pair.next;
        }
        None
    }

    fn push(&mut self, left: u32, right: u32, count: u64) -> u32 {
        let number = self.len();
        let bucket = bucket(left, right, self.buckets.len());
        let next = std::mem::replace(&mut self.buckets[bucket], number);
        self.pairs.push(Pair { left, right, count, next, places: 0 });
        number
    }

    /// Makes the hash table anew.
    fn rehash(&mut self) {
        self.buckets.fill(NONE);
        for (number, pair) in (0..).zip(&mut self.pairs) {
            let bucket = bucket(pair.left, pair.right, self.buckets.len());
            pair.next = std::mem::replace(&mut self.buckets[bucket], number);
        }
    }
}
