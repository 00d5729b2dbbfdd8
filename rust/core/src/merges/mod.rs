//! Which adjacent tokens join, to what, and in which order.

mod rows;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::definition::{Definition, Merges};
use crate::error::{Error, Result};
use crate::live;
use crate::memory::prefetch;
use crate::vocab::{Vocab, escape};
use rows::Rows;
pub(crate) use rows::{NOWHERE, Place};

/// The rank of a pair that does not join.
pub(crate) const NEVER: u32 = u32::MAX;

/// What a pair joins to. The lowest rank goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) rank: u32,
    pub(crate) id: u32,
}

const NO_JOIN: Join = Join { rank: NEVER, id: 0 };

/// Ids of tokens that join, and ranks, are below this: a rank and a place in a word fit a number of 32 bits.
pub(crate) const LIMIT: u32 = (1 << 21) - 1;
/// A key is a rank times this: below it is room for a place in a word.
pub(crate) const PLACES: u32 = 64;
/// From here on keys are of pairs that do not join.
pub(crate) const NO_KEY: u32 = LIMIT * PLACES;

/// A token that pairs are looked for with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) id: u32,
    /// Where the row of pairs begins that it is the left part of.
    row: u32,
}

/// What joins with nothing.
pub(crate) const NO_TOKEN: Token = Token { id: u32::MAX, row: 0 };

/// Pairs of token ids to their [`Join`], and pairs of bytes, with which every word begins.
#[derive(Debug, Clone)]
pub(crate) struct PairTable {
    rows: Rows,
    /// By rank: what the pair joins to.
    joined: Vec<Token>,
    /// By byte.
    byte_tokens: Box<[Token; 256]>,
    /// By the two bytes as a little-endian number: the key.
    byte_keys: Box<[u32; 1 << 16]>,
}

impl PairTable {
    /// The pairs of the definition's merges; `vocab` has its tokens, `byte_ids` are the ids of the 256 bytes.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when a merge's parts or result are not in the vocabulary, or a merge is listed twice.
    pub(crate) fn new(definition: &Definition, vocab: &Vocab, byte_ids: &[u32; 256]) -> Result<PairTable> {
        let mut pairs = Pairs::default();
        match &definition.merges {
            Merges::Listed(merges) => {
                for (rank, (left, right)) in merges.iter().enumerate() {
                    pairs.insert_listed(vocab, rank, left, right)?;
                }
            }
            // One pair a token instead of all its splits: the others never stand side by side, and a table of them all
            // would be three times the size.
            Merges::ByRank => {
                for (token, id, mid) in live::splits_by_rank(&definition.vocab) {
                    if let (Some(left), Some(right)) = (vocab.id(&token[..mid]), vocab.id(&token[mid..])) {
                        pairs.insert(left, right, Join { rank: id, id })?;
                    }
                }
            }
        }
        let rows = Rows::new(&pairs.listed);
        let token = |id| Token { id, row: rows.start(id) };
        let key = |two: [u8; 2]| {
            let [left, right] = two.map(|byte| byte_ids[usize::from(byte)]);
            rows.key_at(rows.place(rows.start(left), left, right))
        };
        let byte_keys = (0..=u16::MAX).map(|two| key(two.to_le_bytes())).collect::<Box<[u32]>>();
        Ok(PairTable {
            joined: pairs.joined.iter().map(|&id| token(id)).collect(),
            byte_tokens: Box::new(byte_ids.map(token)),
            byte_keys: byte_keys.try_into().unwrap_or_else(|_| unreachable!("there are 65,536 pairs of bytes")),
            rows,
        })
    }

    /// What the tokens join to; rank [`NEVER`] when they don't.
    #[inline(always)]
    pub(crate) fn find(&self, left: u32, right: u32) -> Join {
        match self.rows.key_at(self.rows.place(self.rows.start(left), left, right)) / PLACES {
            rank if rank < LIMIT => Join { rank, id: self.joined(rank).id },
            _ => NO_JOIN,
        }
    }

    /// The first of two steps of finding the key of a pair, for whoever has something else to do before the memory has
    /// come, which is asked for.
    #[inline(always)]
    pub(crate) fn ask(&self, left: Token, right: Token) -> Place {
        let place = self.rows.place(left.row, left.id, right.id);
        self.rows.prefetch(place);
        place
    }

    /// The second step.
    #[inline(always)]
    pub(crate) fn key_at(&self, place: Place) -> u32 {
        self.rows.key_at(place)
    }

    /// Asks for the memory of what the pair of that rank joins to.
    #[inline(always)]
    pub(crate) fn ask_joined(&self, rank: u32) {
        prefetch(&self.joined, rank as usize);
    }

    /// What the pair of that rank joins to.
    #[inline(always)]
    pub(crate) fn joined(&self, rank: u32) -> Token {
        self.joined[rank as usize]
    }

    /// The token of a byte.
    #[inline(always)]
    pub(crate) fn token_of_byte(&self, byte: u8) -> Token {
        self.byte_tokens[usize::from(byte)]
    }

    /// The key of a pair of bytes, which are the little-endian number `two`.
    #[inline(always)]
    pub(crate) fn key_of_bytes(&self, two: u16) -> u32 {
        self.byte_keys[usize::from(two)]
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
        self.rows.pairs().map(|(left, right, key)| {
            let rank = key / PLACES;
            (left, right, Join { rank, id: self.joined(rank).id })
        })
    }
}

/// Pairs being listed.
#[derive(Default)]
struct Pairs {
    ranks: FxHashMap<(u32, u32), u32>,
    /// Left, right and key of each.
    listed: Vec<(u32, u32, u32)>,
    /// By rank: the id of what the pair joins to.
    joined: Vec<u32>,
}

impl Pairs {
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
        if let Some(before) = self.ranks.get(&(left_id, right_id)) {
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
        self.ranks.insert((left, right), join.rank);
        self.listed.push((left, right, join.rank * PLACES));
        let rank = join.rank as usize;
        self.joined.resize(self.joined.len().max(rank + 1), 0);
        self.joined[rank] = join.id;
        Ok(())
    }
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
