//! One pre-token to ids: the lowest rank first, the leftmost among equals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::memo::Memo;
use crate::merges::{NEVER, PairTable};
use crate::vocab::Vocab;

/// Words up to this many bytes are joined by looking for the lowest rank again and again, which for few tokens beats any
/// data structure. Longer ones are joined in windows of this many bytes.
const SHORT: usize = 64;
/// Windows and seams of up to this many bytes are remembered: what makes words long is mostly repetition. It is more than
/// two tokens of any vocabulary in use have.
const REMEMBERED: usize = 512;
/// Bytes remembered.
const MEMORY: usize = 1 << 16;

/// The rules by which the tokens of a word are joined.
#[derive(Debug)]
pub(crate) struct Bpe {
    byte_ids: [u32; 256],
    pairs: PairTable,
    /// A word that is a token is not joined but looked up.
    whole_words: bool,
    /// No pair that joins ranks before one that makes its parts, so words can be joined rank by rank.
    monotone: bool,
}

/// Memory for joining long words, kept from word to word.
#[derive(Debug)]
pub(crate) struct WordScratch {
    heap: HeapScratch,
    memo: Memo,
    window: Vec<u32>,
    seam: Vec<u8>,
    middle: Vec<u32>,
    apart: Vec<u32>,
}

impl Default for WordScratch {
    fn default() -> Self {
        let memo = Memo::new(MEMORY);
        WordScratch {
            heap: HeapScratch::default(),
            memo,
            window: Vec::new(),
            seam: Vec::new(),
            middle: Vec::new(),
            apart: Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
struct HeapScratch {
    heap: BinaryHeap<Reverse<u64>>,
    nodes: Vec<Node>,
}

/// A token in a long word, in a list linked by the positions of first bytes.
#[derive(Debug, Clone, Copy)]
struct Node {
    id: u32,
    /// Rank of the pair with the next token.
    rank: u32,
    previous: u32,
    next: u32,
}

/// No neighbour.
const NONE: u32 = u32::MAX;

impl Bpe {
    pub(crate) fn new(byte_ids: [u32; 256], pairs: PairTable, whole_words: bool, vocab_size: usize) -> Bpe {
        let monotone = pairs.is_monotone(vocab_size);
        Bpe { byte_ids, pairs, whole_words, monotone }
    }

    /// Appends the ids of `word` to `ids`.
    pub(crate) fn encode(&self, vocab: &Vocab, word: &[u8], scratch: &mut WordScratch, ids: &mut Vec<u32>) {
        if let [byte] = word {
            ids.push(self.byte_ids[usize::from(*byte)]);
            return;
        }
        if self.whole_words
            && let Some(id) = vocab.id(word)
        {
            ids.push(id);
            return;
        }
        if word.len() <= SHORT {
            self.join_short(word, ids);
        } else if self.monotone {
            self.join_windows(vocab, word, scratch, ids);
        } else {
            self.join_long(word, &mut scratch.heap, ids);
        }
    }

    fn join_short(&self, word: &[u8], ids: &mut Vec<u32>) {
        // Most words are short, and clearing memory for long ones would cost more than joining them.
        if word.len() <= SHORT / 4 {
            self.join_scanning::<{ SHORT / 4 }>(word, ids);
        } else {
            self.join_scanning::<SHORT>(word, ids);
        }
    }

    /// Looks for the lowest rank again after each join, in a word of 1 to `N` bytes.
    fn join_scanning<const N: usize>(&self, word: &[u8], ids: &mut Vec<u32>) {
        let mut tokens = [0u32; N];
        // By place: what the token there and the next join to, and its rank.
        let mut joined = [0u32; N];
        let mut ranks = [NEVER; N];
        let mut len = word.len();
        for (i, &byte) in word.iter().enumerate() {
            tokens[i] = self.byte_ids[usize::from(byte)];
            if let Some(&next) = word.get(i + 1) {
                let join = self.pairs.find_bytes(byte, next);
                (joined[i], ranks[i]) = (join.id, join.rank);
            }
        }
        loop {
            // Two loops without branches in them are faster than one that remembers the place.
            let lowest = ranks[..len].iter().fold(NEVER, |lowest, &rank| lowest.min(rank));
            if lowest == NEVER {
                break;
            }
            let at = ranks[..len].iter().position(|&rank| rank == lowest).unwrap_or(0);
            tokens[at] = joined[at];
            tokens.copy_within(at + 2..len, at + 1);
            joined.copy_within(at + 1..len, at);
            ranks.copy_within(at + 1..len, at);
            len -= 1;
            if at + 1 < len {
                let join = self.pairs.find(tokens[at], tokens[at + 1]);
                (joined[at], ranks[at]) = (join.id, join.rank);
            }
            if at > 0 {
                let join = self.pairs.find(tokens[at - 1], tokens[at]);
                (joined[at - 1], ranks[at - 1]) = (join.id, join.rank);
            }
        }
        ids.extend_from_slice(&tokens[..len]);
    }

    /// Joins a word of any length (up to 2^32 bytes) by a heap of (rank, place).
    fn join_long(&self, word: &[u8], scratch: &mut HeapScratch, ids: &mut Vec<u32>) {
        let HeapScratch { heap, nodes } = scratch;
        nodes.clear();
        let mut ranks = std::mem::take(heap).into_vec();
        ranks.clear();
        for (i, &byte) in word.iter().enumerate() {
            let rank = word.get(i + 1).map_or(NEVER, |&next| self.pairs.find_bytes(byte, next).rank);
            if rank != NEVER {
                ranks.push(Reverse(u64::from(rank) << 32 | i as u64));
            }
            let previous = if i == 0 { NONE } else { i as u32 - 1 };
            let next = if i + 1 == word.len() { NONE } else { i as u32 + 1 };
            nodes.push(Node { id: self.byte_ids[usize::from(byte)], rank, previous, next });
        }
        *heap = BinaryHeap::from(ranks);
        while let Some(Reverse(entry)) = heap.pop() {
            let (rank, at) = ((entry >> 32) as u32, entry as u32 as usize);
            // A token that was swallowed has rank `NEVER`; one whose neighbours changed has another rank or none.
            if nodes[at].rank != rank {
                continue;
            }
            let swallowed = nodes[at].next as usize;
            let next = nodes[swallowed].next;
            let id = self.pairs.find(nodes[at].id, nodes[swallowed].id).id;
            nodes[swallowed].rank = NEVER;
            nodes[at].id = id;
            nodes[at].next = next;
            nodes[at].rank = NEVER;
            let mut renew = |nodes: &mut [Node], left: usize, right: usize| {
                let rank = self.pairs.find(nodes[left].id, nodes[right].id).rank;
                nodes[left].rank = rank;
                if rank != NEVER {
                    heap.push(Reverse(u64::from(rank) << 32 | left as u64));
                }
            };
            if next != NONE {
                nodes[next as usize].previous = at as u32;
                renew(nodes, at, next as usize);
            }
            if nodes[at].previous != NONE {
                let previous = nodes[at].previous as usize;
                renew(nodes, previous, at);
            }
        }
        let mut at = 0;
        while at != NONE {
            ids.push(nodes[at as usize].id);
            at = nodes[at as usize].next;
        }
    }

    /// Joins a word of any length in time linear in it: window by window, and the seams mended.
    ///
    /// A sequence of tokens is the encoding of its bytes if each two neighbours, joined apart from the rest, stay the two
    /// they are. (Let the first join across a border be at rank r, with the pairs taken rank by rank, which monotone
    /// ranks allow. Until then nothing crossed a border, so the two tokens there had come as far as they come apart from
    /// the rest, and the same join would be made there: it depends on what lies to the left only in a run of equal
    /// tokens, which is paired from its start or from the last border that no pair crossed.)
    fn join_windows(&self, vocab: &Vocab, word: &[u8], scratch: &mut WordScratch, ids: &mut Vec<u32>) {
        let first = ids.len();
        for window in word.chunks(SHORT) {
            let mut right = std::mem::take(&mut scratch.window);
            right.clear();
            self.join_remembered(window, scratch, &mut right);
            self.append(vocab, first, &right, scratch, ids);
            scratch.window = right;
        }
    }

    /// Joins what may have been joined before.
    fn join_remembered(&self, word: &[u8], scratch: &mut WordScratch, ids: &mut Vec<u32>) {
        let WordScratch { heap, memo, .. } = scratch;
        if word.len() > REMEMBERED {
            self.join_long(word, heap, ids);
        } else if word.len() > SHORT {
            memo.encode(word, ids, |word, ids| self.join_long(word, heap, ids));
        } else {
            memo.encode(word, ids, |word, ids| self.join_short(word, ids));
        }
    }

    /// Appends the encoding `right` to the encoding `ids[first..]`, joining more of both anew until the seam holds.
    fn append(&self, vocab: &Vocab, first: usize, right: &[u32], scratch: &mut WordScratch, ids: &mut Vec<u32>) {
        let mut middle = std::mem::take(&mut scratch.middle);
        let mut reach = 0;
        loop {
            let from = ids.len() - reach.min(ids.len() - first);
            let to = reach.min(right.len());
            middle.clear();
            self.join_tokens(vocab, ids[from..].iter().chain(&right[..to]), scratch, &mut middle);
            let left_of_seam = ids[first..from].last();
            let right_of_seam = right.get(to);
            let start = middle.first().or(right_of_seam);
            let end = middle.last().or(left_of_seam);
            let mut holds = |left: Option<&u32>, right: Option<&u32>| match (left, right) {
                (Some(&left), Some(&right)) => self.stay_apart(vocab, left, right, scratch),
                _ => true,
            };
            // Without a middle the two borders are one.
            if holds(left_of_seam, start) && (middle.is_empty() || holds(end, right_of_seam)) {
                ids.truncate(from);
                ids.extend_from_slice(&middle);
                ids.extend_from_slice(&right[to..]);
                scratch.middle = middle;
                return;
            }
            reach = (reach * 2).max(1);
        }
    }

    /// Joins the bytes of `tokens` anew.
    fn join_tokens<'a>(
        &self,
        vocab: &Vocab,
        tokens: impl Iterator<Item = &'a u32>,
        scratch: &mut WordScratch,
        ids: &mut Vec<u32>,
    ) {
        let mut bytes = std::mem::take(&mut scratch.seam);
        bytes.clear();
        tokens.for_each(|&id| bytes.extend_from_slice(vocab.token(id).unwrap_or_default()));
        if !bytes.is_empty() {
            self.join_remembered(&bytes, scratch, ids);
        }
        scratch.seam = bytes;
    }

    /// Whether two tokens, joined apart from all else, stay the two they are.
    fn stay_apart(&self, vocab: &Vocab, left: u32, right: u32, scratch: &mut WordScratch) -> bool {
        let mut ids = std::mem::take(&mut scratch.apart);
        ids.clear();
        self.join_tokens(vocab, [left, right].iter(), scratch, &mut ids);
        let apart = ids == [left, right];
        scratch.apart = ids;
        apart
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::control::Control;
    use crate::count::WordCounts;
    use crate::definition::{Definition, Merges};
    use crate::pretokenize::Pattern;
    use crate::train::{TieBreak, train};

    fn bpe(definition: &Definition) -> (Vocab, Bpe) {
        let mut vocab = Vocab::default();
        definition.vocab.iter().for_each(|(token, id)| vocab.insert(token, *id).unwrap());
        let byte_ids = std::array::from_fn(|byte| vocab.id(&[byte as u8]).unwrap());
        let pairs = PairTable::new(definition, &vocab, &byte_ids).unwrap();
        let bpe = Bpe::new(byte_ids, pairs, definition.whole_words, vocab.size());
        (vocab, bpe)
    }

    /// Joins as the definition says: one pair after the other, the lowest rank first, the leftmost among equals.
    fn by_definition(vocab: &Vocab, bpe: &Bpe, word: &[u8]) -> Vec<u32> {
        let mut ids: Vec<u32> = word.iter().map(|&byte| vocab.id(&[byte]).unwrap()).collect();
        loop {
            let joins = ids.windows(2).map(|pair| bpe.pairs.find(pair[0], pair[1]));
            let Some((at, join)) = joins.enumerate().min_by_key(|(_, join)| join.rank) else { return ids };
            if join.rank == NEVER {
                return ids;
            }
            ids.splice(at..at + 2, [join.id]);
        }
    }

    fn letters(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        prop::sample::select(vec!["a", "ab", "aab", "abcdefgh"]).prop_flat_map(move |letters| {
            prop::collection::vec(prop::sample::select(letters.as_bytes().to_vec()), len.clone())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn all_ways_of_joining_are_the_definition(
            corpus in prop::collection::vec((letters(1..40), 1u64..9), 1..8),
            words in prop::collection::vec(letters(1..400), 1..6),
            by_rank in any::<bool>(),
            shuffle in prop::option::of(any::<u64>()),
        ) {
            let counts = WordCounts::from_words(corpus, &Pattern::Gpt2, &[]).unwrap();
            let mut definition = train(&counts, 400, TieBreak::Lexicographic, &Control::default()).unwrap();
            if let (Some(seed), Merges::Listed(merges)) = (shuffle, &mut definition.merges) {
                // Ranks that are not monotone, as no training gives them.
                merges.sort_by_key(|pair| crate::hash::hash_long(&[pair.0.as_slice(), &pair.1, &seed.to_le_bytes()].concat()));
            }
            if by_rank {
                definition.merges = Merges::ByRank;
            }
            let (vocab, bpe) = bpe(&definition);
            prop_assert!(bpe.monotone || shuffle.is_some());
            let mut scratch = WordScratch::default();
            for word in words {
                let expected = by_definition(&vocab, &bpe, &word);
                let mut ids = Vec::new();
                bpe.encode(&vocab, &word, &mut scratch, &mut ids);
                prop_assert_eq!(&ids, &expected);
                ids.clear();
                bpe.join_long(&word, &mut scratch.heap, &mut ids);
                prop_assert_eq!(&ids, &expected);
                if bpe.monotone {
                    // Windows far smaller than real ones, so that seams are everywhere.
                    for window in [1, 3, 7] {
                        ids.clear();
                        for part in word.chunks(window) {
                            let mut right = Vec::new();
                            bpe.join_long(part, &mut scratch.heap, &mut right);
                            bpe.append(&vocab, 0, &right, &mut scratch, &mut ids);
                        }
                        prop_assert_eq!(&ids, &expected, "windows of {}", window);
                    }
                }
            }
        }
    }
}
