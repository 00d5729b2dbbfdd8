//! The distinct words as one flat array of symbols in which a merge is made in place and neighbours are found in one step.
//!
//! A word is a header slot followed by one slot a byte. A symbol of n bytes owns n slots and stands in the first and in
//! the last of them; what is between is void. So the next symbol starts right behind, and the previous one can be read,
//! and with its length be found, right before. A header closes the last word.

use super::symbols::Symbols;
use crate::error::{Error, Result};

/// Marks a header; the rest of the slot is the word's number.
const HEADER: u32 = 1 << 31;
/// Neither a header nor a symbol.
const VOID: u32 = HEADER - 1;

pub(super) struct Words {
    slots: Vec<u32>,
    counts: Vec<u64>,
    /// Headers of words of at least `LONG` bytes, ascending.
    long: Vec<u32>,
}

/// Symbols to walk back in search of a header, before it is sought among those of the long words. In scripts without
/// spaces a word can be a paragraph.
const WALK: usize = 16;
/// Shorter words are walked through in any case.
const LONG: usize = WALK;

/// What stood around a merge.
pub(super) struct Merged {
    /// How often the word occurs.
    pub(super) count: u64,
    /// The symbol before, if the word has one.
    pub(super) previous: Option<u32>,
    /// The symbol behind, if the word has one.
    pub(super) next: Option<u32>,
}

impl Words {
    /// Words of a single byte have no pair and are left out.
    ///
    /// # Errors
    /// [`Error::Argument`] when the words outgrow 32-bit positions, [`Error::CountOverflow`] when all pairs together
    /// outgrow 64 bits: a bound on every sum that training makes.
    pub(super) fn new<'w>(words: impl Iterator<Item = (&'w [u8], u64)>) -> Result<Words> {
        let mut slots = Vec::new();
        let mut counts = Vec::new();
        let mut long = Vec::new();
        let mut pairs: u64 = 0;
        for (word, count) in words.filter(|(word, _)| word.len() > 1) {
            let all = (word.len() as u64).checked_mul(count).and_then(|here| pairs.checked_add(here));
            pairs = all.ok_or_else(|| Error::CountOverflow { what: "all pairs together".to_owned() })?;
            if word.len() >= LONG {
                long.push(slots.len() as u32);
            }
            slots.push(HEADER | counts.len() as u32);
            slots.extend(word.iter().map(|&byte| u32::from(byte)));
            counts.push(count);
        }
        slots.push(HEADER);
        if slots.len() > VOID as usize {
            return Err(Error::Argument(format!(
                "the distinct words have {} bytes, more than the {VOID} that training can hold",
                slots.len()
            )));
        }
        Ok(Words { slots, counts, long })
    }

    /// Calls `visit(position of the left byte, left, right, word count)` for each pair of adjacent bytes, in order.
    pub(super) fn for_each_byte_pair(&self, mut visit: impl FnMut(u32, u32, u32, u64)) {
        let mut count = 0;
        for (position, pair) in self.slots.windows(2).enumerate() {
            let [left, right] = [pair[0], pair[1]];
            if left & HEADER != 0 {
                count = self.counts.get((left & !HEADER) as usize).copied().unwrap_or(0);
            } else if right & HEADER == 0 {
                visit(position as u32, left, right, count);
            }
        }
    }

    /// Joins `left` at `position` and `right` behind it to `joined`, if they (still) stand there.
    ///
    /// `position` must have been the start of a symbol once; symbols only grow to the right of their start or are
    /// swallowed, and a swallowed start is void or belongs to a symbol younger than `left`.
    #[inline]
    pub(super) fn merge(
        &mut self,
        symbols: &Symbols,
        position: u32,
        (left, right): (u32, u32),
        joined: u32,
    ) -> Option<Merged> {
        let start = position as usize;
        let middle = start + symbols.len_of(left);
        if self.slots[start] != left || self.slots[middle] != right {
            return None;
        }
        let end = middle + symbols.len_of(right);
        self.slots[middle - 1] = VOID;
        self.slots[middle] = VOID;
        self.slots[start] = joined;
        self.slots[end - 1] = joined;
        Some(Merged { count: self.count_at(symbols, start), previous: self.before(start), next: self.at(end) })
    }

    /// The symbols around the one of `len` bytes that starts at `position`, and the count of its word.
    #[inline]
    pub(super) fn around(&self, symbols: &Symbols, position: u32, len: usize) -> Merged {
        let start = position as usize;
        Merged { count: self.count_at(symbols, start), previous: self.before(start), next: self.at(start + len) }
    }

    #[inline]
    fn before(&self, start: usize) -> Option<u32> {
        self.at(start - 1)
    }

    #[inline]
    fn at(&self, slot: usize) -> Option<u32> {
        let symbol = self.slots[slot];
        (symbol & HEADER == 0).then_some(symbol)
    }

    /// How often the word around `start` occurs: its header is a few symbols back, in the same cache line or the one
    /// before, or else a long word's.
    #[inline]
    fn count_at(&self, symbols: &Symbols, start: usize) -> u64 {
        let mut at = start;
        for _ in 0..WALK {
            let before = self.slots[at - 1];
            if before & HEADER != 0 {
                return self.counts[(before & !HEADER) as usize];
            }
            at -= symbols.len_of(before);
        }
        let headers_before = self.long.partition_point(|&header| (header as usize) < start);
        let header = self.slots[self.long[headers_before - 1] as usize];
        self.counts[(header & !HEADER) as usize]
    }
}
