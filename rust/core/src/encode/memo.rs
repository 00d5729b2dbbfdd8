//! Ids by bytes of any length, in bounded memory.

use hashbrown::HashTable;

use crate::hash::hash_long;

/// Words to ids, emptied when full.
#[derive(Debug)]
pub(crate) struct Memo {
    table: HashTable<Entry>,
    words: Vec<u8>,
    ids: Vec<u32>,
    /// Most bytes in `words`.
    capacity: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    word: (u32, u32),
    ids: (u32, u32),
}

impl Memo {
    /// Keeps up to `capacity` bytes, and never more than it takes to hold the longest that it is asked for.
    pub(crate) fn new(capacity: usize) -> Memo {
        Memo { table: HashTable::new(), words: Vec::new(), ids: Vec::new(), capacity }
    }

    /// Appends the ids of `word` to `ids`, as they are kept or as `encode` finds them.
    pub(crate) fn encode(&mut self, word: &[u8], ids: &mut Vec<u32>, encode: impl FnOnce(&[u8], &mut Vec<u32>)) {
        let hash = hash_long(word);
        let Memo { table, words, ids: kept, capacity } = self;
        let found = table.find(hash, |entry| {
            let (start, len) = entry.word;
            entry.hash == hash && &words[start as usize..(start + len) as usize] == word
        });
        if let Some(entry) = found {
            let (start, len) = entry.ids;
            ids.extend_from_slice(&kept[start as usize..(start + len) as usize]);
            return;
        }
        if words.len() + word.len() > *capacity {
            table.clear();
            words.clear();
            kept.clear();
        }
        let first = ids.len();
        encode(word, ids);
        let entry = Entry {
            hash,
            word: (words.len() as u32, word.len() as u32),
            ids: (kept.len() as u32, (ids.len() - first) as u32),
        };
        words.extend_from_slice(word);
        kept.extend_from_slice(&ids[first..]);
        table.insert_unique(hash, entry, |entry| entry.hash);
    }
}
