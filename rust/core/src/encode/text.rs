//! One text to ids: added tokens, normalization, pre-tokens, words.

use std::sync::Mutex;

use super::added::Piece;
use super::cache::WordCache;
use super::gather::{BYTES_PER_ID, gather};
use super::selection::{Allowed, Selection};
use super::word::WordScratch;
use crate::control::Control;
use crate::error::Result;
use crate::parallel::thread_count;
use crate::pretokenize::Visit;
use crate::tokenizer::Tokenizer;

/// Slots of the cache for single texts (128 KiB): it is made with the tokenizer and kept.
const SMALL_CACHE: usize = 1 << 12;
/// Most slots of the cache of a thread that encodes much (64 MiB, and at most 96 MiB for what does not fit them).
const LARGE_CACHE: usize = 1 << 21;
/// Most of either kept by a tokenizer.
const KEPT: usize = 16;
/// Texts from this many bytes on are worth a large cache.
const LARGE_TEXT: usize = 1 << 18;
/// Bytes of a text that one thread encodes at a time.
const PART: usize = 1 << 20;

/// Working memory of one thread that encodes.
#[derive(Debug)]
pub(crate) struct Scratch {
    cache: WordCache,
    word: WordScratch,
}

impl Scratch {
    fn new(slots: usize) -> Scratch {
        Scratch { cache: WordCache::new(slots), word: WordScratch::default() }
    }
}

/// Scratch memory kept between calls: a text that comes after another one finds its words known.
///
/// It is only ever tried, never waited for: in a forked child the lock may be held for good by a thread that does not
/// exist there, and then fresh memory serves as well.
#[derive(Debug)]
pub(crate) struct ScratchPool {
    kept: Mutex<Vec<Scratch>>,
    slots: usize,
}

/// Working memory taken from a pool, and given back when dropped.
pub(crate) struct Lent<'a> {
    pool: &'a ScratchPool,
    scratch: Option<Scratch>,
}

impl ScratchPool {
    /// Memory for single texts.
    pub(crate) fn small() -> ScratchPool {
        ScratchPool { kept: Mutex::new(vec![Scratch::new(SMALL_CACHE)]), slots: SMALL_CACHE }
    }

    /// Memory for threads that encode much.
    pub(crate) fn large() -> ScratchPool {
        ScratchPool { kept: Mutex::default(), slots: LARGE_CACHE }
    }

    pub(crate) fn lend(&self) -> Lent<'_> {
        Lent { pool: self, scratch: self.kept.try_lock().ok().and_then(|mut kept| kept.pop()) }
    }
}

impl Lent<'_> {
    pub(crate) fn scratch(&mut self) -> &mut Scratch {
        self.scratch.get_or_insert_with(|| Scratch::new(self.pool.slots))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let (Some(scratch), Ok(mut kept)) = (self.scratch.take(), self.pool.kept.try_lock())
            && kept.len() < KEPT
        {
            kept.push(scratch);
        }
    }
}

struct Words<'a> {
    tokenizer: &'a Tokenizer,
    scratch: &'a mut Scratch,
    control: &'a Control,
    ids: &'a mut Vec<u32>,
}

impl Visit for Words<'_> {
    #[inline]
    fn visit(&mut self, text: &[u8], start: usize, ends: &[usize]) -> Result<()> {
        self.control.check()?;
        let Words { tokenizer, scratch: Scratch { cache, word }, ids, .. } = self;
        cache.encode(text, start, ends, ids, |text, words, ids, ends| {
            tokenizer.bpe().encode(tokenizer.vocab(), text, words, word, ids, ends);
        });
        Ok(())
    }
}

impl Words<'_> {
    /// Has `scan` visit pre-tokens of `text`.
    fn of<T>(mut self, text: &str, scan: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let scanned = scan(&mut self);
        let Words { tokenizer, scratch: Scratch { cache, word }, ids, .. } = self;
        if scanned.is_err() {
            cache.forget();
        }
        cache.settle(text.as_bytes(), ids, |text, words, ids, ends| {
            tokenizer.bpe().encode(tokenizer.vocab(), text, words, word, ids, ends);
        });
        scanned
    }
}

