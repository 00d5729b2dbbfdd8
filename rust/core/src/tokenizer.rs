//! The tokenizer: a [`Definition`] made ready for encoding and decoding.

use std::borrow::Cow;

use crate::definition::{AddedToken, Definition, Merges};
use crate::encode::{Allowed, Bpe, Id, Recycled, ScratchPool, Selection};
use crate::error::{Error, Result};
use crate::live;
use crate::merges::{PairTable, leave_to_added};
use crate::pretokenize::{Cutter, PreTokenizer, Seams};
use crate::vocab::{Vocab, escape};

/// A byte-level BPE tokenizer. It never changes, and can be shared between threads and across a fork.
#[derive(Debug)]
pub struct Tokenizer {
    definition: Definition,
    vocab: Vocab,
    bpe: Bpe,
    pre_tokenizer: PreTokenizer,
    all: Selection,
    none: Selection,
    scratch: ScratchPool,
    large_scratch: ScratchPool,
    recycled: Recycled,
}

impl Tokenizer {
    /// # Errors
    /// [`Error::Vocabulary`] when a byte is missing, an id or a token stands twice, or a merge does not fit the
    /// vocabulary; [`Error::SpecialToken`] for an empty or duplicate added token; [`Error::Pattern`] for a regex that
    /// does not compile.
    pub fn new(mut definition: Definition) -> Result<Tokenizer> {
        definition.vocab.sort_unstable_by_key(|(_, id)| *id);
        definition.added_tokens.sort_by_key(|token| token.id);
        leave_to_added(&mut definition);
        let contents: Vec<String> = definition.added_tokens.iter().map(|token| token.content.clone()).collect();
        crate::special::check(&contents)?;
        let mut vocab = Vocab::default();
        for (token, id) in &definition.vocab {
            vocab.insert(token, *id)?;
        }
        let byte_ids = byte_ids(&vocab)?;
        let pairs = PairTable::new(&definition, &vocab, &byte_ids)?;
        let bpe = Bpe::new(&vocab, &byte_ids, pairs, definition.whole_words);
        let mut pre_tokenizer = PreTokenizer::new(&definition.pattern)?;
        if bpe.joins_all_words() {
            pre_tokenizer = pre_tokenizer.with_seams(Seams::between(vocab.iter().map(|(_, token)| token)));
        }
        for AddedToken { content, id, .. } in &definition.added_tokens {
            vocab.insert_added(content.as_bytes(), *id)?;
        }
        Ok(Tokenizer {
            bpe,
            pre_tokenizer,
            all: Selection::new(&definition, &Allowed::All)?,
            none: Selection::new(&definition, &Allowed::None)?,
            scratch: ScratchPool::small(vocab.size()),
            large_scratch: ScratchPool::large(vocab.size()),
            recycled: Recycled::default(),
            definition,
            vocab,
        })
    }

    /// The tokenizer as data.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The highest id + 1.
    pub fn vocab_size(&self) -> usize {
        self.vocab.size()
    }

