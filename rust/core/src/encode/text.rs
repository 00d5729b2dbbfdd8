//! One text to ids: added tokens, normalization, pre-tokens, words.

use std::ops::Range;
use std::sync::Mutex;

use super::added::Piece;
use super::cache::WordCache;
use super::front::Front;
use super::gather::gather;
use super::id::Id;
use super::pending::Pending;
use super::selection::{Allowed, Selection};
use super::value::Packing;
use super::word::WordScratch;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::input::MaybeUtf8;
use crate::memory::Pages;
use crate::parallel::thread_count;
use crate::pretokenize::Visit;
use crate::tokenizer::Tokenizer;

/// Slots of each of the two tables for single texts (128 and 32 KiB): they are made with the tokenizer and kept.
const SMALL_CACHE: usize = 1 << 12;
/// Most slots of either table of a thread that encodes much (64 and 16 MiB, and at most 96 MiB for what does not fit them).
/// (Tried: one table, with all words of a text in it, for two threads. It takes them as long to read as a table each.)
const LARGE_CACHE: usize = 1 << 21;
/// Most of either kept by a tokenizer.
const KEPT: usize = 16;
/// In so many bytes of a long text there is one word that was not there before. (Of an English one; in others there are
/// more, and the table grows.)
const BYTES_PER_WORD: usize = 320;
/// Large pages in place of small ones pay in so many bytes of text for each byte of the table: they take 0.5 ns for each of
/// these where memory is at hand, and save 0.15 ns in each of a text.
const SERVED_A_BYTE: usize = 3;
/// Where it is not they take 2 ns.
const SERVED_A_BYTE_IF_SLOW: usize = 12;
/// Texts from this many bytes on are worth a large cache.
const LARGE_TEXT: usize = 1 << 18;
/// Bytes of a text that one thread encodes at a time: few enough that they stay near while they are checked to be UTF-8,
/// searched for added tokens, and cut.
const PART: usize = 1 << 18;

/// Room is made for an id in so many bytes of text: about what English has.
const BYTES_PER_ID: usize = 4;

/// Working memory of one thread that encodes.
#[derive(Debug)]
pub(crate) struct Scratch {
    front: Front,
    cache: WordCache,
    word: WordScratch,
    pending: Pending,
    /// How many bytes of text it has served.
    served: usize,
}

impl Scratch {
    /// Memory for a text of about `bytes` bytes.
    fn new(packing: Packing, slots: usize, bytes: usize) -> Scratch {
        Scratch {
            front: Front::new(packing, slots, bytes / BYTES_PER_WORD),
            cache: WordCache::new(packing, slots),
            word: WordScratch::default(),
            pending: Pending::default(),
            served: bytes,
        }
    }

    /// To be called before it serves again, for `bytes` bytes of text.
    fn serve(&mut self, bytes: usize) {
        let in_small_pages = self.front.bytes_in_small_pages();
        if in_small_pages > 0 && self.served / SERVED_A_BYTE >= in_small_pages {
            self.front.collapse(self.served / SERVED_A_BYTE_IF_SLOW >= in_small_pages);
        }
        self.served += bytes;
    }
}

/// Scratch memory kept between calls: a text that comes after another one finds its words known.
///
/// It is only ever tried, never waited for: in a forked child the lock may be held for good by a thread that does not
/// exist there, and then fresh memory serves as well.
#[derive(Debug)]
pub(crate) struct ScratchPool {
    /// In boxes: there are kilobytes of it to move, which takes as long as to encode a short text.
    kept: Mutex<Vec<Box<Scratch>>>,
    packing: Packing,
    slots: usize,
}

/// Working memory taken from a pool, and given back when dropped.
pub(crate) struct Lent<'a> {
    pool: &'a ScratchPool,
    scratch: Option<Box<Scratch>>,
    /// How much text there is.
    bytes: usize,
}

impl ScratchPool {
    /// Memory for single texts, by a vocabulary of `vocab_size` ids.
    pub(crate) fn small(vocab_size: usize) -> ScratchPool {
        let packing = Packing::of(vocab_size);
        let first = Box::new(Scratch::new(packing, SMALL_CACHE, 0));
        ScratchPool { kept: Mutex::new(vec![first]), packing, slots: SMALL_CACHE }
    }

