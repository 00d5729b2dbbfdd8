//! Counting pre-tokens: the first half of training, and a value of its own ([`WordCounts`]) that can be merged and stored.
//!
//! Within a bound (`max_memory`) each thread has a table of fixed size; when it is full, its words go to disk as a sorted
//! run. In the end the runs are merged, and the words stay on disk.

mod counting;
mod key;
mod merging;
mod part;
mod run;
mod spill;
mod store;
pub mod table;
mod temporary;

use std::path::Path;
use std::sync::Mutex;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::format::word_counts;
use crate::input::{InputOptions, Reader, Source};
use crate::parallel::{on_each_thread, thread_count};
use crate::pretokenize::{Cutter, Pattern, PreTokenizer};
use crate::special::SpecialTokens;
pub use part::Part;
pub use spill::MINIMUM_FOR_A_THREAD;
use spill::{Bound, Tally};
use store::Store;
use table::CountTable;

/// Texts in memory that a thread takes at once: enough that taking them costs nothing beside counting.
const TEXTS_AT_A_TIME: usize = 16;

/// How often each pre-token occurs, with the rules it was cut by. Counting shards apart and merging gives the counts of
/// the whole.
#[derive(Debug, Clone)]
pub struct WordCounts {
    rules: Rules,
    store: Store,
}

/// What [`WordCounts::at_least`] left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Distinct words.
    pub words: u64,
    /// Their occurrences.
    pub occurrences: u128,
}

/// What counting may use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Threads; all cores when `None`. Fewer are used where the memory is too little for so many.
    pub threads: Option<usize>,
    /// Bytes of memory for counting, at least [`MINIMUM_FOR_A_THREAD`]; as much as it takes when `None`. On top of it
    /// come a word that is larger than a part of it, text that cannot be cut (under a custom regex), and what the formats
    /// themselves ask for: the window of a compressed file, the pages of a Parquet file.
    pub max_memory: Option<u64>,
}

/// What makes words out of a text.
#[derive(Debug, Clone)]
struct Rules {
    pre_tokenizer: PreTokenizer,
    special: SpecialTokens,
}

impl WordCounts {
    /// No words yet.
    ///
    /// # Errors
    /// [`Error::SpecialToken`] for empty or duplicate special tokens, [`Error::Pattern`] for a regex that does not compile.
    pub fn new(pattern: &Pattern, special_tokens: &[String]) -> Result<WordCounts> {
        let rules = Rules { pre_tokenizer: PreTokenizer::new(pattern)?, special: SpecialTokens::new(special_tokens)? };
        Ok(WordCounts { rules, store: Store::Table(CountTable::default()) })
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
        let mut table = CountTable::default();
        for (word, count) in words.into_iter().filter(|(word, count)| *count > 0 && !word.is_empty()) {
            table.add(&word, count)?;
        }
        counts.store = Store::Table(table);
        Ok(counts)
    }

    /// Counts files within limits. The counts do not depend on them.
    ///
    /// # Errors
    /// As [`WordCounts::new`]; whatever reading gives ([`Error::Io`], [`Error::InvalidUtf8`], [`Error::JsonLine`],
    /// [`Error::Input`]); [`Error::PatternLimit`]; [`Error::Argument`] when the memory is too little for a thread;
    /// [`Error::Spill`] when the disk takes no more; [`Error::Cancelled`].
    pub fn from_sources(
        sources: &[Source],
        options: &InputOptions,
        pattern: &Pattern,
        special_tokens: &[String],
        limits: Limits,
        control: &Control,
    ) -> Result<WordCounts> {
        let mut counts = WordCounts::new(pattern, special_tokens)?;
        let mut threads = thread_count(limits.threads);
        let bound = limits.max_memory.map(|bytes| Bound::new(bytes, threads)).transpose()?;
        let cutter = Cutter::new(pattern, special_tokens);
        let last_cut = |text: &[u8]| cutter.last_cut(text);
        let mut reader = Reader::open(sources, options, &last_cut, control)?;
        if let Some(bound) = bound {
            threads = bound.threads;
            reader = reader.with_block_bytes(bound.block);
        }
        counts.store = counting::count_all(reader, options, &counts.rules, threads, bound, control)?;
        Ok(counts)
    }

