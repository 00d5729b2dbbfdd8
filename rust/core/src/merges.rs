//! Which adjacent tokens join, to what, and in which order.

use rustc_hash::FxHashSet;

use crate::definition::{Definition, Merges};
use crate::error::{Error, Result};
use crate::live;
use crate::memory::prefetch;
use crate::vocab::{Vocab, escape};

/// The rank of a pair that does not join.
pub(crate) const NEVER: u32 = u32::MAX;

/// What a pair joins to. The lowest rank goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) rank: u32,
    pub(crate) id: u32,
}

const NO_JOIN: Join = Join { rank: NEVER, id: 0 };

/// Ids of tokens that join, and ranks, are below this.
pub(crate) const LIMIT: u32 = (1 << BITS) - 1;
const BITS: u32 = 21;

/// Pairs of token ids to their [`Join`]: a hash table of buckets, and a plain table for pairs of bytes, with which every
/// word begins.
#[derive(Debug, Clone)]
pub(crate) struct PairTable {
    /// A power of two. A bucket has one to two pairs on average, so that hardly any is full.
    buckets: Vec<Bucket>,
    /// By how much to shift a hash for the number of a bucket.
    shift: u32,
    taken: usize,
    /// What is to be added to the rank of a pair for what it joins to, if that is the same for all.
    offset: Option<u32>,
    /// By rank: what the pair joins to.
    ids: Vec<u32>,
    /// By first byte and second byte: the rank.
    bytes: Vec<u32>,
}

/// Half a cache line of pairs, taken from the left. All are looked at whether the pair is found or not: which it is cannot
/// be foretold, and a branch that is mispredicted costs more than to look.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
struct Bucket([u64; PLACES]);

const PLACES: usize = 4;
/// No pair: no id is this large.
const EMPTY: u64 = !0 << OF_RANK;
/// From the highest bit: the left id, the right id, one bit that says of the last pair of a bucket that more of the bucket's
/// pairs stand in the next, and the rank.
const OF_RANK: u32 = BITS + 1;
const GOES_ON: u64 = 1 << BITS;

/// Where to look for a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    key: u64,
    bucket: usize,
}

/// Its highest bits depend on all bits of the key.
#[inline(always)]
fn hash(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Where no pair is found.
pub(crate) const NOWHERE: Place = Place { key: (LIMIT as u64) << OF_RANK, bucket: 0 };

#[inline(always)]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << (OF_RANK + BITS) | u64::from(right) << OF_RANK
}

impl PairTable {
    /// The pairs of the definition's merges; `vocab` has its tokens, `byte_ids` are the ids of the 256 bytes.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when a merge's parts or result are not in the vocabulary, or a merge is listed twice.
    pub(crate) fn new(definition: &Definition, vocab: &Vocab, byte_ids: &[u32; 256]) -> Result<PairTable> {
        let mut table = PairTable {
            buckets: vec![Bucket([EMPTY; PLACES]); 1 << 8],
            shift: 64 - 8,
            taken: 0,
            offset: None,
            ids: Vec::new(),
            bytes: vec![NEVER; 1 << 16],
        };
        match &definition.merges {
            Merges::Listed(merges) => {
                for (rank, (left, right)) in merges.iter().enumerate() {
                    table.insert_listed(vocab, rank, left, right)?;
                }
            }
            // One pair a token instead of all its splits: the others never stand side by side, and a table of them all
            // would be three times the size.
            Merges::ByRank => {
                for (left, right) in live::by_rank(&definition.vocab) {
                    let ids = (vocab.id(&left), vocab.id(&right), vocab.id(&[left.as_slice(), &right].concat()));
                    if let (Some(left), Some(right), Some(id)) = ids {
                        table.insert(left, right, Join { rank: id, id })?;
                    }
                }
            }
        }
        let offset = |(_, _, join): (u32, u32, Join)| join.id.wrapping_sub(join.rank);
        let first = table.pairs().next().map(offset);
        table.offset = first.filter(|first| table.pairs().all(|pair| offset(pair) == *first));
        for (left, &left_id) in byte_ids.iter().enumerate() {
            for (right, &right_id) in byte_ids.iter().enumerate() {
                // A byte that no text has may have no token.
                if left_id.max(right_id) < LIMIT {
                    table.bytes[left << 8 | right] = table.find(left_id, right_id).rank;
                }
            }
        }
        Ok(table)
    }

