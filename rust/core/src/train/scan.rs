//! Finding the frequent pairs in all words, with their places: in two walks over the words, and in little memory beside
//! the result.

use super::pairs::{Pairs, hash};
use super::words::{BLOCK, Slot, Words};
use crate::control::Control;
use crate::error::Result;

/// Places that are put in order at a time: they fit the second-level cache.
const PLACES_AT_A_TIME: usize = 1 << 16;

/// Parts that they are put in.
const PARTS: usize = 256;

/// The most buckets of the first walk.
const BUCKETS: usize = 1 << 20;

impl Pairs {
    /// The pairs whose counts are at least a threshold that `choose` picks, given a bound on the greatest count, or a
    /// higher one if they have more than `most_places`. (They still have when the most frequent ones alone do, of equal
    /// counts.) No count may reach `below`. All symbols must have one slot.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`].
    pub(super) fn count<S: Slot>(
        words: &Words<S>,
        mut below: u64,
        choose: impl Fn(u64) -> u64,
        most_places: usize,
        control: &Control,
    ) -> Result<Pairs> {
        let sums = sums(words, control)?;
        below = below.min(sums.iter().copied().max().unwrap_or(0) + 1);
        // A threshold that too many places are above, if one is known.
        let mut over = 0;
        loop {
            let wanted = choose(below.saturating_sub(1)).max(1);
            let threshold = if wanted > over { wanted } else { over.saturating_mul(2).min(over + (below - over) / 2) };
            let room = if threshold > over { most_places } else { usize::MAX };
            match at_least(Pairs::new(threshold, most_places), words, &sums, room, control)? {
                None => over = threshold,
                // Where pairs shared the greatest bucket, or nothing is near the last threshold, none may reach it. What was
                // counted is known by now, and the rest is below its buckets' sums.
                Some((pairs, greatest)) if pairs.len() == 0 && threshold > 1 => {
                    let uncounted = sums.iter().copied().filter(|&sum| sum < threshold).max().unwrap_or(0);
                    below = below.min(greatest.max(uncounted) + 1);
                    // Then what was over was rarer pairs in shared buckets.
                    over = if over < below { over } else { 0 };
                }
                Some((pairs, _)) => return Ok(pairs),
            }
        }
    }
}

/// Counts by the lower bits of the pairs' hashes. Nearly all pairs are rare, and most of those are in
/// buckets with other rare ones only, so few are left to be counted exactly.
fn sums<S: Slot>(words: &Words<S>, control: &Control) -> Result<Vec<u64>> {
    let mut sums = vec![0u64; (words.len() / 4).next_power_of_two().clamp(64, BUCKETS)];
    let mask = sums.len() - 1;
    words.for_each_pair(control, |left, right, count| {
        // All pairs together do not overflow, see `Layout`.
        sums[hash(left, right) as usize & mask] += count;
    })?;
    Ok(sums)
}

/// `found` with the pairs that reach its threshold, and the greatest count of those that might have; `None` when they have
/// more than `room` places.
fn at_least<S: Slot>(
    mut found: Pairs,
    words: &Words<S>,
    sums: &[u64],
    room: usize,
    control: &Control,
) -> Result<Option<(Pairs, u64)>> {
    let filter = Filter::new(sums, found.threshold());
    let mut sorter = Sorter::new(words.len());
    let mut listed = 0;
    words.for_blocks_of_pairs(
        |left, right| filter.contains(hash(left, right)),
        control,
        |block| {
            // Fetching the numbers and adding to the counts are apart, so that the former need not wait for the latter.
            let numbers = sorter.room_for(block.len(), &mut found);
            for (pair, number) in block.iter().zip(&mut *numbers) {
                *number = (found.number(pair.left, pair.right), pair.place);
            }
            for (pair, &mut (number, _)) in block.iter().zip(numbers) {
                found.gain(number, pair.count);
            }
            listed += block.len();
            listed <= room
        },
    )?;
    if listed > room {
        return Ok(None);
    }
    sorter.empty(&mut found);
    let greatest = (0..found.len()).map(|pair| found.count_of(pair)).max().unwrap_or(0);
    found.retain_frequent();
    Ok(Some((found, greatest)))
}

/// Which buckets reach a threshold: 64 times smaller than the sums, so that it fits a cache nearer to the core.
struct Filter {
    bits: Vec<u64>,
    mask: u32,
}

impl Filter {
    /// `sums` are a power of two of at least 64.
    fn new(sums: &[u64], threshold: u64) -> Filter {
        let bits = sums
            .chunks(64)
            .map(|sums| (0..).zip(sums).fold(0, |bits, (bit, &sum)| bits | u64::from(sum >= threshold) << bit));
        Filter { bits: bits.collect(), mask: sums.len() as u32 - 1 }
    }

    #[inline]
    fn contains(&self, hash: u32) -> bool {
        let bucket = hash & self.mask;
        self.bits[bucket as usize / 64] >> (bucket % 64) & 1 == 1
    }
}

/// Puts many places on their pairs' lists. One by one, each would wait for the end of another list out of thousands; here
/// those of a part of the lists come together, so that the ends are at hand. (Fetching the ends ahead of the writes gained
/// nothing; huge pages, little.)
struct Sorter {
    /// Pairs' numbers and places.
    places: Vec<(u32, u32)>,
    sorted: Vec<(u32, u32)>,
}

impl Sorter {
    /// For up to `most` places altogether, as far as that matters.
    fn new(most: usize) -> Sorter {
        let capacity = PLACES_AT_A_TIME.min(most + BLOCK);
        Sorter { places: Vec::with_capacity(capacity), sorted: vec![(0, 0); capacity] }
    }

    /// Room for the next places; those before are put on their lists if there is none.
    fn room_for(&mut self, places: usize, pairs: &mut Pairs) -> &mut [(u32, u32)] {
        if self.places.len() + places > self.sorted.len() {
            self.empty(pairs);
        }
        let start = self.places.len();
        self.places.resize(start + places, (0, 0));
        &mut self.places[start..]
    }

    fn empty(&mut self, pairs: &mut Pairs) {
        let part = |number: u32| number as usize % PARTS;
        let mut ends = [0; PARTS];
        self.places.iter().for_each(|&(number, _)| ends[part(number)] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        for &(number, place) in &self.places {
            let end: &mut usize = &mut ends[part(number)];
            self.sorted[*end] = (number, place);
            *end += 1;
        }
        for &(number, place) in &self.sorted[..self.places.len()] {
            pairs.add_place(number, place);
        }
        self.places.clear();
    }
}
