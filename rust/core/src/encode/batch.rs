//! Many texts at once.

use super::gather::gather;
use super::id::Id;
use super::selection::Allowed;
use super::text::{Encoding, Lent};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::input::MaybeUtf8;
use crate::parallel::thread_count;
use crate::tokenizer::Tokenizer;

/// Texts are handed to threads in groups of about this many bytes.
const GROUP: usize = 1 << 16;

impl Tokenizer {
    /// The ids of `texts`, end to end, and where each text's begin (one more offset than texts: the last is the end).
    /// On `threads` threads (all cores when `None`).
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], [`crate::Error::InvalidUtf8`] for bytes that are not, and [`crate::Error::Cancelled`].
    pub fn encode_batch<I: Id>(
        &self,
        texts: &[MaybeUtf8<'_>],
        allowed: &Allowed,
        threads: Option<usize>,
        control: &Control,
    ) -> Result<(Vec<I>, Vec<u64>)> {
        self.dtype(Some(I::DTYPE))?;
        let selection = self.select(allowed)?;
        let groups = groups(texts);
        let threads = thread_count(threads).min(groups.len().max(1));
        let pool = if groups.len() > 1 { self.large_scratch() } else { self.scratch() };
        let bytes: usize = texts.iter().map(|text| text.bytes().len()).sum();
        let encode = |texts: &&[MaybeUtf8<'_>], lent: &mut Lent<'_>, ids: &mut Vec<I>| {
            let mut last = ids.len();
            let mut encoding = Encoding::new(self, lent.scratch(), control, ids);
            for text in *texts {
                encoding.text(&text.text(String::new)?, &selection)?;
                encoding.mark();
            }
            let ends = encoding.finish().into_iter();
            Ok(ends.map(|end| (end - std::mem::replace(&mut last, end)) as u64).collect::<Vec<_>>())
        };
        let gathered = gather(&groups, threads, self.room_for(bytes), || pool.lend(bytes / threads), encode);
        if let Err(Error::InvalidUtf8 { .. }) = gathered {
            // The first of them is named, whichever thread came to one first.
            for (index, text) in texts.iter().enumerate() {
                text.text(|| format!("text {index}"))?;
            }
        }
        let (ids, counts) = gathered?;
        let mut offsets = Vec::with_capacity(texts.len() + 1);
        offsets.push(0);
        let mut end = 0;
        offsets.extend(counts.into_iter().flatten().map(|count| {
            end += count;
            end
        }));
        Ok((ids, offsets))
    }
}

/// Consecutive texts in groups of at least `GROUP` bytes, but for the last.
fn groups<'a, 't>(texts: &'a [MaybeUtf8<'t>]) -> Vec<&'a [MaybeUtf8<'t>]> {
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (i, text) in texts.iter().enumerate() {
        bytes += text.bytes().len();
        if bytes >= GROUP {
            groups.push(&texts[start..=i]);
            (start, bytes) = (i + 1, 0);
        }
    }
    if start < texts.len() {
        groups.push(&texts[start..]);
    }
    groups
}
