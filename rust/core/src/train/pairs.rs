//! The pairs of adjacent symbols that occur often enough to be merged soon: how often, and where their occurrences were
//! when they came about.
//!
//! A pair gains occurrences only in the step that makes its younger symbol; from then on its count only falls. So a pair
//! whose count is below a threshold then can be left out until the most frequent one has fallen below it; all pairs are
//! then counted anew, with a lower threshold. Nearly all pairs of a large text are rare and never come in at all.
//!
//! For the same reason a list of places is made once. Later merges may take occurrences away; the list is not touched
//! then, and who reads it checks each place.

use super::symbols::BORDER;

pub(super) struct Pairs {
    threshold: u64,
    /// The most places to list, and how many are listed.
    most_places: usize,
    listed: usize,
    /// Whether a pair was left out for want of room.
    full: bool,
    pairs: Vec<Pair>,
    /// Positions of left symbols by pair, ascending.
    places: Vec<Vec<u32>>,
    /// Open addressing; a power of two, at most half of them taken.
    table: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Pair {
    count: u64,
    left: u32,
    right: u32,
}

/// A pair's number in the hash table. The border on the left marks a free one.
#[derive(Debug, Clone, Copy)]
struct Entry {
    left: u32,
    right: u32,
    number: u32,
}

const FREE: Entry = Entry { left: BORDER, right: BORDER, number: 0 };

/// Fibonacci hashing.
#[inline]
pub(super) fn hash(left: u32, right: u32) -> u32 {
    let both = u64::from(left) << 32 | u64::from(right);
    ((both ^ both >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

impl Pairs {
    /// None yet. A step that makes new pairs lists at most `most_places` of them and others together.
    pub(super) fn new(threshold: u64, most_places: usize) -> Pairs {
        Pairs {
            threshold,
            most_places,
            listed: 0,
            full: false,
            pairs: Vec::new(),
            places: Vec::new(),
            table: vec![FREE; 64],
        }
    }

    /// Pairs whose counts were lower than this when they came about are not here.
    pub(super) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Whether a more frequent pair was left out, for want of room.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Number of pairs, merged ones included.
    pub(super) fn len(&self) -> u32 {
        self.pairs.len() as u32
    }

    pub(super) fn symbols(&self, pair: u32) -> (u32, u32) {
        let pair = &self.pairs[pair as usize];
        (pair.left, pair.right)
    }

    pub(super) fn count_of(&self, pair: u32) -> u64 {
        self.pairs[pair as usize].count
    }

    /// The number of a pair, which comes in with count 0 if it is new.
    #[inline]
    pub(super) fn number(&mut self, left: u32, right: u32) -> u32 {
        self.find(left, right).unwrap_or_else(|| self.push(left, right, 0, 0))
    }

    /// Adds a pair that is new and frequent enough, with room for its places. Returns its number.
    pub(super) fn insert(&mut self, left: u32, right: u32, count: u64, places: u32) -> Option<u32> {
        if count < self.threshold {
            return None;
        }
        if self.listed + places as usize > self.most_places {
            // Stale places may have piled up.
            self.full = true;
            return None;
        }
        self.listed += places as usize;
        Some(self.push(left, right, count, places))
    }

    fn push(&mut self, left: u32, right: u32, count: u64, places: u32) -> u32 {
        let number = self.len();
        self.pairs.push(Pair { count, left, right });
        self.places.push(Vec::with_capacity(places as usize));
        if self.pairs.len() * 2 > self.table.len() {
            self.table = table(&self.pairs, self.table.len() * 2);
        } else {
            enter(&mut self.table, Entry { left, right, number });
        }
        number
    }

    /// Adds to a count.
    #[inline]
    pub(super) fn gain(&mut self, pair: u32, count: u64) {
        self.pairs[pair as usize].count += count;
    }

    /// Adds a place to a pair. A list without room grows by an eighth, since the longest ones are most of the memory.
    #[inline]
    pub(super) fn add_place(&mut self, pair: u32, place: u32) {
        let places = &mut self.places[pair as usize];
        if places.len() == places.capacity() {
            places.reserve_exact(places.len() / 8 + 4);
        }
        places.push(place);
    }

    /// Drops the pairs whose counts are below the threshold, and what room the others' lists do not need.
    pub(super) fn retain_frequent(&mut self) {
        let threshold = self.threshold;
        let mut counts = self.pairs.iter().map(|pair| pair.count);
        self.places.retain_mut(|places| {
            places.shrink_to_fit();
            counts.next().is_some_and(|count| count >= threshold)
        });
        self.pairs.retain(|pair| pair.count >= threshold);
        self.listed = self.places.iter().map(Vec::len).sum();
        self.table = table(&self.pairs, (self.pairs.len() * 2).next_power_of_two().max(64));
    }

    /// Takes `count` occurrences away from a pair, if it is here.
    #[inline]
    pub(super) fn lose(&mut self, left: u32, right: u32, count: u64) {
        if let Some(number) = self.find(left, right) {
            self.pairs[number as usize].count -= count;
        }
    }

    /// Takes out the places of a pair, where its occurrences were when they came about; it has none left thereafter. They
    /// count as listed until [`Pairs::discard`].
    pub(super) fn exhaust(&mut self, pair: u32) -> Vec<u32> {
        self.pairs[pair as usize].count = 0;
        std::mem::take(&mut self.places[pair as usize])
    }

    /// Frees `places`, of which there were `listed`.
    pub(super) fn discard(&mut self, places: Vec<u32>, listed: usize) {
        drop(places);
        self.listed -= listed;
    }

    #[inline]
    fn find(&self, left: u32, right: u32) -> Option<u32> {
        let mask = self.table.len() - 1;
        let mut at = hash(left, right) as usize & mask;
        loop {
            let entry = self.table[at];
            if (entry.left, entry.right) == (left, right) {
                return Some(entry.number);
            }
            if entry.left == BORDER {
                return None;
            }
            at = (at + 1) & mask;
        }
    }
}

/// The hash table over `pairs`.
fn table(pairs: &[Pair], size: usize) -> Vec<Entry> {
    let mut table = vec![FREE; size];
    for (number, pair) in (0..).zip(pairs) {
        enter(&mut table, Entry { left: pair.left, right: pair.right, number });
    }
    table
}

/// Puts an entry where `Pairs::find` will find it.
fn enter(table: &mut [Entry], entry: Entry) {
    let mask = table.len() - 1;
    let mut at = hash(entry.left, entry.right) as usize & mask;
    while table[at].left != BORDER {
        at = (at + 1) & mask;
    }
    table[at] = entry;
}
