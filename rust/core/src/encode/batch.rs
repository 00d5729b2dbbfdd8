//! Many texts at once.

use super::selection::Allowed;
use crate::control::Control;
use crate::error::Result;
use crate::parallel::{map_in_order, thread_count};
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
        let encoded = map_in_order(
            &groups,
            threads,
            || pool.lend(),
            |texts, lent| {
                let mut ids = Vec::new();
                let mut ends = Vec::with_capacity(texts.len());
                for text in *texts {
                    control.check()?;
                    self.encode_into(text, &selection, lent.scratch(), control, &mut ids)?;
                    ends.push(ids.len() as u64);
                }
                Ok((ids, ends))
            },
        )?;
        let mut ids = Vec::with_capacity(encoded.iter().map(|(ids, _)| ids.len()).sum());
        let mut offsets = Vec::with_capacity(texts.len() + 1);
        offsets.push(0);
        for (group, ends) in encoded {
            let before = ids.len() as u64;
            ids.extend_from_slice(&group);
            offsets.extend(ends.into_iter().map(|end| before + end));
        }
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
