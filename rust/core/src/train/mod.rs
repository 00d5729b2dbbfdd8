//! Learning merges from word counts.
//!
//! Symbols are told apart by their numbers, the rule by their bytes; both are the same, because no two merges give the
//! same bytes. (Say `ab`+`c` made `abc` and later `a`+`bc` were adjacent in some place. No merge crossed the borders of
//! that place, so the merges inside it were those inside the first place, step by step - a run of equal symbols is paired
//! from its start, and a run that reaches in from the left without a merge across the border has an even part outside -
//! and it would have become `ab`+`c` as well.)

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
use words::{Slot, Words};

/// The most by which a threshold of pair counts is divided to get the next one.
const LOWER_BY: u64 = 64;

/// Learns byte-level BPE merges: each joins the most frequent pair of adjacent symbols, ties by `tie_break` (Sennrich et
/// al. 2016, section 3.2, over bytes).
///
/// The vocabulary has ids 0-255 for the bytes, then the merges in order, then the special tokens of `counts`. It has
/// `vocab_size` entries, or fewer when no pair is left.
///
/// # Errors
/// [`Error::VocabSize`] when 256 bytes and the special tokens do not fit; [`Error::CountOverflow`] when the pairs
/// together occur 2^64 times or more; [`Error::Argument`] when the words are too many; [`Error::Cancelled`].
pub fn train(counts: &WordCounts, vocab_size: usize, tie_break: TieBreak, control: &Control) -> Result<Definition> {
    let special_tokens = counts.special_tokens();
    let merges = vocab_size
        .checked_sub(256 + special_tokens.len())
        .ok_or(Error::VocabSize { vocab_size, special_tokens: special_tokens.len() })?;
    control.expect_merges(merges as u64);
    control.check()?;
    let goal = Goal { merges, lower_by: LOWER_BY };
    let symbols = if merges + 256 <= u16::MAX as usize {
        learn::<u16>(counts, goal, tie_break, control)?
    } else {
        learn::<u32>(counts, goal, tie_break, control)?
    };
    Ok(definition(symbols, counts))
}

fn learn<S: Slot>(counts: &WordCounts, goal: Goal, tie_break: TieBreak, control: &Control) -> Result<Symbols> {
    Trainer::new(Words::<S>::new(counts, control)?, tie_break, goal, control)?.run(control)
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
        learn::<S>(counts, goal, tie_break, &Control::default()).unwrap().merged_bytes().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn thresholds_do_not_change_the_merges(words in words(), merges in 0usize..100, lower_by in 1u64..9) {
            let counts = WordCounts::from_words(words, &Pattern::Gpt2, &[]).unwrap();
            let words: Vec<(&[u8], u64)> = counts.iter().collect();
            for tie_break in [TieBreak::Lexicographic, TieBreak::HuggingFace] {
                let expected = naive::merges(&words, merges, tie_break);
                let goal = Goal { merges, lower_by };
                prop_assert_eq!(learnt::<u16>(&counts, goal, tie_break), &expected[..]);
                prop_assert_eq!(learnt::<u32>(&counts, goal, tie_break), &expected[..]);
            }
        }
    }
}
