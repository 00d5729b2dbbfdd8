//! Counting pre-tokens: the first half of training, and a value of its own ([`WordCounts`]) that can be merged and stored.

pub mod table;

use std::path::Path;
use std::sync::Mutex;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::word_counts;
use crate::input::{InputOptions, Reader, Source};
use crate::parallel::{on_each_thread, thread_count};
use crate::pretokenize::{Cutter, Pattern, PreTokenizer, Visit};
use crate::special::{Piece, SpecialTokens};
use table::CountTable;

/// Texts in memory that a thread takes at once: enough that taking them costs nothing beside counting.
const TEXTS_AT_A_TIME: usize = 16;

/// How often each pre-token occurs, with the rules it was cut by. Counting shards apart and merging gives the counts of
/// the whole.
#[derive(Debug, Clone)]
pub struct WordCounts {
    rules: Rules,
    table: CountTable,
}

/// What makes words out of a text.
#[derive(Debug, Clone)]
struct Rules {
    pre_tokenizer: PreTokenizer,
    special: SpecialTokens,
}

struct Counter<'a> {
    table: &'a mut CountTable,
    control: &'a Control,
}

impl Visit for Counter<'_> {
    #[inline]
    fn visit(&mut self, text: &[u8], start: usize, end: usize) {
        self.table.increment(text, start, end);
    }

    fn check(&self) -> Result<()> {
        self.control.check()
    }
}

impl Rules {
    fn count(&self, text: &str, table: &mut CountTable, control: &Control) -> Result<()> {
        self.special.split(text, |piece| match piece {
            Piece::Text(text) => self.pre_tokenizer.for_each(text, &mut Counter { table, control }),
            Piece::Special(_) => Ok(()),
        })
    }
}

impl WordCounts {
    /// No words yet.
    ///
    /// # Errors
    /// [`Error::SpecialToken`] for empty or duplicate special tokens, [`Error::Pattern`] for a regex that does not compile.
    pub fn new(pattern: &Pattern, special_tokens: &[String]) -> Result<WordCounts> {
        let rules = Rules { pre_tokenizer: PreTokenizer::new(pattern)?, special: SpecialTokens::new(special_tokens)? };
        Ok(WordCounts { rules, table: CountTable::default() })
    }

    /// Words with given counts. Words that occur more than once add up; those with count 0 are left out.
    ///
    /// # Errors
    /// As [`WordCounts::new`], and [`Error::CountOverflow`].
    pub fn from_words(
        words: impl IntoIterator<Item = (Vec<u8>, u64)>,
        pattern: &Pattern,
        special_tokens: &[String],
    ) -> Result<WordCounts> {
        let mut counts = WordCounts::new(pattern, special_tokens)?;
        for (word, count) in words.into_iter().filter(|(word, count)| *count > 0 && !word.is_empty()) {
            counts.table.add(&word, count)?;
        }
        Ok(counts)
    }

    /// Counts files, on `threads` threads (all cores when `None`).
    ///
    /// # Errors
    /// As [`WordCounts::new`]; whatever reading gives ([`Error::Io`], [`Error::InvalidUtf8`], [`Error::JsonLine`],
    /// [`Error::Input`]); [`Error::PatternLimit`]; [`Error::Cancelled`].
    pub fn from_sources(
        sources: &[Source],
        options: &InputOptions,
        pattern: &Pattern,
        special_tokens: &[String],
        threads: Option<usize>,
        control: &Control,
    ) -> Result<WordCounts> {
        let mut counts = WordCounts::new(pattern, special_tokens)?;
        let cutter = Cutter::new(pattern, special_tokens);
        let last_cut = |text: &[u8]| cutter.last_cut(text);
        let reader = Mutex::new(Some(Reader::open(sources, options, &last_cut, control)?));
        let rules = &counts.rules;
        let tables = on_each_thread(thread_count(threads), || {
            let mut table = CountTable::default();
            let counted = count_blocks(&reader, options, rules, &mut table, control);
            if counted.is_err() {
                // Without a reader the other threads stop at their next block.
                *reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
            }
            counted.map(|()| table)
        })?;
        counts.absorb(tables)?;
        Ok(counts)
    }

    /// Counts one more text.
    ///
    /// # Errors
    /// [`Error::PatternLimit`].
    pub fn add_text(&mut self, text: &str) -> Result<()> {
        self.rules.count(text, &mut self.table, &Control::default())
    }

