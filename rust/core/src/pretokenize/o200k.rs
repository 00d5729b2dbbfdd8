//! The `o200k` scheme: words split by case, contractions kept with their word, numbers in threes.
//!
//! Its two word alternatives overlap on caseless letters and marks, which are both "upper" and "lower"; the regex
//! resolves that by backtracking, the scanner by remembering the last such character of the upper run.

use super::Scan;
use super::cl100k::number;
use super::class::{CASELESS, DIGIT, LETTER, LOWER, MARK, NEWLINE, SYMBOL, Set, UPPER, class_at, run};
use super::contraction::contraction_any_case;
use super::white::WhiteRun;
#[cfg(target_arch = "x86_64")]
use super::window::{Window, with_pre_token};

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`.
const UPPERISH: Set = Set::of(&[UPPER, CASELESS, MARK]);
/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`.
const LOWERISH: Set = Set::of(&[LOWER, CASELESS, MARK]);

pub(super) struct O200k;

impl Scan for O200k {
    #[inline]
    fn end(text: &[u8], start: usize) -> usize {
        let (class, len) = class_at(text, start);
        if let Some(end) = word_with_prefix(text, start, class, len) {
            return end + contraction_any_case(text, end);
        }
        if DIGIT.has(class) {
            return number(text, start + len, 2);
        }
        if SYMBOL.has(class) {
            return run_then_newlines_and_slashes(text, start + len);
        }
        let (next, next_len) = class_at(text, start + len);
        if text[start] == b' ' && SYMBOL.has(next) {
            return run_then_newlines_and_slashes(text, start + len + next_len);
        }
        let white = WhiteRun::at(text, start);
        white.newline_end.unwrap_or_else(|| white.without_last(text, start))
    }
    #[cfg(target_arch = "x86_64")]
    const BY_CASE: bool = true;
    /// (`aあA` is cut before `A`, `あAa` is not.)
    const LETTERS_GO_ON: bool = false;

    /// Left to [`Scan::end`]: capitals behind characters without case, whose word may end before them or behind them; marks
    /// that belong to no letter; newlines and slashes in turn behind symbols.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn starts(text: &[u8], at: usize, window: &Window) -> Option<u64> {
        let word = window.letter() | window.mark;
        let caseless = window.caseless | window.mark;
        let all_symbols = window.symbol() & !window.mark;
        let line_or_slash = window.newline | window.slash;
        let attaching = window.newline & all_symbols << 1;
        // The sum carries through each run of newlines and slashes from where it is attached.
        let carried = line_or_slash.wrapping_add(attaching);
        if window.mark & !(word << 1) | window.upper & caseless << 1 | carried & attaching != 0 {
            return None;
        }
        let attached = line_or_slash & !carried;
        let symbol = all_symbols & !attached;
        let symbols = symbol & !(symbol << 1 | window.space << 1);
        let words = word & !(word << 1 | window.blank << 1 | window.next(symbols));
        let capitals = window.upper & window.lower << 1;
        let whites = window.white_starts_by_line(attached, false);
        let mut starts = words | capitals | symbols | window.number_starts::<3>() | whites;
        let mut apostrophes = window.apostrophe & word << 1;
        let mut done = 0;
        while apostrophes != 0 {
            let apostrophe = apostrophes.trailing_zeros() as usize;
            let contracted = contraction_any_case(text, at + apostrophe);
            // A word takes one contraction; the next is a word of its own.
            if contracted > 0 && apostrophe > done {
                done = apostrophe + contracted;
                starts = with_pre_token(starts, apostrophe, done) & !(1 << apostrophe);
            }
            apostrophes &= apostrophes - 1;
        }
        Some(starts)
    }
}

/// End of the word that starts at `start` with or without one character before it that is no letter, number or
/// newline, in the order in which the regex tries: lower-ending with prefix, without, upper only with prefix, without.
#[inline]
fn word_with_prefix(text: &[u8], start: usize, class: u8, len: usize) -> Option<usize> {
    if LETTER.has(class) {
        let word = Word::at(text, start);
        return word.lower_end.or(word.upper_end);
    }
    if DIGIT.has(class) || class == NEWLINE {
        return None;
    }
    let behind_prefix = Word::at(text, start + len);
    // A mark is a prefix first, and a word of its own only where nothing lower-ending follows.
    let alone = if class == MARK { Some(start + len) } else { None };
    behind_prefix.lower_end.or(alone).or(behind_prefix.upper_end)
}

struct Word {
    /// End of `[upperish]*[lowerish]+`.
    lower_end: Option<usize>,
    /// End of `[upperish]+[lowerish]*`, asked for only where `lower_end` is `None`: then it is the upper run's.
    upper_end: Option<usize>,
}

impl Word {
    #[inline]
    fn at(text: &[u8], start: usize) -> Word {
        let mut at = start;
        let mut last_both_end = None;
        let (mut class, mut len) = class_at(text, at);
        while UPPERISH.has(class) {
            at += len;
            if class != UPPER {
                last_both_end = Some(at);
            }
            (class, len) = class_at(text, at);
        }
        if class == LOWER {
            let end = run(text, at + len, LOWERISH);
            return Word { lower_end: Some(end), upper_end: None };
        }
        Word { lower_end: last_both_end, upper_end: (at > start).then_some(at) }
    }
}

/// End of `[^\s\p{L}\p{N}]*[\r\n/]*` at `at`.
#[inline]
fn run_then_newlines_and_slashes(text: &[u8], at: usize) -> usize {
    let mut end = run(text, at, SYMBOL);
    while let Some(b'\r' | b'\n' | b'/') = text.get(end) {
        end += 1;
    }
    end
}