impl Tokenizer {
    /// The ids of `text`.
    ///
    /// # Errors
    /// [`crate::Error::SpecialToken`] for an allowed token that is none of the tokenizer's;
    /// [`crate::Error::PatternLimit`] under a custom regex.
    pub fn encode(&self, text: &str, allowed: &Allowed) -> Result<Vec<u32>> {
        let selection = self.select(allowed)?;
        let mut ids = Vec::with_capacity(text.len() / BYTES_PER_ID + 8);
        let mut lent = if text.len() < LARGE_TEXT { self.scratch().lend() } else { self.large_scratch().lend() };
        self.encode_into(text, &selection, lent.scratch(), &Control::default(), &mut ids)?;
        Ok(ids)
    }

    /// The number of ids of `text`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn count(&self, text: &str, allowed: &Allowed) -> Result<usize> {
        Ok(self.encode(text, allowed)?.len())
    }

    /// [`Tokenizer::encode`] on `threads` threads (all cores when `None`), which cut the text where that is safe.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], and [`crate::Error::Cancelled`].
    pub fn encode_parallel(
        &self,
        text: &str,
        allowed: &Allowed,
        threads: Option<usize>,
        control: &Control,
    ) -> Result<Vec<u32>> {
        let selection = self.select(allowed)?;
        let lend = || self.large_scratch().lend();
        let threads = thread_count(threads).min(text.len().div_ceil(PART)).max(1);
        let parts = if threads == 1 { vec![text] } else { selection.parts(text, PART) };
        let encode = |part: &&str, lent: &mut Lent<'_>, ids: &mut Vec<u32>| {
            self.encode_into(part, &selection, lent.scratch(), control, ids)
        };
        Ok(gather(&parts, threads, text.len(), lend, encode)?.0)
    }

    /// Appends the ids of `text` to `ids`.
    pub(crate) fn encode_into(
        &self,
        text: &str,
        selection: &Selection,
        scratch: &mut Scratch,
        control: &Control,
        ids: &mut Vec<u32>,
    ) -> Result<()> {
        selection.raw.split(text, |piece| match piece {
            Piece::Token(id, _) => {
                ids.push(id);
                Ok(())
            }
            Piece::Text(text, _) => {
                selection.normalized.split(&self.definition().normalizer.apply(text), |piece| match piece {
                    Piece::Token(id, _) => {
                        ids.push(id);
                        Ok(())
                    }
                    Piece::Text(text, _) => self.encode_ordinary_into(text, scratch, control, ids),
                })
            }
        })
    }

    /// Appends the ids of `text`, a text without added tokens, to `ids`.
    pub(crate) fn encode_ordinary_into(
        &self,
        text: &str,
        scratch: &mut Scratch,
        control: &Control,
        ids: &mut Vec<u32>,
    ) -> Result<()> {
        let words = Words { tokenizer: self, scratch, control, ids };
        words.of(text, |words| self.pre_tokenizer().for_each(text, words))
    }

    /// Appends the ids of the beginning of `text` that what follows cannot change; returns where the rest begins.
    pub(crate) fn encode_decided_into(
        &self,
        text: &str,
        scratch: &mut Scratch,
        control: &Control,
        ids: &mut Vec<u32>,
    ) -> Result<usize> {
        let words = Words { tokenizer: self, scratch, control, ids };
        words.of(text, |words| self.pre_tokenizer().for_each_decided(text, words))
    }
}

impl Selection {
    /// `text` in parts of about `size` bytes whose ids are, end to end, those of the whole.
    fn parts<'t>(&self, mut text: &'t str, size: usize) -> Vec<&'t str> {
        let mut parts = Vec::new();
        let mut window = size;
        while window < text.len() {
            match self.cutter.last_cut(&text.as_bytes()[..window]) {
                Some(cut) => {
                    parts.push(&text[..cut]);
                    text = &text[cut..];
                    window = size;
                }
                None => window *= 2,
            }
        }
        parts.push(text);
        parts
    }
}
