//! The distinct words as one flat array of symbols in which a merge is made in place and neighbours are found in one step.
//!
//! A slot a byte, and a border before each word and behind the last. A symbol of n slots stands in the first and in the
//! last of them; what is between is void. So the next symbol starts right behind, and the previous one is read right
//! before. [`Words::compact`] brings every symbol to one slot, whatever its bytes.
//!
//! Words of equal count stand together, the most frequent first. Who walks through ascending positions so knows the count
//! by comparing with the end of the present group, where a count for each word would have to be found and fetched (and
//! in scripts without spaces a word can be a paragraph). There are few groups: n different counts need n²/2 words in the
//! text.

use std::hash::BuildHasherDefault;

use rustc_hash::FxHasher;

use super::symbols::{BORDER, Symbols};
use crate::control::Control;
use crate::count::WordCounts;
use crate::error::{Error, Result};

/// Places whose words are fetched at a time, so that the processor waits for many of them at once.
const AHEAD: usize = 64;

/// Slots that are searched at a time.
pub(super) const BLOCK: usize = 1 << 9;

/// Words or slots between two looks at the request to stop.
const CHECK_EVERY: usize = 1 << 16;

/// A symbol in memory: 16 bits for vocabularies that fit, else 32.
pub(super) trait Slot: Copy + PartialEq + Default {
    fn new(symbol: u32) -> Self;
    fn symbol(self) -> u32;
}

impl Slot for u16 {
    #[inline]
    fn new(symbol: u32) -> u16 {
        symbol as u16
    }
    #[inline]
    fn symbol(self) -> u32 {
        u32::from(self)
    }
}

impl Slot for u32 {
    #[inline]
    fn new(symbol: u32) -> u32 {
        symbol
    }
    #[inline]
    fn symbol(self) -> u32 {
        self
    }
}

/// How the words of some counts will stand.
pub(super) struct Layout {
    slots_by_count: hashbrown::HashMap<u64, u64, BuildHasherDefault<FxHasher>>,
    /// All slots.
    slots: u64,
    /// Words of at least two bytes; the others have no pair and are left out.
    pub(super) words: u64,
    /// Their bytes.
    pub(super) word_bytes: u64,
}

impl Layout {
    /// # Errors
    /// [`Error::CountOverflow`] when all pairs together outgrow 64 bits: a bound on every sum that training makes.
    /// [`Error::Cancelled`], and whatever reading the counts gives.
    pub(super) fn new(counts: &WordCounts, control: &Control) -> Result<Layout> {
        let mut layout = Layout { slots_by_count: Default::default(), slots: 1, words: 0, word_bytes: 0 };
        let mut pairs: u64 = 0;
        let mut check = Check::new(control);
        counts.try_for_each(|word, count| {
            if word.len() > 1 {
                let len = word.len() as u64;
                let all = len.checked_mul(count).and_then(|here| pairs.checked_add(here));
                pairs = all.ok_or_else(|| Error::CountOverflow { what: "all pairs together".to_owned() })?;
                *layout.slots_by_count.entry(count).or_default() += 1 + len;
                layout.slots += 1 + len;
                layout.words += 1;
                layout.word_bytes += len;
            }
            check.next()
        })?;
        Ok(layout)
    }

    /// Different counts among the words.
    pub(super) fn distinct_counts(&self) -> u64 {
        self.slots_by_count.len() as u64
    }
}

/// Looks at the request to stop, now and then.
struct Check<'a> {
    control: &'a Control,
    calls: usize,
}

impl<'a> Check<'a> {
    fn new(control: &'a Control) -> Check<'a> {
        Check { control, calls: 0 }
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        self.calls += 1;
        if self.calls.is_multiple_of(CHECK_EVERY) { self.control.check() } else { Ok(()) }
    }
}

pub(super) struct Words<S> {
    slots: Vec<S>,
    /// Slots by symbol, 1 for the border.
    lens: Vec<u32>,
    /// Ascending in position; there is a word in each.
    groups: Vec<Group>,
}

/// The words of one count.
#[derive(Debug, Clone, Copy)]
struct Group {
    /// The border before its first word.
    start: u32,
    count: u64,
}

/// A pair of adjacent symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) place: u32,
    pub(super) left: u32,
    pub(super) right: u32,
    /// The word's count.
    pub(super) count: u64,
}

