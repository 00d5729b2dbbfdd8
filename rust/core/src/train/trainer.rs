//! The merge loop.

use super::neighbours::Neighbours;
use super::pairs::Pairs;
use super::queue::Queue;
use super::symbols::{BORDER, Symbols};
use super::tie_break::TieBreak;
use super::words::{Merged, Slot, Words};
use crate::control::Control;
use crate::error::Result;

pub(super) struct Trainer<S> {
    symbols: Symbols,
    words: Words<S>,
    pairs: Pairs,
    queue: Queue,
    goal: Goal,
    before: Neighbours,
    behind: Neighbours,
    /// The merges of this step.
    merged: Vec<Merged<S>>,
}

/// What the thresholds aim at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    pub(super) merges: usize,
    /// The most by which one threshold is divided to get the next.
    pub(super) lower_by: u64,
}

impl Goal {
    /// The threshold for the pairs to come, when `merges` were made and counts are up to `greatest`.
    fn threshold(self, merges: usize, greatest: u64) -> u64 {
        // Counts fall with the 1.3rd to 1.5th power of the number of merges, or faster in small texts. Where the last one
        // is near, go right there; else the words are worth compacting before.
        let ratio = ((self.merges as f64 + 1.0) / (merges as f64 + 1.0)).powf(1.5) * 1.3;
        (greatest as f64 / ratio.min(self.lower_by as f64)) as u64
    }
}

impl<S: Slot> Trainer<S> {
    pub(super) fn new(words: Words<S>, tie_break: TieBreak, goal: Goal, control: &Control) -> Result<Trainer<S>> {
        let pairs = Pairs::count(&words, u64::MAX, |greatest| goal.threshold(0, greatest), control)?;
        let mut trainer = Trainer {
            symbols: Symbols::new(),
            words,
            pairs,
            queue: Queue::new(tie_break),
            goal,
            before: Neighbours::default(),
            behind: Neighbours::default(),
            merged: Vec::new(),
        };
        trainer.enqueue(0);
        Ok(trainer)
    }

    /// Makes all merges that can be made.
    pub(super) fn run(mut self, control: &Control) -> Result<Symbols> {
        while self.symbols.merges() < self.goal.merges && self.step(control)? {
            control.check()?;
            control.set_merges(self.symbols.merges() as u64);
        }
        Ok(self.symbols)
    }

    /// Queues the pairs from number `first` on.
    fn enqueue(&mut self, first: u32) {
        for pair in first..self.pairs.len() {
            self.queue.push(&self.symbols, self.pairs.count_of(pair), self.pairs.symbols(pair), pair);
        }
    }

    /// The most frequent pair. Where it may be one that was left out, pairs are counted anew; `None` when none is left.
    fn first(&mut self, control: &Control) -> Result<Option<u32>> {
        loop {
            let threshold = self.pairs.threshold();
            if let Some(pair) = self.queue.pop(&self.symbols, threshold, |pair| self.pairs.count_of(pair)) {
                return Ok(Some(pair));
            }
            if threshold == 1 {
                return Ok(None);
            }
            self.queue.clear();
            self.pairs = Pairs::new(threshold);
            self.words.compact();
            let merges = self.symbols.merges();
            self.pairs =
                Pairs::count(&self.words, threshold, |greatest| self.goal.threshold(merges, greatest), control)?;
            self.enqueue(0);
        }
    }

    /// Makes one merge; false when no pair is left.
    fn step(&mut self, control: &Control) -> Result<bool> {
        let Some(first) = self.first(control)? else { return Ok(false) };
        let (left, right) = self.pairs.symbols(first);
        let joined = self.symbols.join(left, right);
        self.words.join(left, right);
        self.before.resize(joined);
        self.behind.resize(joined);

        let places = self.pairs.exhaust(first);
        let (before, behind, merged) = (&mut self.before, &mut self.behind, &mut self.merged);
        merged.clear();
        self.words.merge(&places, (left, right), joined, |here, count| {
            before.add(here.previous.symbol(), count);
            behind.add(here.next.symbol(), count);
            merged.push(here);
        });
        drop(places);
        let known = self.pairs.len();
        self.change_pairs((left, right), joined);
        if self.pairs.len() > known {
            self.list_places(joined);
            self.enqueue(known);
        }
        self.before.clear();
        self.behind.clear();
        Ok(true)
    }

    /// Takes from the neighbours' pairs what they lose, and makes the new symbol's pairs.
    fn change_pairs(&mut self, (left, right): (u32, u32), joined: u32) {
        let pairs = &mut self.pairs;
        // A merge right behind another one (`abab`) saw the new symbol before it. The other one saw `left` behind it, so
        // the loss of (right, left) was noted, but its new neighbour is the new symbol.
        let beside = self.before.get(joined);
        let insert = |pairs: &mut Pairs, left, right, count, places| {
            (count >= pairs.threshold() && places > 0).then(|| pairs.insert(left, right, count, places))
        };
        // In a run of one symbol (`aaa`) the merged pair is its own neighbour; its count is settled already.
        self.before.note(|previous, sum| {
            if previous == BORDER {
                return None;
            }
            if previous != joined && (previous, left) != (left, right) {
                pairs.lose(previous, left, sum.count);
            }
            insert(pairs, previous, joined, sum.count, sum.places)
        });
        self.behind.note(|next, mut sum| {
            if next == BORDER {
                return None;
            }
            if (right, next) != (left, right) {
                pairs.lose(right, next, sum.count);
            }
            if next == left {
                sum.count -= beside.count;
                sum.places -= beside.places;
            }
            insert(pairs, joined, next, sum.count, sum.places)
        });
    }

    /// Fills the lists of the new symbol's pairs.
    fn list_places(&mut self, joined: u32) {
        let mut merged = self.merged.iter().peekable();
        while let Some(&Merged { place, previous, next }) = merged.next() {
            if let Some(pair) = self.before.noted(previous.symbol()) {
                self.pairs.add_place(pair, place - self.words.len_of(previous.symbol()));
            }
            let next_was_joined = merged.peek().is_some_and(|behind| behind.previous.symbol() == joined);
            if let Some(pair) = self.behind.noted(next.symbol()).filter(|_| !next_was_joined) {
                self.pairs.add_place(pair, place);
            }
        }
    }
}
