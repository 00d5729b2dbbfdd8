//! Joining words of up to 63 bytes, several at a time.
//!
//! A word is joined by looking for the lowest rank again and again, which for so few tokens beats any data structure. What
//! takes time is to wait for the pair table, which is larger than the nearest caches: so a word that has asked for its two
//! new pairs, or for what its lowest one joins to, is left for the others until it has come. On a Zen 3, whose second cache
//! has 512 KiB, joining takes a third less time so than with half as many words and without asking for what a pair joins to;
//! neither made a difference on a Sapphire Rapids, with 2 MiB.
//!
//! Tried and slower: taking the longest token that the text begins with and that stays apart from the one before (a trie,
//! and a walk down the splits of both tokens). It takes fewer steps, but each waits for the one before. Tried and equal: a
//! step of sixteen words at once with AVX-512 (keys and tokens place by place, gathers and scatters, words of one length
//! together, memory asked for a turn ahead). Joining alone took 7 ms instead of 11, whole texts in new processes what they
//! had taken. Tried and equal, too: asking for the pairs of all words in a loop of its own, as looking words up does. Pairs in
//! 4 bytes, for vocabularies of up to 65,536, take 6 to 13 % less time, whole texts 1 to 3 %: not worth a second form of them.
//! Joining at once, in the beginning, what stands apart (no token has the two bytes at its edge side by side) and is of two or
//! three bytes takes 6 % less in many languages with a vocabulary of English, and 10 % more in English.

use std::ops::Range;

use crate::merges::{NO_KEY, NO_TOKEN, NOWHERE, PLACES, PairTable, Place, Token};

/// Bytes of the longest word.
pub(super) const LONGEST: usize = 63;
/// Places of the words that are joined at a time: 32 short ones, or 8 of the longest.
const LANES: usize = 512;

/// Bytes of a word that are looked at together.
const AT_ONCE: usize = 16;
/// So many bytes have to lie behind the last word in its text.
pub(super) const PADDING: usize = AT_ONCE + 1;
/// Ids that are written together.
const SLACK: usize = 4;

/// By which [`AT_ONCE`] places of a word they are, and by how many of them a pair begins: what a key has beside its rank; at
/// places where none begins, what makes any key one at which nothing can be joined.
static PLACES_OF: [[[u32; AT_ONCE]; AT_ONCE + 1]; PLACES as usize / AT_ONCE] = {
    let mut all = [[[NO_KEY; AT_ONCE]; AT_ONCE + 1]; PLACES as usize / AT_ONCE];
    let mut at = 0;
    while at < all.len() * (AT_ONCE + 1) * AT_ONCE {
        let (nth, count, place) = (at / AT_ONCE / (AT_ONCE + 1), at / AT_ONCE % (AT_ONCE + 1), at % AT_ONCE);
        if place < count {
            all[nth][count][place] = (nth * AT_ONCE + place) as u32;
        }
        at += 1;
    }
    all
};

/// A word of fewer than `W` bytes that is being joined. All arrays go by the place of a token's first byte.
///
/// Before the first token, too, and behind the last, there is one that joins with nothing, so that none is a special case.
/// The place of both is never that of a byte: the one before the first, at -1, is at `W - 1`.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Lane<const W: usize> {
    /// The rank of the pair of the token here and the next, and the place: the lowest key is the leftmost lowest rank.
    keys: [u32; W],
    tokens: [Token; W],
    /// Where tokens start, that behind the last among them.
    starts: u64,
    /// Two places whose pairs were asked for and have not been looked at.
    asked: [(u32, Place); 2],
    /// The lowest key.
    lowest: u32,
    /// Which of the words this is.
    word: usize,
}

/// Words of fewer than `W` bytes, and memory for joining them.
#[derive(Debug)]
struct Lanes<const W: usize> {
    lanes: Vec<Lane<W>>,
    /// Which of the words they are.
    words: Vec<usize>,
}

/// Memory for joining.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    short: Lanes<16>,
    middle: Lanes<32>,
    long: Lanes<64>,
}

