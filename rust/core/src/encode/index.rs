//! Where long words stand: an open-addressing table of bounded size, with eight bytes a word.

use crate::memory::{Zero, Zeroed, prefetch};

/// Places looked at for a word, so that no input, however it was made, makes looking a word up slower than joining it.
const PROBES: usize = 16;
/// Places to begin with (32 KiB).
const FIRST: usize = 1 << 12;
/// The table becomes so many times as large when half of it is taken.
const GROWTH: usize = 4;

/// From the highest bit on: the lowest bits of the word's hash, its length, how many ids it has, and where its entry is. All
/// zero where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Packed(u64);

// SAFETY: a number of zero bits is zero.
unsafe impl Zero for Packed {}

const BITS_OF_HASH: u32 = 26;
const BITS_OF_LENGTH: u32 = 7;
const BITS_OF_COUNT: u32 = 7;
const BITS_OF_PLACE: u32 = u64::BITS - BITS_OF_HASH - BITS_OF_LENGTH - BITS_OF_COUNT;

/// A word may have fewer bytes than this, and no more ids than bytes.
pub(super) const LENGTHS: usize = 1 << BITS_OF_LENGTH;
/// An entry may stand at fewer places than this.
pub(super) const PLACES: usize = 1 << BITS_OF_PLACE;
/// A table may have no more places: that of a word follows from the bits of its hash that are kept.
const MOST: usize = 1 << BITS_OF_HASH;

impl Packed {
    /// Without its ids.
    #[inline(always)]
    fn word(hash: u64, len: usize) -> Packed {
        debug_assert!((1..LENGTHS).contains(&len));
        Packed((hash << BITS_OF_LENGTH | len as u64) << (BITS_OF_COUNT + BITS_OF_PLACE))
    }

    /// Whether two may be of one word.
    #[inline(always)]
    fn resembles(self, other: Packed) -> bool {
        (self.0 ^ other.0) >> (BITS_OF_COUNT + BITS_OF_PLACE) == 0
    }

    /// Where the word's entry is, and how many ids it has.
    #[inline(always)]
    fn entry(self) -> (u32, usize) {
        let place = self.0 % PLACES as u64;
        (place as u32, (self.0 >> BITS_OF_PLACE) as usize % (1 << BITS_OF_COUNT))
    }

    /// The bits of its hash that there are.
    fn hash(self) -> u64 {
        self.0 >> (u64::BITS - BITS_OF_HASH)
    }
}

/// Words by hash and length.
#[derive(Debug)]
pub(super) struct Index {
    /// A power of two. At most half are taken while there may be more of them, then three quarters.
    table: Zeroed<Packed>,
    taken: usize,
    /// The table may grow to this.
    most: usize,
}

impl Index {
    /// A table that grows to at most `most` places, a power of two.
    pub(super) fn new(most: usize) -> Index {
        debug_assert!(most.is_power_of_two() && (FIRST..=MOST).contains(&most));
        Index { table: Zeroed::new(FIRST), taken: 0, most }
    }

    /// The most words that there come to be.
    pub(super) fn most(&self) -> usize {
        self.most / 4 * 3
    }

    /// The places at which a word may stand, in order; it stands before the first empty one.
    #[inline(always)]
    fn probes(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.table.len() - 1;
        (0..PROBES).map(move |step| (hash as usize + step) & mask)
    }

    /// Asks for the memory in which a word is looked for.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(&self.table, hash as usize & (self.table.len() - 1));
    }

    /// Of the words that may be the one with that hash and length, the first that `is_wanted` says is: where its entry is, and
    /// how many ids it has.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, len: usize, is_wanted: impl Fn(u32, usize) -> bool) -> Option<(u32, usize)> {
        let word = Packed::word(hash, len);
        for at in self.probes(hash) {
            let known = self.table[at];
            if known == Packed::default() {
                break;
            }
            let (place, count) = known.entry();
            if known.resembles(word) && is_wanted(place, count) {
                return Some((place, count));
            }
        }
        None
    }

    /// Adds a word that is not there; without a free place near where it belongs it is not kept.
    pub(super) fn insert(&mut self, hash: u64, len: usize, place: u32, count: usize) {
        debug_assert!((place as usize) < PLACES && count <= len);
        self.place(hash, Packed(Packed::word(hash, len).0 | (count as u64) << BITS_OF_PLACE | u64::from(place)));
    }

    fn place(&mut self, hash: u64, word: Packed) {
        if let Some(at) = self.probes(hash).find(|&at| self.table[at] == Packed::default()) {
            self.table[at] = word;
            self.taken += 1;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken >= self.most()
    }

    pub(super) fn clear(&mut self) {
        self.table.fill(Packed::default());
        self.taken = 0;
    }

    /// Makes room for more words, where there may be more.
    #[inline]
    pub(super) fn make_room(&mut self) {
        if self.taken * 2 >= self.table.len() && self.table.len() < self.most {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let bigger = Zeroed::new((self.table.len() * GROWTH).min(self.most));
        self.taken = 0;
        for &word in std::mem::replace(&mut self.table, bigger).iter().filter(|&&word| word != Packed::default()) {
            self.place(word.hash(), word);
        }
    }
}
