//! Pre-tokens to ids: the lowest rank first, the leftmost among equals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::lanes::{self, Joined, Joiner, PADDING};
use super::memo::Memo;
use super::splits::Splits;
use crate::merges::{NEVER, NO_KEY, PLACES, PairTable};
use crate::vocab::Vocab;

/// Longer words are joined in windows of this many bytes.
const SHORT: usize = lanes::LONGEST;
/// Windows joined before their seams are mended.
const WINDOWS: usize = 64;
/// Seams of up to this many bytes are remembered: what makes words long is mostly repetition. It is more than two tokens of
/// any vocabulary in use have.
const REMEMBERED: usize = 512;
/// Bytes remembered.
const MEMORY: usize = 1 << 16;

/// The rules by which the tokens of a word are joined.
#[derive(Debug)]
pub(crate) struct Bpe {
    pairs: PairTable,
    /// Tokens that joining might not make of their bytes, where words that are tokens are not to be joined.
    whole_words: FxHashMap<Box<[u8]>, u32>,
    /// For monotone pairs: no pair that joins ranks before one that makes its parts, so words can be joined rank by rank.
    splits: Option<Splits>,
}

/// Memory for joining words, kept from word to word.
#[derive(Debug)]
pub(crate) struct WordScratch {
    joiner: Joiner,
    windows: Windows,
    heap: HeapScratch,
    memo: Memo,
    seam: Vec<u8>,
    middle: Vec<u32>,
}

impl Default for WordScratch {
    fn default() -> Self {
        WordScratch {
            joiner: Joiner::default(),
            windows: Windows::default(),
            heap: HeapScratch::default(),
            memo: Memo::new(MEMORY),
            seam: Vec::new(),
            middle: Vec::new(),
        }
    }
}

/// Windows of long words: where they are, and what they were joined to.
#[derive(Debug, Default)]
struct Windows {
    /// The text that they are in, with padding.
    text: Vec<u8>,
    words: Vec<Range<usize>>,
    ids: Vec<u32>,
    spans: Vec<Range<usize>>,
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
    /// `vocab` has the tokens that joining makes. With `whole_words` a word that is one of them is not joined but looked up.
    pub(crate) fn new(vocab: &Vocab, byte_ids: &[u32; 256], pairs: PairTable, whole_words: bool) -> Bpe {
        let splits = pairs.is_monotone(vocab.size()).then(|| Splits::new(byte_ids, &pairs, vocab.size()));
        let is_made = |id: u32| splits.as_ref().is_some_and(|splits| splits.is_made(id));
        let unmade = vocab.iter().filter(|&(id, token)| whole_words && token.len() > 1 && !is_made(id));
        let whole_words = unmade.map(|(id, token)| (token.into(), id)).collect();
        Bpe { pairs, whole_words, splits }
    }

    /// Whether no word is looked up whole: only then can words be cut where no token lies across.
    pub(crate) fn joins_all_words(&self) -> bool {
        self.whole_words.is_empty()
    }

    /// Appends the ids of `words` to `ids`, in no order; `spans` then has where those of each are. The words lie in `text`, which
    /// has [`PADDING`] bytes behind the last.
    pub(crate) fn encode(
        &self,
        vocab: &Vocab,
        text: &[u8],
        words: &[Range<usize>],
        scratch: &mut WordScratch,
        ids: &mut Vec<u32>,
        spans: &mut Vec<Range<usize>>,
    ) {
        let is_whole = |word: &[u8]| !self.whole_words.is_empty() && self.whole_words.contains_key(word);
        let Some(splits) = &self.splits else {
            spans.clear();
            for word in words {
                let word = &text[word.clone()];
                let first = ids.len();
                match self.whole_words.get(word) {
                    Some(&id) => ids.push(id),
                    None => self.join_long(word, &mut scratch.heap, ids),
                }
                spans.push(first..ids.len());
            }
            return;
        };
        scratch.joiner.join(&self.pairs, text, words, |word| !is_whole(word), Joined { ids, spans });
        if words.iter().all(|word| word.len() <= SHORT) && self.whole_words.is_empty() {
            return;
        }
        for (word, span) in words.iter().zip(spans) {
            let word = &text[word.clone()];
            let first = ids.len();
            if is_whole(word) {
                ids.extend(self.whole_words.get(word));
            } else if word.len() > SHORT {
                self.join_windows(vocab, splits, word, scratch, ids);
            } else {
                continue;
            }
            *span = first..ids.len();
        }
    }