impl<S: Slot> Words<S> {
    /// The words of `counts`, whose layout is `layout`.
    ///
    /// # Errors
    /// [`Error::Argument`] when the words outgrow 32-bit positions; [`Error::Cancelled`], and whatever reading the counts
    /// gives.
    pub(super) fn new(counts: &WordCounts, layout: Layout, control: &Control) -> Result<Words<S>> {
        let Layout { mut slots_by_count, slots, .. } = layout;
        if slots > u64::from(u32::MAX) {
            let most = u32::MAX;
            let message = format!("the distinct words have {slots} bytes, more than the {most} that training can hold");
            return Err(Error::Argument(message));
        }
        let mut by_count: Vec<(u64, u64)> = slots_by_count.iter().map(|(&count, &slots)| (count, slots)).collect();
        by_count.sort_unstable_by(|a, b| b.cmp(a));
        let mut groups = Vec::with_capacity(by_count.len());
        let mut start = 0;
        for (count, slots) in by_count {
            groups.push(Group { start: start as u32, count });
            // From here on the position of the next word of that count.
            slots_by_count.insert(count, start);
            start += slots;
        }
        let mut slots = vec![S::new(BORDER); slots as usize];
        let mut check = Check::new(control);
        counts.try_for_each(|word, count| {
            if let Some(at) = slots_by_count.get_mut(&count).filter(|_| word.len() > 1) {
                let end = *at as usize + 1 + word.len();
                for (slot, &byte) in slots[*at as usize + 1..end].iter_mut().zip(word) {
                    *slot = S::new(Symbols::of_byte(byte));
                }
                *at = end as u64;
            }
            check.next()
        })?;
        Ok(Words { slots, lens: vec![1; Symbols::new().end() as usize], groups })
    }

    /// Number of slots.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Slots that `symbol` takes.
    #[inline]
    pub(super) fn len_of(&self, symbol: u32) -> u32 {
        self.lens[symbol as usize]
    }

    /// Makes room for a new symbol.
    pub(super) fn join(&mut self, left: u32, right: u32) {
        self.lens.push(self.len_of(left) + self.len_of(right));
    }

    /// Brings every symbol to one slot, and drops words that are a single symbol. Positions change.
    pub(super) fn compact(&mut self) {
        let mut groups = std::mem::take(&mut self.groups).into_iter().peekable();
        let (mut from, mut to) = (0, 0);
        while let Some(group) = groups.next() {
            let start = to;
            let end = groups.peek().map_or(self.slots.len() - 1, |next| next.start as usize);
            while from < end {
                let border = to;
                loop {
                    let symbol = self.slots[from];
                    self.slots[to] = symbol;
                    to += 1;
                    from += self.lens[symbol.symbol() as usize] as usize;
                    if self.slots[from].symbol() == BORDER {
                        break;
                    }
                }
                if to - border == 2 {
                    to = border;
                }
            }
            if to > start {
                self.groups.push(Group { start: start as u32, count: group.count });
            }
        }
        self.slots[to] = S::new(BORDER);
        self.slots.truncate(to + 1);
        self.slots.shrink_to_fit();
        self.lens.fill(1);
    }

    /// Calls `visit(left, right, word count)` for each pair of adjacent symbols. All symbols must have one slot.
    pub(super) fn for_each_pair(&self, control: &Control, mut visit: impl FnMut(u32, u32, u64)) -> Result<()> {
        for (range, count) in self.groups() {
            for start in range.clone().step_by(CHECK_EVERY) {
                control.check()?;
                // A part reaches into the next one's first slot, or the border behind the group.
                let end = range.end.min(start + CHECK_EVERY);
                for pair in self.slots[start..=end].windows(2) {
                    let [left, right] = [pair[0].symbol(), pair[1].symbol()];
                    if left != BORDER && right != BORDER {
                        visit(left, right, count);
                    }
                }
            }
        }
        Ok(())
    }

