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
    let symbols = if merges + 256 <= u16::MAX as usize {
        learn::<u16>(counts, merges, tie_break, control)?
    } else {
        learn::<u32>(counts, merges, tie_break, control)?
    };
    Ok(definition(symbols, counts))
}

fn learn<S: Slot>(counts: &WordCounts, merges: usize, tie_break: TieBreak, control: &Control) -> Result<Symbols> {
    let goal = Goal { merges, most: LOWER_BY };
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
