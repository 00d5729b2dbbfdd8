//! Learning merges from word counts.
//!
//! Symbols are told apart by their numbers, the rule by their bytes; both are the same, because no two merges give the
//! same bytes. (Say `ab`+`c` made `abc` and later `a`+`bc` were adjacent in some place. No merge crossed the borders of
//! that place, so the merges inside it were those inside the first place, step by step - a run of equal symbols is paired
//! from its start, and a run that reaches in from the left without a merge across the border has an even part outside -
//! and it would have become `ab`+`c` as well.)

pub mod naive;
mod pairs;
mod queue;
mod symbols;
mod tie_break;
mod words;

use crate::control::Control;
use crate::count::WordCounts;
use crate::definition::{AddedToken, Definition, Merges, Normalizer};
use crate::error::{Error, Result};
use pairs::{NewPair, Pairs};
use queue::Queue;
use symbols::Symbols;
pub use tie_break::TieBreak;
use words::Words;

/// Learns byte-level BPE merges: each joins the most frequent pair of adjacent symbols, ties by `tie_break` (Sennrich et
/// al. 2016, section 3.2, over bytes).
///
/// The vocabulary has ids 0-255 for the bytes, then the merges in order, then the special tokens of `counts`. It has
/// `vocab_size` entries, or fewer when no pair is left.
///
/// # Errors
/// [`Error::VocabSize`] when 256 bytes and the special tokens do not fit; [`Error::CountOverflow`] when the pairs
/// together occur 2^64 times or more; [`Error::Argument`] when the words are too many; [`Error::Cancelled`].
pub fn train(counts: &WordCounts, vocab_size: usize, tie_break: TieBreak, control: &Control) -> Result<Definition> {
    let special_tokens = counts.special_tokens();
    let merges = vocab_size
        .checked_sub(256 + special_tokens.len())
        .ok_or(Error::VocabSize { vocab_size, special_tokens: special_tokens.len() })?;
    control.expect_merges(merges as u64);
    let words = counts.sorted()?;
    let mut trainer =
        Trainer::new(Words::new(words.iter().map(|(word, count)| (word.as_slice(), *count)))?, tie_break, control)?;
    drop(words);
    while trainer.symbols.merges() < merges && trainer.step() {
        control.check()?;
        control.set_merges(trainer.symbols.merges() as u64);
    }
    Ok(definition(trainer.symbols, counts))
}

fn definition(symbols: Symbols, counts: &WordCounts) -> Definition {
    let (bytes, pairs) = symbols.into_parts();
    let merges =
        pairs.iter().map(|&(left, right)| (bytes[left as usize].clone(), bytes[right as usize].clone())).collect();
    let first_special = bytes.len() as u32;
    let added_tokens = counts.special_tokens().iter().zip(first_special..);
    Definition {
        vocab: bytes.into_iter().zip(0..).collect(),
        merges: Merges::Listed(merges),
        added_tokens: added_tokens.map(|(token, id)| AddedToken::special(token, id)).collect(),
        pattern: counts.pattern().clone(),
        normalizer: Normalizer::None,
        whole_words: false,
    }
}

struct Trainer {
    symbols: Symbols,
    words: Words,
    pairs: Pairs,
    queue: Queue,
    /// Where this step merged.
    merged: Vec<u32>,
    before: Neighbours,
    behind: Neighbours,
}

/// Sums by the symbol on one side of the merges of a step: an array over all symbols, and which of it is in use.
#[derive(Default)]
struct Neighbours {
    sums: Vec<Sum>,
    used: Vec<u32>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    count: u64,
    places: u32,
}

impl Neighbours {
    #[inline]
    fn add(&mut self, symbol: u32, count: u64) {
        let sum = &mut self.sums[symbol as usize];
        if sum.places == 0 {
            self.used.push(symbol);
        }
        sum.places += 1;
        sum.count += count;
    }

    /// Calls `visit` for each symbol in use, and empties its sum.
    fn drain(&mut self, mut visit: impl FnMut(u32, Sum)) {
        for symbol in self.used.drain(..) {
            visit(symbol, std::mem::take(&mut self.sums[symbol as usize]));
        }
    }
}

