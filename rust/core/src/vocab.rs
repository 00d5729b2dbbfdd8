//! Token bytes by id and ids by token bytes.

use hashbrown::HashTable;

use crate::error::{Error, Result};
use crate::hash::hash_long;
use crate::memory::reserve;

/// Ids beyond this are taken for a mistake: the table by id would be larger than any vocabulary in use.
const MAX_ID: u32 = (1 << 24) - 1;
/// Ids that are decoded at a time: their room stays in the first-level cache.
const CHUNK: usize = 1 << 10;

/// A token's bytes followed by their number, so that one access gives both and one store of fixed size writes them.
/// Longer tokens stand in `Vocab::long`, and their start and length here.
#[derive(Debug, Clone, Copy)]
#[repr(align(16))]
struct Entry([u8; ENTRY]);

const ENTRY: usize = 16;
/// The longest token that is in its entry.
const INLINE: usize = ENTRY - 1;
/// In place of the length.
const LONG: u8 = 0xfe;
const ABSENT: u8 = 0xff;

impl Entry {
    fn len_or_mark(&self) -> u8 {
        self.0[INLINE]
    }
}

/// A vocabulary: any ids, with or without gaps. No two tokens share an id, and none of the model's share their bytes.
#[derive(Debug, Clone, Default)]
pub struct Vocab {
    /// By id.
    entries: Vec<Entry>,
    /// The bytes of long tokens.
    long: Vec<u8>,
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
        let Vocab { entries, long, ids } = self;
        ids.insert_unique(hash_long(token), id, |&id| hash_long(bytes_of(&entries[id as usize], long)));
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
        let mut entry = Entry([0; ENTRY]);
        if token.len() <= INLINE {
            entry.0[..token.len()].copy_from_slice(token);
            entry.0[INLINE] = token.len() as u8;
        } else {
            entry.0[..4].copy_from_slice(&(self.long.len() as u32).to_ne_bytes());
            entry.0[4..8].copy_from_slice(&(token.len() as u32).to_ne_bytes());
            entry.0[INLINE] = LONG;
            self.long.extend_from_slice(token);
        }
        if self.entries.len() <= id as usize {
            self.entries.resize(id as usize + 1, Entry([ABSENT; ENTRY]));
        }
        self.entries[id as usize] = entry;
        Ok(())
    }

    /// The bytes of the token with this id.
    #[inline]
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        self.entries
            .get(id as usize)
            .filter(|entry| entry.len_or_mark() != ABSENT)
            .map(|entry| bytes_of(entry, &self.long))
    }

    /// Appends the bytes of tokens to `out`.
    ///
    /// # Errors
    /// The position of the first id that no token has; `out` is then of no use.
    pub fn append(&self, ids: &[u32], out: &mut Vec<u8>) -> std::result::Result<(), usize> {
        for (chunk, ids) in ids.chunks(CHUNK).enumerate() {
            // Room for whole entries: each is stored with all its 16 bytes, the surplus under the next one.
            reserve(out, ids.len() * ENTRY);
            let mut end = out.len();
            for (index, &id) in ids.iter().enumerate() {
                let entry = self.entries.get(id as usize).unwrap_or(&Entry([ABSENT; ENTRY]));
                let length = usize::from(entry.len_or_mark());
                if length <= INLINE {
                    // SAFETY: each of the ids before took at most `ENTRY` bytes of the room, or what was made for it.
                    unsafe { out.as_mut_ptr().add(end).cast::<[u8; ENTRY]>().write(entry.0) };
                    end += length;
                    continue;
                }
                // SAFETY: so many bytes have been written.
                unsafe { out.set_len(end) };
                if entry.len_or_mark() != LONG {
                    return Err(chunk * CHUNK + index);
                }
                out.extend_from_slice(bytes_of(entry, &self.long));
                reserve(out, (ids.len() - index) * ENTRY);
                end = out.len();
            }
            // SAFETY: as above.
            unsafe { out.set_len(end) };
        }
        Ok(())
    }

    /// The id of the token with these bytes.
    pub fn id(&self, token: &[u8]) -> Option<u32> {
        self.ids.find(hash_long(token), |&id| self.token(id) == Some(token)).copied()
    }

    /// The highest id + 1.
    pub fn size(&self) -> usize {
        self.entries.len()
    }

    /// Tokens and ids, by id.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.entries.len() as u32).filter_map(|id| Some((id, self.token(id)?)))
    }
}

/// The bytes of an entry that is not absent.
#[inline]
fn bytes_of<'a>(entry: &'a Entry, long: &'a [u8]) -> &'a [u8] {
    if entry.len_or_mark() != LONG {
        return &entry.0[..usize::from(entry.len_or_mark())];
    }
    let number =
        |at: usize| u32::from_ne_bytes([entry.0[at], entry.0[at + 1], entry.0[at + 2], entry.0[at + 3]]) as usize;
    &long[number(0)..number(0) + number(4)]
}

fn refuse<T>(message: String) -> Result<T> {
    Err(Error::Vocabulary { origin: "vocabulary".to_owned(), message })
}

/// Bytes as Python would write them, for messages.
pub(crate) fn escape(token: &[u8]) -> String {
    format!("b\"{}\"", token.escape_ascii())
}