    /// Memory for threads that encode much.
    pub(crate) fn large(vocab_size: usize) -> ScratchPool {
        ScratchPool { kept: Mutex::default(), packing: Packing::of(vocab_size), slots: LARGE_CACHE }
    }

    /// Memory to encode about `bytes` bytes of text with.
    pub(crate) fn lend(&self, bytes: usize) -> Lent<'_> {
        let mut scratch = self.kept.try_lock().ok().and_then(|mut kept| kept.pop());
        if let Some(scratch) = &mut scratch {
            scratch.serve(bytes);
        }
        Lent { pool: self, scratch, bytes }
    }
}

impl Lent<'_> {
    pub(crate) fn scratch(&mut self) -> &mut Scratch {
        let ScratchPool { packing, slots, .. } = *self.pool;
        self.scratch.get_or_insert_with(|| Box::new(Scratch::new(packing, slots, self.bytes)))
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

/// Ids being made of one text after another. They are all there when [`Encoding::finish`] was called.
pub(crate) struct Encoding<'a, I> {
    tokenizer: &'a Tokenizer,
    scratch: &'a mut Scratch,
    control: &'a Control,
    ids: &'a mut Vec<I>,
    /// Where among the ids each [`Encoding::mark`] is.
    marked: Vec<usize>,
}

impl<'a, I: Id> Encoding<'a, I> {
    /// Ids are appended to `ids`, whose type has to hold those of the tokenizer.
    pub(crate) fn new(
        tokenizer: &'a Tokenizer,
        scratch: &'a mut Scratch,
        control: &'a Control,
        ids: &'a mut Vec<I>,
    ) -> Encoding<'a, I> {
        // Something is left of an encoding that was ended by an error.
        scratch.pending.clear();
        Encoding { tokenizer, scratch, control, ids, marked: Vec::new() }
    }

    /// Adds the ids of `text`.
    pub(crate) fn text(&mut self, text: &str, selection: &Selection) -> Result<()> {
        selection.raw.split(text, |piece| match piece {
            Piece::Token(id, _) => {
                self.token(id);
                Ok(())
            }
            Piece::Text(text, _) => {
                selection.normalized.split(&self.tokenizer.definition().normalizer.apply(text), |piece| match piece {
                    Piece::Token(id, _) => {
                        self.token(id);
                        Ok(())
                    }
                    Piece::Text(text, _) => self.ordinary(text),
                })
            }
        })
    }

    /// Adds one id.
    pub(crate) fn token(&mut self, id: u32) {
        self.scratch.pending.known.push(id);
        self.settle_if_enough();
    }

    /// Adds the ids of a text without added tokens.
    pub(crate) fn ordinary(&mut self, text: &str) -> Result<()> {
        self.tokenizer.pre_tokenizer().for_each(text, self)
    }

    /// Adds the ids of the beginning of `text`, one without added tokens, that what follows cannot change; returns where
    /// the rest begins.
    pub(crate) fn decided(&mut self, text: &str) -> Result<usize> {
        self.tokenizer.pre_tokenizer().for_each_decided(text, self)
    }

    /// Remembers the place behind all ids so far.
    pub(crate) fn mark(&mut self) {
        self.scratch.pending.mark();
    }

    /// Sees to it that all ids are there; returns where among them the marks are.
    pub(crate) fn finish(mut self) -> Vec<usize> {
        self.settle();
        self.marked
    }

    #[inline]
    fn settle_if_enough(&mut self) {
        if self.scratch.pending.is_enough() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let Encoding { tokenizer, scratch: Scratch { front, cache, word, pending, .. }, ids, marked, .. } = self;
        pending.join(front, cache, |text, words, ids, spans| {
            tokenizer.bpe().encode(tokenizer.vocab(), text, words, word, ids, spans);
        });
        pending.append_to((front, cache), ids, marked);
        // Nothing of what was found is used any more.
        if cache.make_room() {
            front.clear();
        }
    }
}

