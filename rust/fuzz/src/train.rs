//! The merge loop against its definition.

use crate::Input;
use bloomery_core::train::naive;
use bloomery_core::{Control, Merges, Pattern, TieBreak, WordCounts};

/// The definition counts all pairs anew for each merge.
const MOST_BYTES: usize = 600;

/// Panics where they differ.
pub fn check(data: &[u8]) {
    let mut input = Input(&data[..data.len().min(MOST_BYTES)]);
    let merges = input.below(80);
    let tie_break = if input.below(2) == 0 { TieBreak::Lexicographic } else { TieBreak::HuggingFace };
    // Few different bytes make runs, alternations and ties the rule.
    let letters = 1 + input.below(256);
    let words = input.0.split(|&byte| byte == b'\n').filter(|line| line.len() > 1).map(|line| {
        let word = line[1..].iter().map(|&byte| (usize::from(byte) % letters) as u8).collect::<Vec<u8>>();
        // Some counts beyond 32 bits.
        (word, if line[0] > 250 { u64::from(line[0]) << 33 } else { 1 + u64::from(line[0] % 8) })
    });
    let mut words: Vec<(Vec<u8>, u64)> = words.collect();
    words.sort();
    words.dedup_by(|a, b| a.0 == b.0);

    let counts = WordCounts::from_words(words.iter().cloned(), &Pattern::Gpt2, &[]).expect("the counts are small");
    let trained = bloomery_core::train(&counts, 256 + merges, tie_break, &Control::default())
        .expect("there is room for the bytes");
    let Merges::Listed(learnt) = trained.merges else { panic!("training lists its merges") };
    let words: Vec<(&[u8], u64)> = words.iter().map(|(word, count)| (word.as_slice(), *count)).collect();
    assert_eq!(learnt, naive::merges(&words, merges, tie_break), "{tie_break:?} of {words:?}");
}