    /// Calls `visit` with the wanted ones among the pairs of adjacent symbols, up to `BLOCK` at a time, by position, until
    /// it returns false. All symbols must have one slot.
    pub(super) fn for_blocks_of_pairs(
        &self,
        wanted: impl Fn(u32, u32) -> bool,
        control: &Control,
        mut visit: impl FnMut(&[Found]) -> bool,
    ) -> Result<()> {
        let mut counts = CountsAhead::new(&self.groups);
        let mut places = [0; BLOCK];
        let mut block = Vec::with_capacity(BLOCK);
        for start in (0..self.slots.len() - 1).step_by(BLOCK) {
            if start % CHECK_EVERY == 0 {
                control.check()?;
            }
            // Whether a pair is wanted cannot be foretold, so there is no branch on it.
            let mut found = 0;
            let end = (self.slots.len() - 1).min(start + BLOCK);
            for (place, pair) in (start as u32..).zip(self.slots[start..=end].windows(2)) {
                let [left, right] = [pair[0].symbol(), pair[1].symbol()];
                places[found] = place;
                found += usize::from((left != BORDER) & (right != BORDER) & wanted(left, right));
            }
            block.clear();
            block.extend(places[..found].iter().map(|&place| {
                let [left, right] = [self.slots[place as usize], self.slots[place as usize + 1]].map(S::symbol);
                Found { place, left, right, count: counts.at(place) }
            }));
            if !visit(&block) {
                break;
            }
        }
        Ok(())
    }

    /// The groups' slots, from the first word's border to the one behind the last, and counts.
    fn groups(&self) -> impl Iterator<Item = (std::ops::Range<usize>, u64)> {
        let last = self.slots.len() - 1;
        let ends = self.groups.iter().skip(1).map(|group| group.start as usize).chain([last]);
        self.groups.iter().zip(ends).map(|(group, end)| (group.start as usize..end, group.count))
    }

    /// Joins the pair `(left, right)` to `joined` wherever it (still) stands at one of the `places`, which ascend, and
    /// drops the others. Calls `visit(symbol or border before, the one behind, word count)` for each, before the pair
    /// behind it is joined.
    ///
    /// A place must have been the start of a symbol once; symbols only grow to the right of their start or are
    /// swallowed, and a swallowed start shows a symbol younger than `left`, if it is not the start of `left`.
    #[inline]
    pub(super) fn merge(
        &mut self,
        places: &mut Vec<u32>,
        (left, right): (u32, u32),
        joined: u32,
        mut visit: impl FnMut(u32, u32, u64),
    ) {
        let (left_len, right_len) = (self.len_of(left) as usize, self.len_of(right) as usize);
        let [left, right, joined] = [left, right, joined].map(S::new);
        let mut counts = CountsAhead::new(&self.groups);
        let slots = &mut self.slots[..];
        let mut live = [0; AHEAD];
        let mut merged = 0;
        for first in (0..places.len()).step_by(AHEAD) {
            // The loads of this loop do not wait for one another.
            let mut lives = 0;
            for &place in &places[first..places.len().min(first + AHEAD)] {
                live[lives] = place;
                lives += usize::from(slots[place as usize] == left);
            }
            for &place in &live[..lives] {
                let start = place as usize;
                let middle = start + left_len;
                // The left one may have been swallowed by the merge before (`aaa`).
                if slots[middle] != right || slots[start] != left {
                    continue;
                }
                let end = middle + right_len;
                visit(slots[start - 1].symbol(), slots[end].symbol(), counts.at(place));
                // Else the middle would look like the start of `right`.
                slots[middle] = joined;
                slots[start] = joined;
                slots[end - 1] = joined;
                places[merged] = place;
                merged += 1;
            }
        }
        places.truncate(merged);
    }

    /// What stands before and behind the symbol of `len` slots that starts at `place`.
    #[inline]
    pub(super) fn around(&self, place: u32, len: u32) -> (u32, u32) {
        (self.slots[place as usize - 1].symbol(), self.slots[(place + len) as usize].symbol())
    }
}

/// Word counts at ascending positions.
struct CountsAhead<'a> {
    /// Those behind the present group.
    groups: &'a [Group],
    end: u32,
    count: u64,
}

impl<'a> CountsAhead<'a> {
    fn new(groups: &'a [Group]) -> CountsAhead<'a> {
        CountsAhead { groups, end: 0, count: 0 }
    }

    #[inline]
    fn at(&mut self, position: u32) -> u64 {
        if position >= self.end {
            self.advance(position);
        }
        self.count
    }

    fn advance(&mut self, position: u32) {
        // Near the front groups are short and the next is soon found; behind them the leaps are wide.
        let mut reach = 1;
        while reach < self.groups.len() && self.groups[reach].start <= position {
            reach *= 2;
        }
        let near = reach / 2..reach.min(self.groups.len());
        let behind = near.start + self.groups[near].partition_point(|group| group.start <= position);
        if let Some(group) = behind.checked_sub(1) {
            self.count = self.groups[group].count;
        }
        self.groups = &self.groups[behind..];
        self.end = self.groups.first().map_or(u32::MAX, |group| group.start);
    }
}
