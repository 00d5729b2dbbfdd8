//! The merge loop.

use super::neighbours::Neighbours;
use super::pairs::Pairs;
use super::queue::Queue;
use super::symbols::{BORDER, Symbols};
use super::tie_break::TieBreak;
use super::words::{Slot, Words};
use crate::control::Control;
use crate::error::Result;

pub(super) struct Trainer<S> {
    symbols: Symbols,
    words: Words<S>,
    pairs: Pairs,
    queue: Queue,
    goal: Goal,
    /// The most places to list.
    most_places: usize,
    before: Neighbours,
    behind: Neighbours,
}

/// How far to go, and by what steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    pub(super) merges: usize,
    /// The most by which one threshold is divided to get the next.
    pub(super) lower_by: u64,
    /// The most places to list at a time, in percent of the slots at the start.
    pub(super) room: u64,
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
        let most_places = (words.len() as u64 * goal.room / 100) as usize;
        let pairs = Pairs::count(&words, u64::MAX, |greatest| goal.threshold(0, greatest), most_places, control)?;
        let mut trainer = Trainer {
            symbols: Symbols::new(),
            words,
            pairs,
            queue: Queue::new(tie_break),
            goal,
            most_places,
            before: Neighbours::default(),
            behind: Neighbours::default(),
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
            let first = self.queue.pop(&self.symbols, threshold, |pair| self.pairs.count_of(pair));
            if !self.pairs.is_full() {
                if first.is_some() {
                    return Ok(first);
                }
                if threshold == 1 {
                    return Ok(None);
                }
            }
            // A pair that found no room may be more frequent than any other.
            let below = if self.pairs.is_full() { u64::MAX } else { threshold };
            self.queue.clear();
            self.pairs = Pairs::new(threshold, 0);
            self.words.compact();
            let merges = self.symbols.merges();
            let choose = |greatest| self.goal.threshold(merges, greatest);
            self.pairs = Pairs::count(&self.words, below, choose, self.most_places, control)?;
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

        let mut places = self.pairs.exhaust(first);
        let listed = places.len();
        let (before, behind) = (&mut self.before, &mut self.behind);
        self.words.merge(&mut places, (left, right), joined, |previous, next, count| {
            before.add(previous, count);
            behind.add(next, count);
        });
        let known = self.pairs.len();
        self.change_pairs((left, right), joined);
        if self.pairs.len() > known {
            self.list_places(&places, joined);
            self.enqueue(known);
        }
        self.pairs.discard(places, listed);
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
        // In a run of one symbol (`aaa`) the merged pair is its own neighbour; its count is settled already.
        self.before.note(|previous, sum| {
            if previous == BORDER {
                return None;
            }
            if previous != joined && (previous, left) != (left, right) {
                pairs.lose(previous, left, sum.count);
            }
            pairs.insert(previous, joined, sum.count, sum.places)
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
            pairs.insert(joined, next, sum.count, sum.places)
        });
    }

    /// Fills the lists of the new symbol's pairs, which stands at `places`.
    fn list_places(&mut self, places: &[u32], joined: u32) {
        let len = self.words.len_of(joined);
        for &place in places {
            let (previous, next) = self.words.around(place, len);
            if let Some(pair) = self.before.noted(previous) {
                self.pairs.add_place(pair, place - self.words.len_of(previous));
            }
            // Two new symbols side by side are one pair; the right one has listed it, or will.
            if let Some(pair) = self.behind.noted(next).filter(|_| next != joined) {
                self.pairs.add_place(pair, place);
            }
        }
    }
}