    /// Counts more texts, each a document of its own, on `threads` threads (all cores when `None`).
    ///
    /// # Errors
    /// [`Error::PatternLimit`], [`Error::Cancelled`]; the counts are then those before the call.
    pub fn add_texts(&mut self, texts: &[&str], threads: Option<usize>, control: &Control) -> Result<()> {
        let next = Mutex::new(texts.chunks(TEXTS_AT_A_TIME));
        let rules = &self.rules;
        let threads = thread_count(threads).min(texts.len().div_ceil(TEXTS_AT_A_TIME).max(1));
        let tables = on_each_thread(threads, || {
            let mut table = CountTable::default();
            loop {
                control.check()?;
                let taken = next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                let Some(texts) = taken else { return Ok(table) };
                texts.iter().try_for_each(|text| rules.count(text, &mut table, control))?;
            }
        })?;
        self.absorb(tables)
    }

    /// Adds the counts of `other`.
    ///
    /// # Errors
    /// [`Error::WordCountsMismatch`] when it was counted by another pattern or other special tokens;
    /// [`Error::CountOverflow`].
    pub fn merge(&mut self, other: &WordCounts) -> Result<()> {
        self.check_same("pattern", &self.pattern().name(), &other.pattern().name())?;
        self.check_same("special tokens", &self.special_tokens(), &other.special_tokens())?;
        self.table.merge(&other.table)
    }

    fn check_same<T: PartialEq + std::fmt::Debug>(&self, what: &str, left: &T, right: &T) -> Result<()> {
        if left == right {
            return Ok(());
        }
        Err(Error::WordCountsMismatch { what: what.to_owned(), left: format!("{left:?}"), right: format!("{right:?}") })
    }

    /// Number of distinct words.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of words counted, with repetitions. Larger than 64 bits can hold only if given counts were.
    pub fn total(&self) -> u128 {
        self.iter().map(|(_, count)| u128::from(count)).sum()
    }

    /// The words and their counts, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.table.iter()
    }

    /// Calls `visit` with each word and its count; in the same order each time, as long as the counts do not change.
    ///
    /// # Errors
    /// The first error of `visit`, which ends the walk.
    pub fn try_for_each(&self, mut visit: impl FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        self.iter().try_for_each(|(word, count)| visit(word, count))
    }

    /// The words and their counts, in the order of their bytes.
    pub fn sorted(&self) -> Vec<(&[u8], u64)> {
        let mut words: Vec<_> = self.iter().collect();
        words.sort_unstable();
        words
    }

    /// The pattern that cut the words.
    pub fn pattern(&self) -> &Pattern {
        self.rules.pre_tokenizer.pattern()
    }

    /// The special tokens that the texts were split at.
    pub fn special_tokens(&self) -> &[String] {
        self.rules.special.tokens()
    }

    /// Writes Parquet (columns `word`, `count`; pattern and special tokens in its metadata), atomically.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        word_counts::write(path, &self.sorted(), self.pattern().regex(), self.special_tokens())
    }

    /// Reads what [`WordCounts::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Input`].
    pub fn load(path: &Path) -> Result<WordCounts> {
        let (words, pattern, special_tokens) = word_counts::read(path)?;
        WordCounts::from_words(words, &Pattern::parse(&pattern), &special_tokens)
    }

    fn absorb(&mut self, mut tables: Vec<CountTable>) -> Result<()> {
        tables.push(std::mem::take(&mut self.table));
        // The largest is kept, the smaller ones are copied into it.
        tables.sort_by_key(CountTable::len);
        let mut all = tables.pop().unwrap_or_default();
        for table in &tables {
            all.merge(table)?;
        }
        self.table = all;
        Ok(())
    }
}

impl PartialEq for WordCounts {
    fn eq(&self, other: &WordCounts) -> bool {
        self.pattern() == other.pattern()
            && self.special_tokens() == other.special_tokens()
            && self.sorted() == other.sorted()
    }
}

/// Takes blocks from the reader until there are no more, one at a time so that memory stays bounded.
fn count_blocks(
    reader: &Mutex<Option<Reader<'_>>>,
    options: &InputOptions,
    rules: &Rules,
    table: &mut CountTable,
    control: &Control,
) -> Result<()> {
    loop {
        control.check()?;
        let block = {
            let mut reader = reader.lock().map_err(|_| Error::Cancelled)?;
            match reader.as_mut().map(Reader::next_block).transpose()?.flatten() {
                Some(block) => block,
                None => return Ok(()),
            }
        };
        for text in block.decode(options)?.iter() {
            rules.count(text, table, control)?;
        }
    }
}
