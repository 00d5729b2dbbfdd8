//! Which merges can ever happen. It turns ranks into merges and shows when two rules give the same ids on every text.
//!
//! Byte-pair encoding starts from single bytes and always joins the adjacent pair of lowest rank, the leftmost among
//! equals. Let `x` and `y` be adjacent tokens at some moment. Until then nothing was joined across the ends of the span
//! `xy` or across the border between them, and every join inside the span was the lowest and leftmost of the whole text,
//! hence of the span. So encoding the bytes `xy` alone makes the same joins and arrives at `[x, y]` too; and what it does
//! next can only be to join the two. Encoding is deterministic, therefore:
//!
//! * a token has at most **one** split through which it is ever made, in any text: the last one of its own encoding
//!   ([`by_rank`] finds it for ranks, [`live`] keeps these alone of listed merges);
//! * a vocabulary of ranks equals the list of those splits in order of rank: at every moment both see the same pairs in
//!   the same order;
//! * two rules are equal on every text when their live merges are.
//!
//! For a vocabulary that byte-pair *training* made, both readings (listed merges, ranks in order of training) are equal.
//! Induction over the merges: say they agree with the first k-1, and merge k joins `x` and `y` to `T`. In training the
//! span `xy` stood as `[x, y]` after k-1 merges, so by either rule `T` alone stops there, and `(x, y)` is its one split.
//! Nor can `T` help to make an older token `U = Tz`: made by older merges alone, `U` never passes through `[T, z]`, since
//! `T` has the highest rank. No assumption about training is made here, though: the lists are computed and compared.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::{FxHashMap, FxHashSet};

/// A merge: the bytes of its left and of its right part.
pub type Merge = (Vec<u8>, Vec<u8>);

/// The merges that a vocabulary of ranks amounts to, in order of rank. `vocab` is sorted by rank.
///
/// A token that is not among the joined ones cannot be made from bytes; it is found as a whole word only.
pub fn by_rank(vocab: &[(Vec<u8>, u32)]) -> Vec<Merge> {
    splits_by_rank(vocab).map(|(token, _, mid)| (token[..mid].to_vec(), token[mid..].to_vec())).collect()
}

/// [`by_rank`]: the joined token, its rank, and where in it the right part begins.
pub fn splits_by_rank(vocab: &[(Vec<u8>, u32)]) -> impl Iterator<Item = (&[u8], u32, usize)> {
    let ranks: FxHashMap<&[u8], u32> = vocab.iter().map(|(token, rank)| (token.as_slice(), *rank)).collect();
    let longest = vocab.iter().map(|(token, _)| token.len()).max().unwrap_or(0);
    // A byte that never occurs in text may be missing; a token with it is not made either.
    vocab.iter().filter_map(move |(token, id)| {
        if !token.iter().all(|byte| ranks.contains_key([*byte].as_slice())) {
            return None;
        }
        let rank = |start: usize, _: usize, end: usize| {
            if end - start > longest { None } else { ranks.get(&token[start..end]).copied() }
        };
        Some((token.as_slice(), *id, last_split(token.len(), rank)?))
    })
}

/// Those of the listed merges that can ever happen, in their order. No merge is listed twice.
pub fn live(merges: &[Merge]) -> Vec<&Merge> {
    let ranks: FxHashMap<(&[u8], &[u8]), usize> =
        merges.iter().enumerate().map(|(rank, (left, right))| ((left.as_slice(), right.as_slice()), rank)).collect();
    merges
        .iter()
        .filter(|(left, right)| {
            let token = [left.as_slice(), right].concat();
            let rank =
                |start: usize, mid: usize, end: usize| ranks.get(&(&token[start..mid], &token[mid..end])).copied();
            last_split(token.len(), rank) == Some(left.len())
        })
        .collect()
}

/// The first token of several bytes that the live merges do not make: a rule that takes whole words as they are finds it, a
/// rule that only merges never does.
pub fn unreachable<'a>(vocab: &'a [(Vec<u8>, u32)], live: impl IntoIterator<Item = &'a Merge>) -> Option<&'a [u8]> {
    let made: FxHashSet<Vec<u8>> = live.into_iter().map(|(left, right)| [left.as_slice(), right].concat()).collect();
    vocab.iter().map(|(token, _)| token.as_slice()).find(|token| token.len() > 1 && !made.contains(*token))
}

/// Encodes a token of `length` bytes and says where its last two parts meet; None if it stops at more parts than two, or
/// at two that do not join. `rank(start, mid, end)` is the rank of joining `start..mid` and `mid..end`.
fn last_split<Rank: Ord>(length: usize, rank: impl Fn(usize, usize, usize) -> Option<Rank>) -> Option<usize> {
    const JOINED: usize = usize::MAX;
    // By the start of a part: its end, and the start of the part before it.
    let mut ends: Vec<usize> = (1..=length).collect();
    let mut before: Vec<usize> = (0..=length).map(|start| start.wrapping_sub(1)).collect();
    let mut queue = BinaryHeap::new();
    let candidate = |start: usize, mid: usize, end: usize| rank(start, mid, end).map(|r| Reverse((r, start, mid, end)));
    for mid in 1..length {
        queue.extend(candidate(mid - 1, mid, mid + 1));
    }
    while let Some(Reverse((_, start, mid, end))) = queue.pop() {
        if ends[start] != mid || ends[mid] != end {
            continue;
        }
        if start == 0 && end == length {
            return Some(mid);
        }
        ends[start] = end;
        ends[mid] = JOINED;
        before[end] = start;
        if start > 0 {
            queue.extend(candidate(before[start], start, end));
        }
        if end < length {
            queue.extend(candidate(start, end, ends[end]));
        }
    }
    None
}
