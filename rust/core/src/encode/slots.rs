//! An open-addressing table of bounded size, which is emptied when it is full.

use super::line::{Key, Line};
use super::value::Value;
use crate::memory::{Zeroed, prefetch};

/// Lines looked at for a word, so that no input, however it was made, makes looking a word up slower than joining it.
const PROBES: usize = 16;
/// Lines whose words are asked for together when the table grows.
const AT_ONCE: usize = 8;
/// Slots to begin with (128 KiB).
const FIRST: usize = 1 << 12;

/// Words by key. Who uses it says by which hash a word's place is found.
#[derive(Debug)]
pub(super) struct Slots {
    /// A power of two. At most five eighths of the slots are taken while there may be more of them, then three quarters: a
    /// word that is not where it belongs takes several times as long. Of a line, the left slot is taken first.
    lines: Zeroed<Line>,
    taken: usize,
    /// The number of slots may grow to this.
    most: usize,
}

impl Slots {
    /// A table that grows to at most `most` slots, a power of two. It has room for about as many words as `words` to begin
    /// with: memory that was left behind in growing had to be cleared, too.
    pub(super) fn new(most: usize, words: usize) -> Slots {
        debug_assert!(most.is_power_of_two() && most >= FIRST);
        Slots { lines: lines((words / 5 * 8).next_power_of_two().clamp(FIRST, most)), taken: 0, most }
    }

    #[inline(always)]
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The line in which a word with that hash is looked for first.
    #[inline(always)]
    pub(super) fn first(&self, hash: u64) -> usize {
        hash as usize & (self.lines.len() - 1)
    }

    /// The lines in which a word may stand, in order; it stands before the first empty slot.
    #[inline(always)]
    fn probes(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let mask = self.lines.len() - 1;
        (0..PROBES).map(move |step| (first + step) & mask)
    }

    /// The line and the slot of a word, looked for from line `first` on.
    #[inline(always)]
    pub(super) fn find(&self, first: usize, key: Key) -> Option<(usize, usize)> {
        for at in self.probes(first) {
            let keys = &self.lines[at].keys;
            if let Some(slot) = keys.iter().position(|&known| known == key) {
                return Some((at, slot));
            }
            if keys[1] == Key::EMPTY {
                break;
            }
        }
        None
    }

    /// Exchanges what stands in a slot of two lines. All slots between them are taken, so both words are still found.
    #[inline]
    pub(super) fn exchange(&mut self, one: usize, other: usize, slot: usize) {
        let (first, second) = (self.lines[one], self.lines[other]);
        (self.lines[one].keys[slot], self.lines[one].values[slot]) = (second.keys[slot], second.values[slot]);
        (self.lines[other].keys[slot], self.lines[other].values[slot]) = (first.keys[slot], first.values[slot]);
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken >= self.most / 4 * 3
    }

    /// As of [`Zeroed`].
    pub(super) fn bytes_in_small_pages(&self) -> usize {
        self.lines.bytes_in_small_pages()
    }

    /// As of [`Zeroed`].
    pub(super) fn collapse(&mut self, whatever_it_takes: bool) {
        self.lines.collapse(whatever_it_takes);
    }

    pub(super) fn clear(&mut self) {
        self.lines.fill(Line::default());
        self.taken = 0;
    }

    /// Makes room for more words, where there may be more.
    #[inline]
    pub(super) fn make_room(&mut self, hash: impl Fn(Key) -> u64) {
        if self.taken >= self.lines.len() / 4 * 5 && self.lines.len() * 2 < self.most {
            self.grow(hash);
        }
    }

    /// Tried, and no faster: to foretell from the words that have come in how many bytes how many there will be in all (Heaps'
    /// law). It saves memory, but a table that is half empty is faster than one that fits. (Twice as many slots, and not four
    /// times: tables of two threads with 64 MiB each took each other's place in the cache, 6 % of a warm English text.)
    #[cold]
    fn grow(&mut self, hash: impl Fn(Key) -> u64) {
        let bigger = lines((self.lines.len() * 4).min(self.most));
        self.taken = 0;
        for lines in std::mem::replace(&mut self.lines, bigger).chunks(AT_ONCE) {
            for &key in lines.iter().flat_map(|line| &line.keys) {
                prefetch(&self.lines, self.first(hash(key)));
            }
            for &Line { keys, values } in lines {
                for (key, value) in keys.into_iter().zip(values).filter(|(key, _)| *key != Key::EMPTY) {
                    self.place(self.first(hash(key)), key, value);
                }
            }
        }
    }

    /// Puts a word that is not there in its place; without a free one near where it belongs it is not kept.
    pub(super) fn place(&mut self, first: usize, key: Key, value: Value) {
        for at in self.probes(first) {
            let Line { keys, values } = &mut self.lines[at];
            if let Some(slot) = keys.iter().position(|&key| key == Key::EMPTY) {
                (keys[slot], values[slot]) = (key, value);
                self.taken += 1;
                return;
            }
        }
    }
}

fn lines(slots: usize) -> Zeroed<Line> {
    Zeroed::new(slots / 2)
}
