//! One text to ids: added tokens, normalization, pre-tokens, words.

use std::sync::Mutex;

use super::added::Piece;
use super::cache::WordCache;
use super::selection::{Allowed, Selection};
use super::word::WordScratch;
use crate::control::Control;
use crate::error::Result;
use crate::parallel::{map_in_order, thread_count};
use crate::pretokenize::Visit;
use crate::tokenizer::Tokenizer;

/// Slots of the cache for single texts (128 KiB): it is made with the tokenizer and kept.
const SMALL_CACHE: usize = 1 << 12;
/// Slots of the cache of a thread that encodes much (2 MiB).
const LARGE_CACHE: usize = 1 << 16;
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
    pub(crate) fn small() -> Scratch {
        Scratch { cache: WordCache::new(SMALL_CACHE), word: WordScratch::default() }
    }

    pub(crate) fn large() -> Scratch {
        Scratch { cache: WordCache::new(LARGE_CACHE), word: WordScratch::default() }
    }
}

/// Scratch memory kept between calls.
///
/// It is only ever tried, never waited for: in a forked child the lock may be held for good by a thread that does not
/// exist there, and then fresh memory serves as well.
#[derive(Debug)]
pub(crate) struct ScratchPool(Mutex<Vec<Scratch>>);

impl ScratchPool {
    pub(crate) fn new() -> ScratchPool {
        ScratchPool(Mutex::new(vec![Scratch::small()]))
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let kept = self.0.try_lock().ok().and_then(|mut pool| pool.pop());
        let mut scratch = kept.unwrap_or_else(Scratch::small);
        let result = work(&mut scratch);
        if let Ok(mut pool) = self.0.try_lock() {
            pool.push(scratch);
        }
        result
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
    fn visit(&mut self, text: &[u8], mut start: usize, ends: &[usize]) -> Result<()> {
        self.control.check()?;
        let Words { tokenizer, scratch: Scratch { cache, word }, ids, .. } = self;
        for &end in ends {
            cache.encode(text, start, end, ids, |bytes, ids| {
                tokenizer.bpe().encode(tokenizer.vocab(), bytes, word, ids)
            });
            start = end;
        }
        Ok(())
    }
}

impl Tokenizer {
    /// The ids of `text`.
    ///
    /// # Errors
    /// [`crate::Error::SpecialToken`] for an allowed token that is none of the tokenizer's;
    /// [`crate::Error::PatternLimit`] under a custom regex.
    pub fn encode(&self, text: &str, allowed: &Allowed) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        let selection = self.select(allowed)?;
        let control = Control::default();
        let mut encode = |scratch: &mut Scratch| self.encode_into(text, &selection, scratch, &control, &mut ids);
        if text.len() < LARGE_TEXT {
            self.scratch().with(encode)?
        } else {
            encode(&mut Scratch::large())?
        }
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
        let parts = selection.parts(text, PART);
        let threads = thread_count(threads).min(parts.len().max(1));
        let encoded = map_in_order(&parts, threads, Scratch::large, |part, scratch| {
            let mut ids = Vec::new();
            self.encode_into(part, &selection, scratch, control, &mut ids)?;
            Ok(ids)
        })?;
        Ok(encoded.concat())
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
        self.pre_tokenizer().for_each(text, &mut Words { tokenizer: self, scratch, control, ids })
    }

    /// Appends the ids of the beginning of `text` that what follows cannot change; returns where the rest begins.
    pub(crate) fn encode_decided_into(
        &self,
        text: &str,
        scratch: &mut Scratch,
        control: &Control,
        ids: &mut Vec<u32>,
    ) -> Result<usize> {
        self.pre_tokenizer().for_each_decided(text, &mut Words { tokenizer: self, scratch, control, ids })
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
