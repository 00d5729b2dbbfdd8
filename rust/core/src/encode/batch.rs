//! Many texts at once.

use super::gather::gather;
use super::selection::Allowed;
use super::text::{Encoding, Lent};
use crate::control::Control;
use crate::error::Result;
use crate::parallel::thread_count;
use crate::tokenizer::Tokenizer;

/// Texts are handed to threads in groups of about this many bytes.
const GROUP: usize = 1 << 16;

impl Tokenizer {
    /// The ids of `texts`, end to end, and where each text's begin (one more offset than texts: the last is the end).
    /// On `threads` threads (all cores when `None`).
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], and [`crate::Error::Cancelled`].
    pub fn encode_batch(
        &self,
        texts: &[&str],
        allowed: &Allowed,
        threads: Option<usize>,
        control: &Control,
    ) -> Result<(Vec<u32>, Vec<u64>)> {
        let selection = self.select(allowed)?;
        let groups = groups(texts);
        let threads = thread_count(threads).min(groups.len().max(1));
        let pool = if groups.len() > 1 { self.large_scratch() } else { self.scratch() };
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let encode = |texts: &&[&str], lent: &mut Lent<'_>, ids: &mut Vec<u32>| {
            let mut last = ids.len();
            let mut encoding = Encoding::new(self, lent.scratch(), control, ids);
            for text in *texts {
                encoding.text(text, &selection)?;
                encoding.mark();
            }
            let ends = encoding.finish().into_iter();
            Ok(ends.map(|end| (end - std::mem::replace(&mut last, end)) as u64).collect::<Vec<_>>())
        };
        let (ids, counts) = gather(&groups, threads, bytes, || pool.lend(bytes / threads), encode)?;
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
fn groups<'a, 't>(texts: &'a [&'t str]) -> Vec<&'a [&'t str]> {
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (i, text) in texts.iter().enumerate() {
        bytes += text.len();
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
