//! Token bytes by id and ids by token bytes.

use hashbrown::HashTable;

use crate::error::{Error, Result};
use crate::hash::hash_long;

/// Ids beyond this are taken for a mistake: the table by id would be larger than any vocabulary in use.
const MAX_ID: u32 = (1 << 24) - 1;
/// Marks an id without a token.
const ABSENT: u32 = u32::MAX;

/// A vocabulary: any ids, with or without gaps. No two tokens share an id, and none of the model's share their bytes.
#[derive(Debug, Clone, Default)]
pub struct Vocab {
    bytes: Vec<u8>,
    /// Start and length in `bytes` by id; the start of an absent id is `ABSENT`.
    spans: Vec<(u32, u32)>,
    ids: HashTable<u32>,
}

impl Vocab {
    /// Adds a token.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when the id or the bytes are taken already, or the id is out of all proportion.
    pub fn insert(&mut self, token: &[u8], id: u32) -> Result<()> {
        if let Some(other) = self.id(token) {
            return refuse(format!("ids {other} and {id} are both token {}", escape(token)));
        }
        self.store(token, id)?;
        let Vocab { bytes, spans, ids } = self;
        ids.insert_unique(hash_long(token), id, |&id| {
            let (start, len) = spans[id as usize];
            hash_long(&bytes[start as usize..(start + len) as usize])
        });
        Ok(())
    }

    /// Adds an added token, which may be spelt like a token of the model: [`Vocab::id`] keeps to that one.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when the id is taken already, or out of all proportion.
    pub fn insert_added(&mut self, token: &[u8], id: u32) -> Result<()> {
        match self.id(token) {
            None => self.insert(token, id),
            Some(same) if same == id => Ok(()),
            Some(_) => self.store(token, id),
        }
    }

    fn store(&mut self, token: &[u8], id: u32) -> Result<()> {
        if id > MAX_ID {
            return refuse(format!("id {id} of token {} is larger than {MAX_ID}", escape(token)));
        }
        if let Some(other) = self.token(id) {
            return refuse(format!("id {id} is both token {} and token {}", escape(other), escape(token)));
        }
        if self.spans.len() <= id as usize {
            self.spans.resize(id as usize + 1, (ABSENT, 0));
        }
        self.spans[id as usize] = (self.bytes.len() as u32, token.len() as u32);
        self.bytes.extend_from_slice(token);
        Ok(())
    }

    /// The bytes of the token with this id.
    #[inline]
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        match self.spans.get(id as usize) {
            Some(&(start, len)) if start != ABSENT => Some(&self.bytes[start as usize..(start + len) as usize]),
            _ => None,
        }
    }

    /// The id of the token with these bytes.
    pub fn id(&self, token: &[u8]) -> Option<u32> {
        self.ids.find(hash_long(token), |&id| self.token(id) == Some(token)).copied()
    }

    /// The highest id + 1.
    pub fn size(&self) -> usize {
        self.spans.len()
    }

    /// Tokens and ids, by id.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.spans.len() as u32).filter_map(|id| Some((id, self.token(id)?)))
    }
}

fn refuse<T>(message: String) -> Result<T> {
    Err(Error::Vocabulary { origin: "vocabulary".to_owned(), message })
}

/// Bytes as Python would write them, for messages.
pub(crate) fn escape(token: &[u8]) -> String {
    format!("b\"{}\"", token.escape_ascii())
}
