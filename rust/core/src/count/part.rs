//! Word counts in parts by hash, as plain arrays: what machines that count together send each other.

use std::borrow::Cow;

use super::store::Store;
use super::table::CountTable;
use crate::error::{Error, Result};
use crate::hash::hash_long;

/// Words end to end, how long each is, and their counts. No word stands in it twice.
#[derive(Debug, Clone, Default)]
pub struct Part<'a> {
    words: Cow<'a, [u8]>,
    lengths: Cow<'a, [u32]>,
    counts: Cow<'a, [u64]>,
}

impl<'a> Part<'a> {
    /// Takes the three arrays, as [`Part::arrays`] gave them.
    ///
    /// # Errors
    /// [`Error::Argument`] when they do not fit each other.
    pub fn of(words: &'a [u8], lengths: &'a [u32], counts: &'a [u64]) -> Result<Part<'a>> {
        let bytes: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        if bytes != words.len() as u64 || lengths.len() != counts.len() {
            return Err(Error::Argument(format!(
                "a part of word counts is broken: {} lengths of together {bytes} bytes and {} counts for {} bytes of words",
                lengths.len(),
                counts.len(),
                words.len()
            )));
        }
        Ok(Part { words: words.into(), lengths: lengths.into(), counts: counts.into() })
    }

    /// The bytes of the words, their lengths, their counts.
    pub fn arrays(self) -> (Vec<u8>, Vec<u32>, Vec<u64>) {
        (self.words.into_owned(), self.lengths.into_owned(), self.counts.into_owned())
    }

    pub(super) fn add_to(&self, table: &mut CountTable) -> Result<()> {
        table.add_all(&self.words, &self.lengths, &self.counts)
    }
}

/// The words of a store in `parts` parts.
pub(super) fn split(store: &Store, parts: usize) -> Result<Vec<Part<'static>>> {
    let mut made: Vec<(Vec<u8>, Vec<u32>, Vec<u64>)> = vec![Default::default(); parts.max(1)];
    let number = made.len() as u128;
    if let [(_, lengths, counts)] = &mut made[..] {
        lengths.reserve_exact(store.len());
        counts.reserve_exact(store.len());
    }
    store.try_for_each(|word, count| {
        // The upper bits: by the lower ones the words of a part would crowd the table that they are added up in.
        let part = if number == 1 { 0 } else { ((u128::from(hash_long(word)) * number) >> u64::BITS) as usize };
        let (words, lengths, counts) = &mut made[part];
        let length = u32::try_from(word.len())
            .map_err(|_| Error::Argument(format!("a word of {} bytes is too long to be sent", word.len())))?;
        words.extend_from_slice(word);
        lengths.push(length);
        counts.push(count);
        Ok(())
    })?;
    let owned = |(words, lengths, counts): (Vec<u8>, Vec<u32>, Vec<u64>)| Part {
        words: words.into(),
        lengths: lengths.into(),
        counts: counts.into(),
    };
    Ok(made.into_iter().map(owned).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::count::{Part, WordCounts};
    use crate::pretokenize::Pattern;

    fn counts(words: &[(Vec<u8>, u64)]) -> WordCounts {
        WordCounts::from_words(words.iter().cloned(), &Pattern::Gpt2, &[]).unwrap()
    }

    /// Words short and long, some of them the same.
    fn words() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
        prop::collection::vec((prop::collection::vec(0..3u8, 1..40), 1..9u64), 0..700)
    }

    proptest! {
        #[test]
        fn parts_added_up_are_the_counts_of_the_whole(left in words(), right in words(), parts in 1..5usize) {
            let both: Vec<_> = left.iter().chain(&right).cloned().collect();
            let (left, right) = (counts(&left).parts(parts).unwrap(), counts(&right).parts(parts).unwrap());
            let mut seen = 0;
            let mut all = counts(&[]);
            for (left, right) in left.into_iter().zip(right) {
                let mut sum = counts(&[]);
                for part in [left, right] {
                    let (words, lengths, counts) = part.arrays();
                    let part = Part::of(&words, &lengths, &counts).unwrap();
                    sum.add_part(&part).unwrap();
                    all.add_part(&part).unwrap();
                }
                seen += sum.len();
            }
            prop_assert_eq!(&all, &counts(&both));
            // A word never comes in two parts.
            prop_assert_eq!(seen, all.len());
        }

        #[test]
        fn rare_words_are_left_out_and_counted(words in words(), least in 0..20u64) {
            let all = counts(&words);
            let (kept, left_out) = all.at_least(least).unwrap();
            let expected: Vec<_> = all.sorted().unwrap().into_iter().filter(|(_, count)| *count >= least).collect();
            prop_assert_eq!(kept.len() as u64 + left_out.words, all.len() as u64);
            prop_assert_eq!(kept.total() + left_out.occurrences, all.total());
            prop_assert_eq!(kept.sorted().unwrap(), expected);
        }
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let message = Part::of(b"abc", &[1, 1], &[1, 2]).unwrap_err().to_string();
        let expected =
            "a part of word counts is broken: 2 lengths of together 2 bytes and 2 counts for 3 bytes of words";
        assert_eq!(message, expected);
    }
}
