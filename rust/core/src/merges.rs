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

/// Pairs of token ids to their [`Join`]: a hash table of buckets, and a plain table for pairs of bytes, with which every
/// word begins.
#[derive(Debug, Clone)]
pub(crate) struct PairTable {
    /// A power of two. At most half of the places are taken, so that hardly any bucket is full.
    buckets: Vec<Bucket>,
    taken: usize,
    /// By first byte and second byte.
    bytes: Vec<Join>,
}

/// A cache line. All its places are looked at whether the pair is found or not: which it is cannot be foretold, and a branch
/// that is mispredicted costs more than to look.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    /// Taken from the left.
    keys: [u64; PLACES],
    joins: [Join; PLACES],
}

const PLACES: usize = 4;
const EMPTY_BUCKET: Bucket = Bucket { keys: [EMPTY; PLACES], joins: [NO_JOIN; PLACES] };

/// No pair: no id is this large.
const EMPTY: u64 = u64::MAX;

/// Where to look for a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    key: u64,
    bucket: usize,
}

/// Where no pair is found.
pub(crate) const NOWHERE: Place = Place { key: EMPTY, bucket: 0 };

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

impl PairTable {
    /// The pairs of the definition's merges; `vocab` has its tokens, `byte_ids` are the ids of the 256 bytes.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when a merge's parts or result are not in the vocabulary, or a merge is listed twice.
    pub(crate) fn new(definition: &Definition, vocab: &Vocab, byte_ids: &[u32; 256]) -> Result<PairTable> {
        let mut table = PairTable { buckets: vec![EMPTY_BUCKET; 1 << 8], taken: 0, bytes: Vec::new() };
        match &definition.merges {
            Merges::Listed(merges) => {
                for (rank, (left, right)) in merges.iter().enumerate() {
                    table.insert_listed(vocab, rank as u32, left, right)?;
                }
            }
            // One pair a token instead of all its splits: the others never stand side by side, and a table of them all
            // would be three times the size.
            Merges::ByRank => {
                for (left, right) in live::by_rank(&definition.vocab) {
                    let ids = (vocab.id(&left), vocab.id(&right), vocab.id(&[left.as_slice(), &right].concat()));
                    if let (Some(left), Some(right), Some(id)) = ids {
                        table.insert(left, right, Join { rank: id, id });
                    }
                }
            }
        }
        table.bytes = byte_ids
            .iter()
            .flat_map(|&left| byte_ids.iter().map(move |&right| (left, right)))
            .map(|(left, right)| table.find(left, right))
            .collect();
        Ok(table)
    }

    fn insert_listed(&mut self, vocab: &Vocab, rank: u32, left: &[u8], right: &[u8]) -> Result<()> {
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
        let join = Join { rank, id: id_of(&joined, "result")? };
        let (left_id, right_id) = (id_of(left, "left part")?, id_of(right, "right part")?);
        let before = self.find(left_id, right_id);
        if before.rank != NEVER {
            return Err(Error::Vocabulary {
                origin: "merges".to_owned(),
                message: format!("merges {} and {rank} are both {} + {}", before.rank, escape(left), escape(right)),
            });
        }
        self.insert(left_id, right_id, join);
        Ok(())
    }

    fn insert(&mut self, left: u32, right: u32, join: Join) {
        if self.taken * 2 >= self.buckets.len() * PLACES {
            let bigger = vec![EMPTY_BUCKET; self.buckets.len() * 2];
            let old = std::mem::replace(&mut self.buckets, bigger);
            pairs_of(&old).for_each(|(key, join)| self.put(key, join));
        }
        self.put(key(left, right), join);
        self.taken += 1;
    }

    fn put(&mut self, key: u64, join: Join) {
        let mut bucket = self.first(key);
        loop {
            let Bucket { keys, joins } = &mut self.buckets[bucket];
            if let Some(place) = keys.iter().position(|&other| other == EMPTY) {
                (keys[place], joins[place]) = (key, join);
                return;
            }
            bucket = (bucket + 1) & (self.buckets.len() - 1);
        }
    }

    /// Where the search for `key` begins.
    #[inline(always)]
    fn first(&self, key: u64) -> usize {
        let product = u128::from(key) * 0x9e37_79b9_7f4a_7c15;
        ((product >> 64) as u64 ^ product as u64) as usize & (self.buckets.len() - 1)
    }

    /// What the tokens join to; rank [`NEVER`] when they don't.
    #[inline(always)]
    pub(crate) fn find(&self, left: u32, right: u32) -> Join {
        self.find_at(self.place(left, right))
    }

    /// The first of two steps of [`PairTable::find`], for whoever has something else to do before the memory has come.
    #[inline(always)]
    pub(crate) fn place(&self, left: u32, right: u32) -> Place {
        let key = key(left, right);
        Place { key, bucket: self.first(key) }
    }

    #[inline(always)]
    pub(crate) fn prefetch(&self, place: Place) {
        prefetch(&self.buckets, place.bucket);
    }

    /// The second step.
    #[inline(always)]
    pub(crate) fn find_at(&self, wanted: Place) -> Join {
        let mut bucket = wanted.bucket;
        loop {
            let Bucket { keys, joins } = &self.buckets[bucket];
            // Arithmetic, since the compiler makes branches of choices.
            let mut same = 0;
            for (place, &key) in keys.iter().enumerate() {
                same |= u32::from(key == wanted.key) << place;
            }
            let Join { rank, id } = joins[same.trailing_zeros() as usize % PLACES];
            let never = u32::from(same != 0).wrapping_sub(1);
            if (same != 0) | (keys[PLACES - 1] == EMPTY) {
                return Join { rank: rank | never, id };
            }
            bucket = (bucket + 1) & (self.buckets.len() - 1);
        }
    }

    /// [`PairTable::find`] for two bytes.
    #[inline(always)]
    pub(crate) fn find_bytes(&self, left: u8, right: u8) -> Join {
        self.bytes[usize::from(left) << 8 | usize::from(right)]
    }

    /// The highest rank; 0 without any pair.
    pub(crate) fn highest_rank(&self) -> u32 {
        pairs_of(&self.buckets).map(|(_, join)| join.rank).max().unwrap_or(0)
    }

    /// The pairs (left, right, what they join to) in order of rank.
    pub(crate) fn by_rank(&self) -> Vec<(u32, u32, Join)> {
        let mut pairs: Vec<_> =
            pairs_of(&self.buckets).map(|(key, join)| ((key >> 32) as u32, key as u32, join)).collect();
        pairs.sort_unstable_by_key(|(_, _, join)| join.rank);
        pairs
    }

    /// Whether every pair ranks behind the pairs that make its parts: then a word can be joined rank by rank, and a join
    /// never brings a pair of lower rank with it. All vocabularies that were trained are so.
    pub(crate) fn is_monotone(&self, vocab_size: usize) -> bool {
        let pairs = || pairs_of(&self.buckets);
        let mut made_by = vec![None; vocab_size];
        for (_, join) in pairs() {
            let made = &mut made_by[join.id as usize];
            *made = Some(join.rank).max(*made);
        }
        pairs().all(|(key, join)| {
            let parts = [(key >> 32) as usize, (key & 0xffff_ffff) as usize];
            parts.iter().all(|&part| made_by[part] < Some(join.rank))
        })
    }
}

fn pairs_of(buckets: &[Bucket]) -> impl Iterator<Item = (u64, Join)> {
    let places = buckets.iter().flat_map(|bucket| bucket.keys.iter().zip(&bucket.joins));
    places.filter(|(key, _)| **key != EMPTY).map(|(key, join)| (*key, *join))
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