impl<I: Id> Visit for Encoding<'_, I> {
    #[inline]
    fn visit(&mut self, text: &[u8], start: usize, ends: &[usize]) -> Result<()> {
        self.control.check()?;
        let Scratch { front, cache, pending, .. } = &mut *self.scratch;
        front.look_up(text, start, ends, pending);
        pending.find(front, cache, text);
        self.settle_if_enough();
        Ok(())
    }
}

impl Tokenizer {
    /// The ids of `text`.
    ///
    /// # Errors
    /// [`crate::Error::SpecialToken`] for an allowed token that is none of the tokenizer's;
    /// [`crate::Error::PatternLimit`] under a custom regex.
    pub fn encode<I: Id>(&self, text: &str, allowed: &Allowed) -> Result<Vec<I>> {
        self.dtype(Some(I::DTYPE))?;
        let selection = self.select(allowed)?;
        let (mut ids, _) = self.room_for(text.len());
        let mut lent = if text.len() < LARGE_TEXT { self.scratch() } else { self.large_scratch() }.lend(text.len());
        self.encode_into(text, &selection, lent.scratch(), &Control::default(), &mut ids)?;
        Ok(ids)
    }

    /// The number of ids of `text`.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn count(&self, text: &str, allowed: &Allowed) -> Result<usize> {
        Ok(self.encode::<u32>(text, allowed)?.len())
    }

    /// [`Tokenizer::encode`] on `threads` threads (all cores when `None`), which cut the text where that is safe.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], [`crate::Error::InvalidUtf8`] for bytes that are not, and [`crate::Error::Cancelled`].
    pub fn encode_parallel<I: Id>(
        &self,
        text: &MaybeUtf8<'_>,
        allowed: &Allowed,
        threads: Option<usize>,
        control: &Control,
    ) -> Result<Vec<I>> {
        self.dtype(Some(I::DTYPE))?;
        let selection = self.select(allowed)?;
        let bytes = text.bytes().len();
        let parts = selection.parts(text.bytes(), PART);
        let threads = thread_count(threads).min(parts.len()).max(1);
        let lend = || self.large_scratch().lend(bytes / threads);
        let encode = |part: &Range<usize>, lent: &mut Lent<'_>, ids: &mut Vec<I>| {
            self.encode_into(text.part(part.clone())?, &selection, lent.scratch(), control, ids)
        };
        match gather(&parts, threads, self.room_for(bytes), lend, encode) {
            // All parts are UTF-8 if the whole is. To say where it is not, or to repair it, is worth another look.
            Err(Error::InvalidUtf8 { .. }) => {
                let text = text.text(|| "the text".to_owned())?;
                self.encode_parallel(&MaybeUtf8::Text(text), allowed, Some(threads), control)
            }
            gathered => Ok(gathered?.0),
        }
    }

    /// An empty array with room for the ids of about `bytes` bytes of text.
    pub(crate) fn room_for<I: Id>(&self, bytes: usize) -> (Vec<I>, Pages) {
        self.recycled().take(bytes / BYTES_PER_ID + 8)
    }

    /// Appends the ids of `text` to `ids`.
    pub(crate) fn encode_into<I: Id>(
        &self,
        text: &str,
        selection: &Selection,
        scratch: &mut Scratch,
        control: &Control,
        ids: &mut Vec<I>,
    ) -> Result<()> {
        let mut encoding = Encoding::new(self, scratch, control, ids);
        encoding.text(text, selection)?;
        encoding.finish();
        Ok(())
    }
}

impl Selection {
    /// Parts of `text`, of about `size` bytes, whose ids are, end to end, those of the whole.
    fn parts(&self, text: &[u8], size: usize) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let (mut start, mut window) = (0, size);
        while start + window < text.len() {
            match self.cutter.last_cut(&text[start..start + window]) {
                Some(cut) => {
                    parts.push(start..start + cut);
                    start += cut;
                    window = size;
                }
                None => window *= 2,
            }
        }
        parts.push(start..text.len());
        parts
    }
}