    fn insert_listed(&mut self, vocab: &Vocab, rank: usize, left: &[u8], right: &[u8]) -> Result<()> {
        let joined = [left, right].concat();
        let id_of = |token: &[u8], what: &str| {
            vocab.id(token).ok_or_else(|| Error::Vocabulary {
                origin: "merges".to_owned(),
                message: format!(
                    "merge {rank}, {} + {}: its {what} {} is not in the vocabulary",
                    escape(left),
                    escape(right),
                    escape(token)
                ),
            })
        };
        let join = Join { rank: rank.try_into().unwrap_or(NEVER), id: id_of(&joined, "result")? };
        let (left_id, right_id) = (id_of(left, "left part")?, id_of(right, "right part")?);
        let key = key(left_id, right_id);
        let before = self.rank_at(Place { key, bucket: self.bucket(hash(key)) });
        if left_id.max(right_id) < LIMIT && before < LIMIT {
            return Err(Error::Vocabulary {
                origin: "merges".to_owned(),
                message: format!("merges {before} and {rank} are both {} + {}", escape(left), escape(right)),
            });
        }
        self.insert(left_id, right_id, join)
    }

    fn insert(&mut self, left: u32, right: u32, join: Join) -> Result<()> {
        if [left, right, join.id, join.rank].into_iter().any(|number| number >= LIMIT) {
            return Err(Error::Vocabulary {
                origin: "merges".to_owned(),
                message: format!(
                    "tokens {left} and {right} join to {} at rank {}; ids and ranks of {LIMIT} and more are not supported",
                    join.id, join.rank
                ),
            });
        }
        if self.taken >= self.buckets.len() * 2 {
            let bigger = vec![Bucket([EMPTY; PLACES]); self.buckets.len() * 2];
            let old = std::mem::replace(&mut self.buckets, bigger);
            self.shift -= 1;
            entries_of(&old).for_each(|entry| self.put(entry));
        }
        self.put(key(left, right) | u64::from(join.rank));
        self.taken += 1;
        let rank = join.rank as usize;
        self.ids.resize(self.ids.len().max(rank + 1), 0);
        self.ids[rank] = join.id;
        Ok(())
    }

    fn put(&mut self, entry: u64) {
        let mut bucket = self.bucket(hash(entry & EMPTY));
        loop {
            let Bucket(entries) = &mut self.buckets[bucket];
            if let Some(place) = entries.iter_mut().find(|place| **place == EMPTY) {
                *place = entry;
                return;
            }
            entries[PLACES - 1] |= GOES_ON;
            bucket = (bucket + 1) & (self.buckets.len() - 1);
        }
    }

