//! How each token is made, and whether two tokens side by side stay the two that they are.

use crate::merges::{NEVER, PairTable};

/// When a byte is made: before all else.
const AT_FIRST: u32 = 0;
/// Later than every join.
const AT_LAST: u32 = u32::MAX;

/// By token: the two others that it is made of, and when.
#[derive(Debug)]
pub(super) struct Splits(Vec<Split>);

#[derive(Debug, Clone, Copy)]
struct Split {
    left: u32,
    right: u32,
    /// The rank of the pair + 1; [`AT_FIRST`] for bytes, [`AT_LAST`] for a token that never comes up.
    made: u32,
}

impl Splits {
    /// Of a vocabulary with ids below `vocab_size`. `pairs` are monotone (see [`PairTable::is_monotone`]).
    pub(super) fn new(byte_ids: &[u32; 256], pairs: &PairTable, vocab_size: usize) -> Splits {
        let mut splits = Splits(vec![Split { left: 0, right: 0, made: AT_LAST }; vocab_size]);
        // A byte that never occurs in text may be missing.
        for &id in byte_ids.iter().filter(|&&id| (id as usize) < vocab_size) {
            splits.0[id as usize].made = AT_FIRST;
        }
        // In order of rank, so that the parts are known to be made before the whole. A token whose parts never stand side by
        // side is not made, and no token is made by two pairs that do (see `live`).
        for (left, right, join) in pairs.by_rank() {
            let made = join.rank + 1;
            if splits.is_made(left)
                && splits.is_made(right)
                && !splits.is_made(join.id)
                && splits.stay_apart_until(pairs, left, right, made)
            {
                splits.0[join.id as usize] = Split { left, right, made };
            }
        }
        splits
    }

    /// Whether joining bytes can make the token.
    pub(super) fn is_made(&self, id: u32) -> bool {
        self.0[id as usize].made != AT_LAST
    }

    /// Whether two tokens, joined apart from all else, stay the two they are.
    pub(super) fn stay_apart(&self, pairs: &PairTable, left: u32, right: u32) -> bool {
        self.stay_apart_until(pairs, left, right, AT_LAST)
    }

    /// Whether the bytes of two tokens are joined to the two by the pairs made before `until`.
    ///
    /// This goes back in time from there. At each moment two tokens face each other across the border; they were joined if
    /// there was a pair for it while both were there, that is before one of them was joined to its other side. Of equal
    /// pairs the leftmost goes first: the one across the border goes before that of the right token with what follows it,
    /// and after that of the left token with what precedes it.
    fn stay_apart_until(&self, pairs: &PairTable, mut left: u32, mut right: u32, until: u32) -> bool {
        let (mut left_gone, mut right_gone) = (until, until - 1);
        loop {
            let rank = pairs.find(left, right).rank;
            if rank != NEVER && rank + 1 < left_gone && rank < right_gone {
                return false;
            }
            let (left_split, right_split) = (self.0[left as usize], self.0[right as usize]);
            if left_split.made > right_split.made {
                left_gone = left_split.made;
                left = left_split.right;
            } else if right_split.made > AT_FIRST {
                // Of two equal tokens the right one was made last.
                right_gone = right_split.made;
                right = right_split.left;
            } else {
                return true;
            }
        }
    }
}