impl Trainer {
    fn new(words: Words, tie_break: TieBreak, control: &Control) -> Result<Trainer> {
        let symbols = Symbols::new();
        control.check()?;
        let pairs = Pairs::of_bytes(&words);
        control.check()?;
        let mut trainer = Trainer {
            symbols,
            words,
            pairs,
            queue: Queue::new(tie_break),
            merged: Vec::new(),
            before: Neighbours::default(),
            behind: Neighbours::default(),
        };
        let byte_pairs = 0..trainer.pairs.len();
        trainer.enqueue(byte_pairs);
        Ok(trainer)
    }

    fn enqueue(&mut self, pairs: std::ops::Range<u32>) {
        for pair in pairs {
            self.queue.push(&self.symbols, self.pairs.count(pair), self.pairs.symbols(pair), pair);
        }
    }

    /// Makes one merge; false when no pair is left.
    fn step(&mut self) -> bool {
        let Some(first) = self.queue.pop(&self.symbols, |pair| self.pairs.count(pair)) else { return false };
        let joined = self.symbols.join(first.left, first.right);
        for neighbours in [&mut self.before, &mut self.behind] {
            neighbours.sums.resize(joined as usize + 1, Sum::default());
        }
        self.merge_places(first.pair, joined);
        self.pairs.exhaust(first.pair);
        let new = self.make_pairs(joined);
        self.enqueue(new);
        true
    }

    /// Merges the pair wherever it still is, left to right, and takes from its neighbours' pairs what they lose.
    fn merge_places(&mut self, pair: u32, joined: u32) {
        let (left, right) = self.pairs.symbols(pair);
        self.merged.clear();
        for &place in self.pairs.places(pair) {
            let Some(around) = self.words.merge(&self.symbols, place, (left, right), joined) else { continue };
            self.merged.push(place);
            // Behind a merge of this step the pair (right, left) was lost as that one's right neighbour already.
            if let Some(previous) = around.previous.filter(|&previous| previous != joined) {
                self.before.add(previous, around.count);
            }
            if let Some(next) = around.next {
                self.behind.add(next, around.count);
            }
        }
        // In a run of one symbol (`aaa`) the merged pair is its own neighbour; its count is settled by `exhaust`.
        self.before.drain(|previous, lost| {
            if (previous, left) != (left, right) {
                self.pairs.lose(previous, left, lost.count);
            }
        });
        self.behind.drain(|next, lost| {
            if (right, next) != (left, right) {
                self.pairs.lose(right, next, lost.count);
            }
        });
    }

    /// Makes the pairs of the new symbol with what now stands around it. Returns their numbers.
    fn make_pairs(&mut self, joined: u32) -> std::ops::Range<u32> {
        let len = self.symbols.len_of(joined);
        for &place in &self.merged {
            let around = self.words.around(&self.symbols, place, len);
            if let Some(previous) = around.previous {
                self.before.add(previous, around.count);
            }
            // Two new symbols side by side are one pair; it was counted from the right one.
            if let Some(next) = around.next.filter(|&next| next != joined) {
                self.behind.add(next, around.count);
            }
        }
        let mut new = Vec::with_capacity(self.before.used.len() + self.behind.used.len());
        self.before.drain(|left, Sum { count, places }| new.push(NewPair { left, right: joined, count, places }));
        self.behind.drain(|right, Sum { count, places }| new.push(NewPair { left: joined, right, count, places }));

        // From here on the sums hold where each list goes on.
        let (before, behind) = (&mut self.before.sums, &mut self.behind.sums);
        let made = self.pairs.insert_step(new.iter().copied(), |pair, start| {
            let side =
                if pair.right == joined { &mut before[pair.left as usize] } else { &mut behind[pair.right as usize] };
            side.places = start;
        });
        let places = self.pairs.last_places();
        for &place in &self.merged {
            let around = self.words.around(&self.symbols, place, len);
            if let Some(previous) = around.previous {
                let end = &mut before[previous as usize].places;
                places[*end as usize] = place - self.symbols.len_of(previous) as u32;
                *end += 1;
            }
            if let Some(next) = around.next.filter(|&next| next != joined) {
                let end = &mut behind[next as usize].places;
                places[*end as usize] = place;
                *end += 1;
            }
        }
        for pair in &new {
            before[pair.left as usize] = Sum::default();
            behind[pair.right as usize] = Sum::default();
        }
        made
    }
}