/// Where results go: `ids`, in no order, and by word where its ids are.
pub(super) struct Joined<'a> {
    pub(super) ids: &'a mut Vec<u32>,
    pub(super) spans: &'a mut Vec<Range<usize>>,
}

impl Joiner {
    /// Joins those of `words` (none empty) that are not longer than [`LONGEST`] and are `wanted`; the others get an empty span.
    /// They lie in `text`, which has [`PADDING`] bytes behind the last.
    pub(super) fn join(
        &mut self,
        pairs: &PairTable,
        text: &[u8],
        words: &[Range<usize>],
        wanted: impl Fn(&[u8]) -> bool,
        mut joined: Joined<'_>,
    ) {
        joined.spans.clear();
        joined.spans.resize(words.len(), 0..0);
        let Joiner { short, middle, long } = self;
        for (number, word) in words.iter().enumerate() {
            let of_its_length = match word.len() {
                0..16 => &mut short.words,
                16..32 => &mut middle.words,
                32..=LONGEST => &mut long.words,
                _ => continue,
            };
            if wanted(&text[word.clone()]) {
                of_its_length.push(number);
            }
        }
        // A word has no more ids than bytes.
        let room = words.iter().map(Range::len).filter(|&len| len <= LONGEST).sum::<usize>() + SLACK;
        joined.ids.reserve(room);
        short.join(pairs, text, words, &mut joined);
        middle.join(pairs, text, words, &mut joined);
        long.join(pairs, text, words, &mut joined);
    }
}

impl<const W: usize> Default for Lanes<W> {
    fn default() -> Self {
        let lane = Lane {
            keys: [NO_KEY; W],
            tokens: [NO_TOKEN; W],
            starts: 0,
            asked: [(W as u32 - 1, NOWHERE); 2],
            lowest: NO_KEY,
            word: 0,
        };
        Lanes { lanes: vec![lane; LANES / W], words: Vec::new() }
    }
}

impl<const W: usize> Lanes<W> {
    fn join(&mut self, pairs: &PairTable, text: &[u8], words: &[Range<usize>], joined: &mut Joined<'_>) {
        #[cfg(target_arch = "x86_64")]
        if crate::processor::has_avx2() {
            // SAFETY: the processor has what the function needs.
            return unsafe { self.join_avx2(pairs, text, words, joined) };
        }
        self.join_portable(pairs, text, words, joined);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn join_avx2(&mut self, pairs: &PairTable, text: &[u8], words: &[Range<usize>], joined: &mut Joined<'_>) {
        self.join_portable(pairs, text, words, joined);
    }

    #[inline(always)]
    fn join_portable(&mut self, pairs: &PairTable, text: &[u8], words: &[Range<usize>], joined: &mut Joined<'_>) {
        let Lanes { lanes, words: numbers } = self;
        let mut numbers = numbers.drain(..);
        let mut busy = 0;
        while busy < LANES / W
            && let Some(number) = numbers.next()
        {
            lanes[busy].begin(pairs, text, &words[number], number);
            busy += 1;
        }
        while busy > 0 {
            // All lanes learn before any looks for its lowest key: keys written one by one and read at once right behind
            // would have to reach the cache in between.
            for lane in &mut lanes[..busy] {
                lane.learn_asked(pairs);
            }
            for lane in &mut lanes[..busy] {
                lane.find_lowest(pairs);
            }
            let mut at = 0;
            while at < busy {
                let lane = &mut lanes[at];
                if lane.join_lowest(pairs) {
                    at += 1;
                    continue;
                }
                let start = joined.ids.len();
                lane.append_to(joined.ids);
                joined.spans[lane.word] = start..joined.ids.len();
                if let Some(number) = numbers.next() {
                    lane.begin(pairs, text, &words[number], number);
                    at += 1;
                } else {
                    busy -= 1;
                    lanes.swap(at, busy);
                }
            }
        }
    }
}

impl<const W: usize> Lane<W> {
    #[inline(always)]
    fn begin(&mut self, pairs: &PairTable, text: &[u8], word: &Range<usize>, number: usize) {
        let len = word.len();
        debug_assert!((1..W).contains(&len));
        self.word = number;
        self.starts = u64::MAX >> (u64::BITS as usize - 1 - len);
        self.asked = [(W as u32 - 1, NOWHERE); 2];
        // So many bytes at a time, whatever the length: a loop that ends with the word is mispredicted there.
        let (keys, tokens) = (self.keys.as_chunks_mut::<AT_ONCE>().0, self.tokens.as_chunks_mut::<AT_ONCE>().0);
        for (nth, (keys, tokens)) in keys.iter_mut().zip(tokens).enumerate() {
            let first = nth * AT_ONCE;
            if first >= len {
                *keys = [NO_KEY; AT_ONCE];
                continue;
            }
            let Some(bytes) = text[word.start + first..].first_chunk::<{ AT_ONCE + 1 }>() else {
                unreachable!("padding")
            };
            let places = &PLACES_OF[nth][(len - 1 - first).min(AT_ONCE)];
            for place in 0..AT_ONCE {
                // SAFETY: two bytes are there. (From both by themselves the compiler makes three instructions more.)
                let two = unsafe { bytes.as_ptr().add(place).cast::<u16>().read_unaligned() };
                keys[place] = pairs.key_of_bytes(u16::from_le(two)) | places[place];
                tokens[place] = pairs.token_of_byte(bytes[place]);
            }
        }
        self.tokens[len] = NO_TOKEN;
        self.tokens[W - 1] = NO_TOKEN;
    }

