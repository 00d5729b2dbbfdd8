//! Joining words of up to 64 bytes, several at a time.
//!
//! A word is joined by looking for the lowest rank again and again, which for so few tokens beats any data structure. What
//! takes time is to wait for the pair table, which is larger than the nearest caches: so a word that has asked for its two
//! new pairs is left for the next one until they have come.
//!
//! Tried and slower: taking the longest token that the text begins with and that stays apart from the one before (a trie,
//! and a walk down the splits of both tokens). It takes fewer steps, but each waits for the one before.

use crate::merges::{LIMIT, NOWHERE, PairTable, Place};

/// Bytes of the longest word.
pub(super) const LONGEST: usize = 64;
/// Words joined at a time.
const LANES: usize = 8;
/// The keys of places at which nothing can be joined begin here.
const LAST: u32 = LIMIT * LONGEST as u32;
/// Places whose keys are compared at once.
const STRIDE: usize = 8;

/// A word being joined. All arrays go by the place of a token's first byte.
#[derive(Debug, Clone)]
struct Lane {
    /// The rank of the pair of the token here and the next, and the place: the lowest key is the leftmost lowest rank.
    keys: [u32; LONGEST],
    tokens: [u32; LONGEST],
    /// Where tokens start.
    starts: u64,
    len: usize,
    /// Two places whose pairs were asked for and have not been looked at. Where there is nothing to ask, it is for a place
    /// at which nothing can be joined anyway, and nowhere: a branch would be mispredicted as often as not.
    asked: [(u8, Place); 2],
    /// Which of the words this is.
    word: usize,
}

/// Memory for joining, and where the results are.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    ids: Vec<u32>,
    /// By word: where its ids are.
    spans: Vec<(usize, usize)>,
}

impl Default for Lanes {
    fn default() -> Self {
        let lane =
            Lane { keys: [LAST; LONGEST], tokens: [0; LONGEST], starts: 0, len: 0, asked: [(0, NOWHERE); 2], word: 0 };
        Lanes { lanes: vec![lane; LANES], ids: Vec::new(), spans: Vec::new() }
    }
}

impl Lanes {
    /// Joins `words` (none empty or longer than [`LONGEST`]); [`Lanes::ids`] then has the results.
    pub(super) fn join<'w>(&mut self, pairs: &PairTable, byte_ids: &[u32; 256], words: impl Iterator<Item = &'w [u8]>) {
        #[cfg(target_arch = "x86_64")]
        if crate::processor::has_avx2() {
            // SAFETY: the processor has what the function needs.
            return unsafe { self.join_avx2(pairs, byte_ids, words) };
        }
        self.join_portable(pairs, byte_ids, words);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn join_avx2<'w>(&mut self, pairs: &PairTable, byte_ids: &[u32; 256], words: impl Iterator<Item = &'w [u8]>) {
        self.join_portable(pairs, byte_ids, words);
    }

    #[inline(always)]
    fn join_portable<'w>(&mut self, pairs: &PairTable, byte_ids: &[u32; 256], words: impl Iterator<Item = &'w [u8]>) {
        self.ids.clear();
        self.spans.clear();
        let mut words = words.enumerate();
        let mut busy = 0;
        while busy < LANES
            && let Some((number, word)) = words.next()
        {
            self.lanes[busy].begin(pairs, byte_ids, word, number);
            self.spans.push((0, 0));
            busy += 1;
        }
        while busy > 0 {
            // All lanes learn before any looks for its lowest key: keys written one by one and read at once right behind
            // would have to reach the cache in between.
            for lane in &mut self.lanes[..busy] {
                lane.learn_asked(pairs);
            }
            let mut at = 0;
            while at < busy {
                let lane = &mut self.lanes[at];
                if lane.join_lowest(pairs) {
                    at += 1;
                    continue;
                }
                self.spans[lane.word] = (self.ids.len(), lane.starts.count_ones() as usize);
                let mut starts = lane.starts;
                while starts != 0 {
                    self.ids.push(lane.tokens[starts.trailing_zeros() as usize]);
                    starts &= starts - 1;
                }
                if let Some((number, word)) = words.next() {
                    lane.begin(pairs, byte_ids, word, number);
                    self.spans.push((0, 0));
                    at += 1;
                } else {
                    busy -= 1;
                    self.lanes.swap(at, busy);
                }
            }
        }
    }

    /// The ids of the word of that number.
    pub(super) fn ids(&self, word: usize) -> &[u32] {
        let (start, count) = self.spans[word];
        &self.ids[start..start + count]
    }
}

impl Lane {
    #[inline(always)]
    fn begin(&mut self, pairs: &PairTable, byte_ids: &[u32; 256], word: &[u8], number: usize) {
        debug_assert!((1..=LONGEST).contains(&word.len()));
        self.word = number;
        self.len = word.len();
        self.starts = u64::MAX >> (LONGEST - word.len());
        self.asked = [(word.len() as u8 - 1, NOWHERE); 2];
        self.keys[..word.len().next_multiple_of(STRIDE).max(2 * STRIDE)].fill(LAST);
        for (place, &byte) in word.iter().enumerate() {
            self.tokens[place] = byte_ids[usize::from(byte)];
        }
        for (place, two) in word.windows(2).enumerate() {
            self.learn(place, pairs.rank_of_bytes(two[0], two[1]));
        }
    }

    #[inline(always)]
    fn learn(&mut self, place: usize, rank: u32) {
        self.keys[place] = rank.min(LIMIT) * LONGEST as u32 + place as u32;
    }

    /// Takes what was asked for.
    #[inline(always)]
    fn learn_asked(&mut self, pairs: &PairTable) {
        for (place, pair) in self.asked {
            self.learn(usize::from(place), pairs.rank_at(pair));
        }
    }

    /// Makes one join and asks for the pairs that come of it; false when none is left.
    #[inline(always)]
    fn join_lowest(&mut self, pairs: &PairTable) -> bool {
        let lowest = if self.len <= 2 * STRIDE {
            lowest(&self.keys[..2 * STRIDE])
        } else {
            lowest(&self.keys[..self.len.next_multiple_of(STRIDE)])
        };
        if lowest >= LAST {
            return false;
        }
        let place = lowest as usize % LONGEST;
        let behind = self.starts & (u64::MAX - 1) << place;
        let swallowed = behind.trailing_zeros() as usize % LONGEST;
        self.starts &= !(1 << swallowed);
        self.keys[swallowed] = LAST;
        self.tokens[place] = pairs.joined(lowest / LONGEST as u32);
        let behind = behind & (behind - 1);
        let right = pairs.place(self.tokens[place], self.tokens[behind.trailing_zeros() as usize % LONGEST]);
        let right = if behind == 0 { NOWHERE } else { right };
        let before = self.starts & ((1 << place) - 1);
        let last = (LONGEST - 1).wrapping_sub(before.leading_zeros() as usize) % LONGEST;
        let left = pairs.place(self.tokens[last], self.tokens[place]);
        let (last, left) = if before == 0 { (swallowed, NOWHERE) } else { (last, left) };
        pairs.prefetch(right);
        pairs.prefetch(left);
        self.asked = [(place as u8, right), (last as u8, left)];
        true
    }
}

#[inline(always)]
fn lowest(keys: &[u32]) -> u32 {
    let mut lowest = [u32::MAX; STRIDE];
    for keys in keys.chunks_exact(STRIDE) {
        for (lowest, &key) in lowest.iter_mut().zip(keys) {
            *lowest = key.min(*lowest);
        }
    }
    lowest.into_iter().fold(u32::MAX, u32::min)
}
