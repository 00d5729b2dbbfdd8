//! The pairs by count, ties by the named order: a 4-ary heap that is brought up to date when it is asked.
//!
//! A pair gains occurrences only in the step that makes its younger symbol; from then on its count only falls. So an
//! entry's count is never too low, and it is enough to correct the entry at the top until it is right.

use std::cmp::Ordering;

use super::symbols::Symbols;
use super::tie_break::TieBreak;

const CHILDREN: usize = 4;

/// A pair in the queue, with what its place depends on.
#[derive(Debug, Clone, Copy)]
struct Entry {
    count: u64,
    key: u64,
    left: u32,
    right: u32,
    /// The pair's number in the pair table.
    pair: u32,
}

pub(super) struct Queue {
    tie_break: TieBreak,
    heap: Vec<Entry>,
}

impl Queue {
    pub(super) fn new(tie_break: TieBreak) -> Queue {
        Queue { tie_break, heap: Vec::new() }
    }

    pub(super) fn push(&mut self, symbols: &Symbols, count: u64, (left, right): (u32, u32), pair: u32) {
        self.heap.push(Entry { count, key: self.tie_break.key(symbols, left, right), left, right, pair });
        self.rise(symbols, self.heap.len() - 1);
    }

    /// Takes out the first pair, given the true counts; `None` when none occurs `least` times (at least 1).
    pub(super) fn pop(&mut self, symbols: &Symbols, least: u64, count_of: impl Fn(u32) -> u64) -> Option<u32> {
        loop {
            let top = self.heap.first_mut()?;
            let count = count_of(top.pair);
            if count < least {
                self.remove_top(symbols);
            } else if count == top.count {
                let pair = top.pair;
                self.remove_top(symbols);
                return Some(pair);
            } else {
                top.count = count;
                self.sink(symbols, 0);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }

    fn remove_top(&mut self, symbols: &Symbols) {
        self.heap.swap_remove(0);
        self.sink(symbols, 0);
    }

    fn goes_before(&self, symbols: &Symbols, a: &Entry, b: &Entry) -> bool {
        let by_key = a.count.cmp(&b.count).then(a.key.cmp(&b.key));
        let order = by_key.then_with(|| self.tie_break.compare(symbols, (a.left, a.right), (b.left, b.right)));
        order == Ordering::Greater
    }

    fn rise(&mut self, symbols: &Symbols, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / CHILDREN;
            if !self.goes_before(symbols, &self.heap[at], &self.heap[parent]) {
                break;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    fn sink(&mut self, symbols: &Symbols, mut at: usize) {
        loop {
            let children = at * CHILDREN + 1..self.heap.len().min(at * CHILDREN + 1 + CHILDREN);
            let first =
                children.reduce(|a, b| if self.goes_before(symbols, &self.heap[b], &self.heap[a]) { b } else { a });
            match first {
                Some(child) if self.goes_before(symbols, &self.heap[child], &self.heap[at]) => {
                    self.heap.swap(at, child);
                    at = child;
                }
                _ => return,
            }
        }
    }
}