    /// Takes what was asked for.
    #[inline(always)]
    fn learn_asked(&mut self, pairs: &PairTable) {
        for (place, pair) in self.asked {
            self.keys[place as usize % W] = pairs.key_at(pair) + place;
        }
    }

    /// Finds the lowest key, and asks for what its pair joins to.
    #[inline(always)]
    fn find_lowest(&mut self, pairs: &PairTable) {
        self.lowest = lowest(&self.keys);
        pairs.ask_joined(self.lowest / PLACES);
    }

    /// Makes one join and asks for the pairs that come of it; false when none is left.
    #[inline(always)]
    fn join_lowest(&mut self, pairs: &PairTable) -> bool {
        let lowest = self.lowest;
        if lowest >= NO_KEY {
            return false;
        }
        let place = lowest as usize % W;
        let behind = self.starts & (u64::MAX - 1) << place;
        let swallowed = behind.trailing_zeros() as usize % W;
        let behind = behind & (behind - 1);
        let next = behind.trailing_zeros() as usize % W;
        let before = self.starts & ((1 << place) - 1);
        let last = (u64::BITS - 1).wrapping_sub(before.leading_zeros()) as usize % W;
        let token = pairs.joined(lowest / PLACES);
        self.starts &= !(1 << swallowed);
        self.keys[swallowed] = NO_KEY;
        self.tokens[place] = token;
        self.asked =
            [(place as u32, pairs.ask(token, self.tokens[next])), (last as u32, pairs.ask(self.tokens[last], token))];
        true
    }

    /// Appends the ids of the tokens to `ids`, which has room for them and [`SLACK`] more.
    #[inline(always)]
    fn append_to(&self, ids: &mut Vec<u32>) {
        let mut starts = self.starts;
        let count = starts.count_ones() as usize - 1;
        // Some are written whether there are so many or not: a loop that stops at the last is mispredicted there.
        let room = &mut ids.spare_capacity_mut()[..count.next_multiple_of(SLACK)];
        for some in room.as_chunks_mut::<SLACK>().0 {
            for id in some {
                id.write(self.tokens[starts.trailing_zeros() as usize % W].id);
                starts &= starts.wrapping_sub(1);
            }
        }
        // SAFETY: so many were written.
        unsafe { ids.set_len(ids.len() + count) };
    }
}

#[inline(always)]
fn lowest<const W: usize>(keys: &[u32; W]) -> u32 {
    let mut lowest = [u32::MAX; 8];
    for keys in keys.chunks_exact(8) {
        for (lowest, &key) in lowest.iter_mut().zip(keys) {
            *lowest = key.min(*lowest);
        }
    }
    lowest.into_iter().fold(u32::MAX, u32::min)
}