    /// Where the search for a pair with that hash begins.
    #[inline(always)]
    fn bucket(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// What the tokens join to; rank [`NEVER`] when they don't.
    #[inline(always)]
    pub(crate) fn find(&self, left: u32, right: u32) -> Join {
        match self.rank_at(self.place(left, right)) {
            rank if rank < LIMIT => Join { rank, id: self.joined(rank) },
            _ => NO_JOIN,
        }
    }

    /// The first of two steps of finding the rank of a pair, for whoever has something else to do before the memory has
    /// come.
    #[inline(always)]
    pub(crate) fn place(&self, left: u32, right: u32) -> Place {
        let key = key(left, right);
        Place { key, bucket: self.bucket(hash(key)) }
    }

    #[inline(always)]
    pub(crate) fn prefetch(&self, place: Place) {
        prefetch(&self.buckets, place.bucket);
    }

    /// The second step: the rank, or [`LIMIT`] or more where the pair does not join.
    #[inline(always)]
    pub(crate) fn rank_at(&self, wanted: Place) -> u32 {
        let mut bucket = wanted.bucket;
        loop {
            let Bucket(entries) = &self.buckets[bucket];
            // What is left of the entry that has the key is its rank, and far more of any other.
            let [a, b, c, last] = entries.map(|entry| entry ^ wanted.key);
            let rank = a.min(b).min(c.min(last & !GOES_ON));
            if (entries[PLACES - 1] & GOES_ON == 0) | (rank < u64::from(LIMIT)) {
                return rank.min(u64::from(LIMIT)) as u32;
            }
            bucket = (bucket + 1) & (self.buckets.len() - 1);
        }
    }

    /// What the pair of that rank joins to.
    #[inline(always)]
    pub(crate) fn joined(&self, rank: u32) -> u32 {
        self.offset.map_or_else(|| self.ids[rank as usize], |offset| rank.wrapping_add(offset))
    }

    /// The rank of a pair of bytes, or [`NEVER`].
    #[inline(always)]
    pub(crate) fn rank_of_bytes(&self, left: u8, right: u8) -> u32 {
        self.bytes[usize::from(left) << 8 | usize::from(right)]
    }

    /// The pairs (left, right, what they join to) in order of rank.
    pub(crate) fn by_rank(&self) -> Vec<(u32, u32, Join)> {
        let mut pairs: Vec<_> = self.pairs().collect();
        pairs.sort_unstable_by_key(|(_, _, join)| join.rank);
        pairs
    }

    /// Whether every pair ranks behind the pairs that make its parts: then a word can be joined rank by rank, and a join
    /// never brings a pair of lower rank with it. All vocabularies that were trained are so.
    pub(crate) fn is_monotone(&self, vocab_size: usize) -> bool {
        let mut made_by = vec![None; vocab_size];
        for (_, _, join) in self.pairs() {
            let made = &mut made_by[join.id as usize];
            *made = Some(join.rank).max(*made);
        }
        self.pairs()
            .all(|(left, right, join)| [left, right].into_iter().all(|part| made_by[part as usize] < Some(join.rank)))
    }

    fn pairs(&self) -> impl Iterator<Item = (u32, u32, Join)> {
        entries_of(&self.buckets).map(|entry| {
            let id = |shift: u32| (entry >> shift) as u32 & LIMIT;
            let rank = entry as u32 & LIMIT;
            (id(OF_RANK + BITS), id(OF_RANK), Join { rank, id: self.ids[rank as usize] })
        })
    }
}

fn entries_of(buckets: &[Bucket]) -> impl Iterator<Item = u64> {
    buckets.iter().flat_map(|bucket| bucket.0).filter(|&entry| entry != EMPTY).map(|entry| entry & !GOES_ON)
}

/// Leaves those added tokens that are no bytes, no part of a merge and made by none to `added_tokens` alone. Some files list
/// them in the model's vocabulary too; no rule for whole words may find a special token in ordinary text, and equal
/// tokenizers have equal definitions.
pub(crate) fn leave_to_added(definition: &mut Definition) {
    let added: FxHashSet<(&[u8], u32)> =
        definition.added_tokens.iter().map(|token| (token.content.as_bytes(), token.id)).collect();
    if !definition.vocab.iter().any(|(token, id)| added.contains(&(token.as_slice(), *id))) {
        return;
    }
    let by_rank;
    let merges = match &definition.merges {
        Merges::Listed(merges) => merges,
        Merges::ByRank => {
            by_rank = live::by_rank(&definition.vocab);
            &by_rank
        }
    };
    let made = merges.iter().map(|(left, right)| [left.as_slice(), right].concat());
    let used: FxHashSet<Vec<u8>> = made.chain(merges.iter().flat_map(|(l, r)| [l.clone(), r.clone()])).collect();
    definition
        .vocab
        .retain(|(token, id)| token.len() == 1 || used.contains(token) || !added.contains(&(token.as_slice(), *id)));
}