    /// Counts one more text.
    ///
    /// # Errors
    /// [`Error::PatternLimit`]; the counts are then those before the call.
    pub fn add_text(&mut self, text: &str) -> Result<()> {
        self.add_texts(&[text], Some(1), &Control::default())
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
            let mut tally = Tally::new(None);
            loop {
                control.check()?;
                let taken = next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                let Some(texts) = taken else { return Ok(tally.table) };
                texts.iter().try_for_each(|text| rules.count(text, &mut tally, control))?;
            }
        })?;
        self.store.absorb(tables)
    }

    /// Adds the counts of `other`.
    ///
    /// # Errors
    /// [`Error::WordCountsMismatch`] when it was counted by another pattern or other special tokens;
    /// [`Error::CountOverflow`].
    pub fn merge(&mut self, other: &WordCounts) -> Result<()> {
        self.check_same("pattern", &self.pattern().name(), &other.pattern().name())?;
        self.check_same("special tokens", &self.special_tokens(), &other.special_tokens())?;
        self.store.add(&other.store)
    }

    /// The words that occur at least `count` times, and what that leaves out.
    ///
    /// # Errors
    /// [`Error::Spill`] when the words are on disk and cannot be read, or written again.
    pub fn at_least(&self, count: u64) -> Result<(WordCounts, LeftOut)> {
        let (store, left_out) = self.store.at_least(count)?;
        Ok((WordCounts { rules: self.rules.clone(), store }, left_out))
    }

    /// The words in `parts` parts by their hash, the same for the same words on every machine: the counts of a word that was
    /// counted in several places come together in one part.
    ///
    /// # Errors
    /// [`Error::Spill`] when the words are on disk and cannot be read.
    pub fn parts(&self, parts: usize) -> Result<Vec<Part<'static>>> {
        part::split(&self.store, parts)
    }

    /// Adds the counts of a part, [`Part::of`] which it is.
    ///
    /// # Errors
    /// [`Error::CountOverflow`]; some of its counts may then have been added.
    pub fn add_part(&mut self, part: &Part<'_>) -> Result<()> {
        if let Store::Table(table) = &mut self.store {
            return part.add_to(table);
        }
        let mut table = CountTable::default();
        part.add_to(&mut table)?;
        self.store.add(&Store::Table(table))
    }

    fn check_same<T: PartialEq + std::fmt::Debug>(&self, what: &str, left: &T, right: &T) -> Result<()> {
        if left == right {
            return Ok(());
        }
        Err(Error::WordCountsMismatch { what: what.to_owned(), left: format!("{left:?}"), right: format!("{right:?}") })
    }

    /// Number of distinct words.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of words counted, with repetitions. Larger than 64 bits can hold only if given counts were.
    pub fn total(&self) -> u128 {
        self.store.total()
    }

    /// Calls `visit` with each word and its count, in the same order at each call.
    ///
    /// # Errors
    /// What `visit` returns; [`Error::Spill`] when the words are on disk and cannot be read.
    pub fn try_for_each(&self, visit: impl FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        self.store.try_for_each(visit)
    }

    /// Calls `visit` with each word and its count, in the order of the words' bytes.
    ///
    /// # Errors
    /// As [`WordCounts::try_for_each`].
    pub fn try_for_each_sorted(&self, visit: impl FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        self.store.try_for_each_sorted(visit)
    }

    /// A copy of the words and their counts, in the order of the words' bytes.
    ///
    /// # Errors
    /// [`Error::Spill`] when the words are on disk and cannot be read.
    pub fn sorted(&self) -> Result<Vec<(Vec<u8>, u64)>> {
        let mut words = Vec::with_capacity(self.len());
        self.try_for_each_sorted(|word, count| {
            words.push((word.to_vec(), count));
            Ok(())
        })?;
        Ok(words)
    }

    /// Whether the counts and what they were made under are the same.
    ///
    /// # Errors
    /// [`Error::Spill`] when words are on disk and cannot be read.
    pub fn is_same(&self, other: &WordCounts) -> Result<bool> {
        let rules_are_same = self.pattern() == other.pattern() && self.special_tokens() == other.special_tokens();
        Ok(rules_are_same && self.store.is_same(&other.store)?)
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
    /// [`Error::Io`]; [`Error::Spill`] when the words are on disk and cannot be read.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut writer = word_counts::Writer::create(path, self.pattern().regex(), self.special_tokens())?;
        self.try_for_each_sorted(|word, count| writer.push(word, count))?;
        writer.finish()
    }

    /// Reads what [`WordCounts::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Input`].
    pub fn load(path: &Path) -> Result<WordCounts> {
        let (words, pattern, special_tokens) = word_counts::read(path)?;
        WordCounts::from_words(words, &Pattern::parse(&pattern), &special_tokens)
    }
}

/// Counts that cannot be read equal none.
impl PartialEq for WordCounts {
    fn eq(&self, other: &WordCounts) -> bool {
        self.is_same(other).unwrap_or(false)
    }
}
