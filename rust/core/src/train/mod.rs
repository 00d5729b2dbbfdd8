//! Learning merges from word counts.
//!
//! Symbols are told apart by their numbers, the rule by their bytes; both are the same, because no two merges give the
//! same bytes. (Say `ab`+`c` made `abc` and later `a`+`bc` were adjacent in some place. No merge crossed the borders of
//! that place, so the merges inside it were those inside the first place, step by step - a run of equal symbols is paired
//! from its start, and a run that reaches in from the left without a merge across the border has an even part outside -
//! and it would have become `ab`+`c` as well.)

mod memory;
pub mod naive;
mod neighbours;
mod pairs;
mod queue;
mod scan;
mod symbols;
mod tie_break;
mod trainer;
mod words;

use crate::control::Control;
use crate::count::WordCounts;
use crate::definition::{AddedToken, Definition, Merges, Normalizer};
use crate::error::{Error, Result};
use symbols::Symbols;
pub use tie_break::TieBreak;
use trainer::{Goal, Trainer};
use words::{Layout, Slot, Words};

/// The most by which a threshold of pair counts is divided to get the next one.
const LOWER_BY: u64 = 64;

/// The most places of pairs to list, in percent of the slots of all words. At the start of training every slot but the
/// last of each word is the place of one pair, later ones are fewer; with this room natural text has the thresholds that it
/// would have with more.
const ROOM: u64 = 70;

/// Learns byte-level BPE merges: each joins the most frequent pair of adjacent symbols, ties by `tie_break` (Sennrich et
/// al. 2016, section 3.2, over bytes).
///
/// The vocabulary has ids 0-255 for the bytes, then the merges in order, then the special tokens of `counts`. It has
/// `vocab_size` entries, or fewer when no pair is left.
///
/// # Errors
/// [`Error::VocabSize`] when 256 bytes and the special tokens do not fit; [`Error::Memory`] when [`training_memory`] exceeds
/// what the machine has to give; [`Error::CountOverflow`] when the pairs together occur 2^64 times or more;
/// [`Error::Argument`] when the words are too many; [`Error::Cancelled`].
pub fn train(counts: &WordCounts, vocab_size: usize, tie_break: TieBreak, control: &Control) -> Result<Definition> {
    train_within(memory::available(), counts, vocab_size, tie_break, control)
}

/// As [`train`], where so many bytes are available.
fn train_within(
    available: Option<u64>,
    counts: &WordCounts,
    vocab_size: usize,
    tie_break: TieBreak,
    control: &Control,
) -> Result<Definition> {
    let merges = merges(counts, vocab_size)?;
    control.expect_merges(merges as u64);
    control.check()?;
    let layout = Layout::new(counts, control)?;
    memory::check(memory_bound(&layout, merges), available)?;
    let goal = Goal { merges, lower_by: LOWER_BY, room: ROOM };
    let symbols = if fits_16_bits(merges as u64) {
        learn::<u16>(counts, layout, goal, tie_break, control)?
    } else {
        learn::<u32>(counts, layout, goal, tie_break, control)?
    };
    Ok(definition(symbols, counts))
}

/// The most bytes that [`train`] takes beside the counts themselves; 1.2 to 1.7 times the peak where the words are
/// large, and 17 MB at least where there are many. It can take more where a single pair is most of the text (`aaaa`).
///
/// # Errors
/// [`Error::VocabSize`], and whatever reading the counts gives.
pub fn training_memory(counts: &WordCounts, vocab_size: usize) -> Result<u64> {
    let merges = merges(counts, vocab_size)?;
    let layout = Layout::new(counts, &Control::default())?;
    Ok(memory_bound(&layout, merges))
}

fn memory_bound(layout: &Layout, merges: usize) -> u64 {
    memory::bound(layout.words, layout.word_bytes, layout.distinct_counts(), merges as u64)
}

