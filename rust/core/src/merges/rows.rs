//! Pairs of numbers to keys, by row displacement: a table of all pairs has a row for each left number, which is nearly empty,
//! and the rows are laid over each other so that no two entries meet (Tarjan and Yao, "Storing a sparse table", 1979).
//!
//! A look-up is one addition and one read of 8 bytes, whether the pair is there or not. (A hash table of buckets of 32 bytes,
//! which was here before, took four times as many instructions.)

use super::NO_KEY;
use crate::memory::prefetch;

/// Where a pair is looked for, and its left number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    index: u32,
    left: u32,
}

/// Where no pair is found.
pub(crate) const NOWHERE: Place = Place { index: 0, left: NO_NUMBER };

/// No number of a pair is this large.
const NO_NUMBER: u32 = u32::MAX;

#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// By left number: where its row begins.
    starts: Vec<u32>,
    /// All rows.
    entries: Vec<Entry>,
    /// Above all right numbers.
    end: u32,
}

/// The key of a pair, whose right number is the place in the row of its left one.
#[derive(Debug, Clone, Copy)]
struct Entry {
    left: u32,
    key: u32,
}

impl Rows {
    /// The rows of `pairs`, which are all different: left, right and key, which is below [`NO_KEY`].
    pub(super) fn new(pairs: &[(u32, u32, u32)]) -> Rows {
        let mut pairs = pairs.to_vec();
        pairs.sort_unstable();
        let mut rows: Vec<&[(u32, u32, u32)]> = pairs.chunk_by(|one, other| one.0 == other.0).collect();
        // What fits hardest goes first, and rows of one entry fill the gaps.
        rows.sort_by_key(|row| std::cmp::Reverse(row.len()));
        let mut taken = Taken::default();
        let mut starts = vec![0; pairs.last().map_or(0, |pair| pair.0 as usize + 1)];
        for row in &rows {
            starts[row[0].0 as usize] = taken.place(row);
        }
        let end = pairs.iter().map(|pair| pair.1 + 1).max().unwrap_or(0);
        let len = starts.iter().max().map_or(0, |&last| last as usize) + end as usize + 1;
        let mut entries = vec![Entry { left: NO_NUMBER, key: NO_KEY }; len];
        for (left, right, key) in pairs {
            entries[(starts[left as usize] + right) as usize] = Entry { left, key };
        }
        Rows { starts, entries, end }
    }

    /// Where the row of a left number begins; of one without pairs, that of another, which is not taken for it.
    #[inline(always)]
    pub(super) fn start(&self, left: u32) -> u32 {
        self.starts.get(left as usize).copied().unwrap_or(0)
    }

    /// Where a pair is looked for; `start` is where the row of `left` begins.
    #[inline(always)]
    pub(super) fn place(&self, start: u32, left: u32, right: u32) -> Place {
        Place { index: start + right.min(self.end), left }
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, place: Place) {
        prefetch(&self.entries, place.index as usize);
    }

    /// The key of a pair, or [`NO_KEY`].
    #[inline(always)]
    pub(super) fn key_at(&self, place: Place) -> u32 {
        let Entry { left, key } = self.entries[place.index as usize];
        // Whether the pair is there cannot be foretold: no branch.
        std::hint::select_unpredictable(left == place.left, key, NO_KEY)
    }

    /// All pairs: left, right and key.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        self.entries.iter().enumerate().filter_map(|(at, &Entry { left, key })| {
            let right = at as u32 - self.starts.get(left as usize)?;
            Some((left, right, key))
        })
    }
}

/// Which places have an entry, 64 to a number.
#[derive(Default)]
struct Taken {
    words: Vec<u64>,
    /// By word of those that are full: one behind it, and before the next that is not.
    behind: Vec<usize>,
}

impl Taken {
    /// Finds the first place for a row of pairs, and takes it; returns where the row begins.
    fn place(&mut self, row: &[(u32, u32, u32)]) -> u32 {
        let first = row[0].1 as usize;
        let mut at = first;
        let at = loop {
            at = at.max(self.next_with_room(at / 64) * 64);
            let mut taken = 0;
            for pair in row {
                taken |= self.from(at - first + pair.1 as usize);
                if taken == u64::MAX {
                    break;
                }
            }
            if taken != u64::MAX {
                break at + taken.trailing_ones() as usize;
            }
            at += 64;
        };
        for pair in row {
            let at = at - first + pair.1 as usize;
            if self.words.len() <= at / 64 {
                self.words.resize(at / 64 + 1, 0);
            }
            self.words[at / 64] |= 1 << (at % 64);
        }
        (at - first) as u32
    }

    /// Whether the 64 places from `at` on are taken.
    fn from(&self, at: usize) -> u64 {
        let word = |nth: usize| self.words.get(nth).copied().unwrap_or(0);
        let shifted = u128::from(word(at / 64)) | u128::from(word(at / 64 + 1)) << 64;
        (shifted >> (at % 64)) as u64
    }

    /// The first word from `word` on that is not full.
    fn next_with_room(&mut self, word: usize) -> usize {
        self.behind.extend(self.behind.len() + 1..=self.words.len());
        let mut end = word;
        while self.words.get(end) == Some(&u64::MAX) {
            end = self.behind[end];
        }
        // Nobody goes this long a way again.
        let mut at = word;
        while at < end {
            at = std::mem::replace(&mut self.behind[at], end);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn pairs_are_found_and_no_others(
            pairs in prop::collection::btree_map((0u32..90, prop_oneof![0u32..90, 300u32..900]), 0u32..1000, 0..700),
            strangers in prop::collection::vec((0u32..200, prop_oneof![0u32..1000, Just(u32::MAX)]), 100),
        ) {
            let listed: Vec<_> = pairs.iter().map(|(&(left, right), &key)| (left, right, key)).collect();
            let rows = Rows::new(&listed);
            let find = |left, right| rows.key_at(rows.place(rows.start(left), left, right));
            for ((left, right), key) in &pairs {
                prop_assert_eq!(find(*left, *right), *key);
            }
            for (left, right) in strangers {
                prop_assert_eq!(find(left, right), pairs.get(&(left, right)).copied().unwrap_or(NO_KEY));
            }
            prop_assert_eq!(rows.key_at(NOWHERE), NO_KEY);
            let back: BTreeMap<_, _> = rows.pairs().map(|(left, right, key)| ((left, right), key)).collect();
            prop_assert_eq!(back, pairs);
        }
    }
}
