//! Training as it is defined, for tests: all pairs are counted anew for each merge.

use std::collections::HashMap;

use super::symbols::Symbols;
use super::tie_break::TieBreak;

/// The first `merges` merges (fewer when no pair is left) learnt from `words`, as pairs of byte strings.
pub fn merges(words: &[(&[u8], u64)], merges: usize, tie_break: TieBreak) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut symbols = Symbols::new();
    let mut words: Vec<(Vec<u32>, u64)> =
        words.iter().map(|(word, count)| (word.iter().map(|&byte| Symbols::of_byte(byte)).collect(), *count)).collect();
    while symbols.merges() < merges {
        let mut counts: HashMap<(u32, u32), u64> = HashMap::new();
        for (word, count) in &words {
            for pair in word.windows(2) {
                *counts.entry((pair[0], pair[1])).or_default() += count;
            }
        }
        let first = counts.into_iter().filter(|&(_, count)| count > 0).max_by(|(a, count_a), (b, count_b)| {
            count_a.cmp(count_b).then_with(|| tie_break.compare(&symbols, *a, *b))
        });
        let Some(((left, right), _)) = first else { break };
        let joined = symbols.join(left, right);
        for (word, _) in &mut words {
            let mut i = 0;
            while i + 1 < word.len() {
                if word[i..i + 2] == [left, right] {
                    word.splice(i..i + 2, [joined]);
                }
                i += 1;
            }
        }
    }
    symbols.merged_bytes().collect()
}