    /// Joins a word of any length (up to 2^32 bytes) by a heap of (rank, place).
    fn join_long(&self, word: &[u8], scratch: &mut HeapScratch, ids: &mut Vec<u32>) {
        let HeapScratch { heap, nodes } = scratch;
        nodes.clear();
        let mut ranks = std::mem::take(heap).into_vec();
        ranks.clear();
        for (i, &byte) in word.iter().enumerate() {
            let next = word.get(i + 1).map(|&next| u16::from_le_bytes([byte, next]));
            let key = next.map_or(NO_KEY, |two| self.pairs.key_of_bytes(two));
            let rank = if key < NO_KEY { key / PLACES } else { NEVER };
            if rank != NEVER {
                ranks.push(Reverse(u64::from(rank) << 32 | i as u64));
            }
            let previous = if i == 0 { NONE } else { i as u32 - 1 };
            let next = if i + 1 == word.len() { NONE } else { i as u32 + 1 };
            nodes.push(Node { id: self.pairs.token_of_byte(byte).id, rank, previous, next });
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
            let id = self.pairs.joined(rank).id;
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
    fn join_windows(&self, vocab: &Vocab, splits: &Splits, word: &[u8], scratch: &mut WordScratch, ids: &mut Vec<u32>) {
        let first = ids.len();
        let mut windows = std::mem::take(&mut scratch.windows);
        for part in word.chunks(WINDOWS * SHORT) {
            let Windows { text, words, ids: parts, spans } = &mut windows;
            text.clear();
            text.extend_from_slice(part);
            text.extend_from_slice(&[0; PADDING]);
            words.clear();
            words.extend((0..part.len()).step_by(SHORT).map(|start| start..(start + SHORT).min(part.len())));
            parts.clear();
            scratch.joiner.join(&self.pairs, text, words, |_| true, Joined { ids: parts, spans });
            for span in spans {
                self.append(vocab, splits, first, &parts[span.clone()], scratch, ids);
            }
        }
        scratch.windows = windows;
    }

    /// Appends the encoding `right` to the encoding `ids[first..]`, joining more of both anew until the seam holds.
    fn append(
        &self,
        vocab: &Vocab,
        splits: &Splits,
        first: usize,
        right: &[u32],
        scratch: &mut WordScratch,
        ids: &mut Vec<u32>,
    ) {
        let mut middle = std::mem::take(&mut scratch.middle);
        let mut reach = 0;
        let holds = |left: Option<&u32>, right: Option<&u32>| match (left, right) {
            (Some(&left), Some(&right)) => splits.stay_apart(&self.pairs, left, right),
            _ => true,
        };
        loop {
            let from = ids.len() - reach.min(ids.len() - first);
            let to = reach.min(right.len());
            middle.clear();
            self.join_tokens(vocab, ids[from..].iter().chain(&right[..to]), scratch, &mut middle);
            let left_of_seam = ids[first..from].last();
            let right_of_seam = right.get(to);
            let start = middle.first().or(right_of_seam);
            let end = middle.last().or(left_of_seam);
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
        let WordScratch { heap, memo, seam, .. } = scratch;
        seam.clear();
        tokens.for_each(|&id| seam.extend_from_slice(vocab.token(id).unwrap_or_default()));
        if seam.len() > REMEMBERED {
            self.join_long(seam, heap, ids);
        } else if !seam.is_empty() {
            memo.encode(seam, ids, |bytes, ids| self.join_long(bytes, heap, ids));
        }
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
        let bpe = Bpe::new(&vocab, &byte_ids, pairs, definition.whole_words);
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
            prop_assert!(bpe.splits.is_some() || shuffle.is_some());
            let mut scratch = WordScratch::default();
            for word in words {
                let expected = by_definition(&vocab, &bpe, &word);
                let mut ids = Vec::new();
                let whole = std::slice::from_ref(&(0..word.len())).to_vec();
                let mut spans = Vec::new();
                let text = [word.as_slice(), &[0; PADDING]].concat();
                bpe.encode(&vocab, &text, &whole, &mut scratch, &mut ids, &mut spans);
                prop_assert_eq!(&ids[spans[0].clone()], &expected);
                ids.clear();
                bpe.join_long(&word, &mut scratch.heap, &mut ids);
                prop_assert_eq!(&ids, &expected);
                if let Some(splits) = &bpe.splits {
                    // Windows far smaller than real ones, so that seams are everywhere.
                    for window in [1, 3, 7] {
                        ids.clear();
                        for part in word.chunks(window) {
                            let mut right = Vec::new();
                            bpe.join_long(part, &mut scratch.heap, &mut right);
                            bpe.append(&vocab, splits, 0, &right, &mut scratch, &mut ids);
                        }
                        prop_assert_eq!(&ids, &expected, "windows of {}", window);
                    }
                }
            }
        }
    }
}