    /// The bytes of a token.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.vocab.token(id)
    }

    /// The id of a token.
    pub fn token_id(&self, token: &[u8]) -> Option<u32> {
        self.vocab.id(token)
    }

    /// Ids and tokens, added ones included, by id.
    pub fn tokens(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.vocab.iter()
    }

    /// Whether the id is a special token's.
    pub fn is_special(&self, id: u32) -> bool {
        let added = &self.definition.added_tokens;
        added.binary_search_by_key(&id, |token| token.id).is_ok_and(|at| added[at].special)
    }

    /// The merges in order of rank. Of a vocabulary that has only ranks: for each token the two tokens that it is joined
    /// from last; a token that its own bytes do not join to has none.
    pub fn merges(&self) -> Cow<'_, [(Vec<u8>, Vec<u8>)]> {
        match &self.definition.merges {
            Merges::Listed(merges) => Cow::Borrowed(merges),
            Merges::ByRank => Cow::Owned(live::by_rank(&self.definition.vocab)),
        }
    }

    /// The tokenizer as a training that had stopped at `vocab_size` would have given it: fewer merges, and the added
    /// tokens right behind.
    ///
    /// # Errors
    /// [`Error::Argument`] when `vocab_size` is larger than the vocabulary, or ids are not bytes, merges in order, and
    /// added tokens behind; [`Error::VocabSize`] when it leaves no room for bytes and added tokens.
    pub fn truncate(&self, vocab_size: usize) -> Result<Definition> {
        let added = self.definition.added_tokens.len();
        let (smallest, size) = (256 + added, self.vocab_size());
        if vocab_size < smallest {
            return Err(Error::VocabSize { vocab_size, special_tokens: added });
        }
        if vocab_size > size {
            return Err(Error::Argument(format!("cannot truncate a vocabulary of {size} to {vocab_size}")));
        }
        let kept = vocab_size - smallest;
        let mut definition = self.definition.clone();
        let base = (size - added) as u32;
        let is_model = |id: u32| id < base;
        let made_in_order = match &definition.merges {
            Merges::Listed(merges) => {
                let joined = merges.iter().map(|(left, right)| self.vocab.id(&[left.as_slice(), right].concat()));
                joined.eq((256..base).map(Some))
            }
            Merges::ByRank => true,
        };
        let bytes_first = (0..256).all(|id| self.vocab.token(id).is_some_and(|token| token.len() == 1));
        let added_last = definition.added_tokens.iter().map(|token| token.id).eq(base..size as u32);
        let no_gaps = (0..base).all(|id| self.vocab.token(id).is_some());
        if !(made_in_order && bytes_first && added_last && no_gaps) {
            return Err(Error::Argument(
                "cannot truncate a vocabulary whose ids are not the bytes, then the merges in order, then the special \
                 tokens"
                    .to_owned(),
            ));
        }
        definition.vocab.retain(|&(_, id)| is_model(id) && (id as usize) < 256 + kept);
        if let Merges::Listed(merges) = &mut definition.merges {
            merges.truncate(kept);
        }
        for (token, id) in definition.added_tokens.iter_mut().zip(256 + kept as u32..) {
            token.id = id;
        }
        Ok(definition)
    }

    /// Where texts can be cut that are encoded under `allowed`.
    ///
    /// # Errors
    /// [`Error::SpecialToken`] for an allowed token that is none of the tokenizer's.
    pub fn cutter(&self, allowed: &Allowed) -> Result<Cutter> {
        Ok(self.select(allowed)?.cutter.clone())
    }

    /// The added tokens to recognise under `allowed`.
    pub(crate) fn select(&self, allowed: &Allowed) -> Result<Cow<'_, Selection>> {
        match allowed {
            Allowed::All => Ok(Cow::Borrowed(&self.all)),
            Allowed::None => Ok(Cow::Borrowed(&self.none)),
            Allowed::Only(_) => Selection::new(&self.definition, allowed).map(Cow::Owned),
        }
    }

    pub(crate) fn vocab(&self) -> &Vocab {
        &self.vocab
    }

    pub(crate) fn bpe(&self) -> &Bpe {
        &self.bpe
    }

    pub(crate) fn pre_tokenizer(&self) -> &PreTokenizer {
        &self.pre_tokenizer
    }

    /// Takes ids that are not needed any more: a later call may write its own to their memory, which is faster than to new
    /// memory. At most 256 MiB are kept.
    pub fn recycle<I: Id>(&self, ids: Vec<I>) {
        self.recycled.give(ids);
    }

    pub(crate) fn recycled(&self) -> &Recycled {
        &self.recycled
    }

    /// For single texts.
    pub(crate) fn scratch(&self) -> &ScratchPool {
        &self.scratch
    }

    /// For threads that encode much.
    pub(crate) fn large_scratch(&self) -> &ScratchPool {
        &self.large_scratch
    }
}

/// The ids of the bytes. The thirteen that UTF-8 never uses may be missing (GPT-NeoX was trained without them): text
/// cannot ask for them.
fn byte_ids(vocab: &Vocab) -> Result<[u32; 256]> {
    let mut ids = [u32::MAX; 256];
    let mut missing = Vec::new();
    for byte in 0..=u8::MAX {
        match vocab.id(&[byte]) {
            Some(id) => ids[usize::from(byte)] = id,
            None if matches!(byte, 0xc0 | 0xc1 | 0xf5..) => {}
            None => missing.push(byte),
        }
    }
    let Some(&first) = missing.first() else { return Ok(ids) };
    Err(Error::Vocabulary {
        origin: "vocabulary".to_owned(),
        message: format!(
            "{} of the 256 bytes are no tokens (the first is {}); a byte-level tokenizer needs them all",
            missing.len(),
            escape(&[first])
        ),
    })
}