/// The merges to learn.
fn merges(counts: &WordCounts, vocab_size: usize) -> Result<usize> {
    let special_tokens = counts.special_tokens().len();
    vocab_size.checked_sub(256 + special_tokens).ok_or(Error::VocabSize { vocab_size, special_tokens })
}

/// Whether the symbols of so many merges fit 16 bits, with 256 bytes and the border between words.
fn fits_16_bits(merges: u64) -> bool {
    merges + 256 <= u64::from(u16::MAX)
}

fn learn<S: Slot>(
    counts: &WordCounts,
    layout: Layout,
    goal: Goal,
    tie_break: TieBreak,
    control: &Control,
) -> Result<Symbols> {
    Trainer::new(Words::<S>::new(counts, layout, control)?, tie_break, goal, control)?.run(control)
}

fn definition(symbols: Symbols, counts: &WordCounts) -> Definition {
    let merges = symbols.merged_bytes().collect();
    let tokens = symbols.into_tokens();
    let first_special = tokens.len() as u32;
    let added_tokens = counts.special_tokens().iter().zip(first_special..);
    Definition {
        vocab: tokens.zip(0..).collect(),
        merges: Merges::Listed(merges),
        added_tokens: added_tokens.map(|(token, id)| AddedToken::special(token, id)).collect(),
        pattern: counts.pattern().clone(),
        normalizer: Normalizer::None,
        whole_words: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretokenize::Pattern;
    use proptest::prelude::*;

    /// Words over few letters, so that runs (`aaaa`), alternations (`abab`) and ties are the rule; some are longer than
    /// what is searched at a time.
    fn words() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
        let letters = prop_oneof![Just("a"), Just("ab"), Just("abc"), Just(" abcdefgh\u{7f}")];
        letters.prop_flat_map(|letters| {
            let word = |len| prop::collection::vec(prop::sample::select(letters.as_bytes()), len);
            let word = prop_oneof![20 => word(1..20), 4 => word(20..200), 1 => word(400..1200)];
            prop::collection::vec((word, prop_oneof![1u64..4, 1u64..1000]), 1..30)
        })
    }

    fn learnt<S: Slot>(counts: &WordCounts, goal: Goal, tie_break: TieBreak) -> Vec<(Vec<u8>, Vec<u8>)> {
        let control = Control::default();
        let layout = Layout::new(counts, &control).unwrap();
        learn::<S>(counts, layout, goal, tie_break, &control).unwrap().merged_bytes().collect()
    }

    #[test]
    fn training_that_does_not_fit_is_refused_with_its_bound() {
        let counts = WordCounts::from_words([(b"abc".to_vec(), 1)], &Pattern::Gpt2, &[]).unwrap();
        let needed = training_memory(&counts, 300).unwrap();
        let train = |available| train_within(available, &counts, 300, TieBreak::Lexicographic, &Control::default());
        for available in [None, Some(needed)] {
            assert_eq!(train(available).unwrap().vocab.len(), 258);
        }
        let refused = train(Some(needed - 1));
        assert!(
            matches!(refused, Err(Error::Memory { needed: n, available: a, .. }) if n == needed && a == needed - 1)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn thresholds_do_not_change_the_merges(words in words(), merges in 0usize..100, lower_by in 1u64..9, room in 0u64..101) {
            let counts = WordCounts::from_words(words, &Pattern::Gpt2, &[]).unwrap();
            let words = counts.sorted().unwrap();
            let words: Vec<(&[u8], u64)> = words.iter().map(|(word, count)| (word.as_slice(), *count)).collect();
            for tie_break in [TieBreak::Lexicographic, TieBreak::HuggingFace] {
                let expected = naive::merges(&words, merges, tie_break);
                let goal = Goal { merges, lower_by, room };
                prop_assert_eq!(learnt::<u16>(&counts, goal, tie_break), &expected[..]);
                prop_assert_eq!(learnt::<u32>(&counts, goal, tie_break), &expected[..]);
            }
        }
    }
}
