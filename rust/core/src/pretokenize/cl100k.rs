//! The `cl100k` scheme and its older form, which Qwen uses with single digits.
//!
//! They differ in how many digits make a pre-token, and in `\s++$`: cl100k takes white space at the end of the text
//! whole, the older form ends it behind its last newline.

use super::Scan;
use super::class::{DIGIT, LETTER, NEWLINE, SYMBOL, class_at, run};
use super::contraction::contraction_any_case;
use super::white::WhiteRun;
#[cfg(target_arch = "x86_64")]
use super::window::{Window, with_contractions};

pub(super) struct Cl100k<const MAX_DIGITS: usize, const FINAL_RUN_WHOLE: bool>;

impl<const MAX_DIGITS: usize, const FINAL_RUN_WHOLE: bool> Scan for Cl100k<MAX_DIGITS, FINAL_RUN_WHOLE> {
    #[inline]
    fn end(text: &[u8], start: usize) -> usize {
        let contracted = contraction_any_case(text, start);
        if contracted > 0 {
            return start + contracted;
        }
        let (class, len) = class_at(text, start);
        if LETTER.has(class) {
            return run(text, start + len, LETTER);
        }
        if DIGIT.has(class) {
            return number(text, start + len, MAX_DIGITS - 1);
        }
        let (next, next_len) = class_at(text, start + len);
        if class != NEWLINE && LETTER.has(next) {
            return run(text, start + len + next_len, LETTER);
        }
        if SYMBOL.has(class) {
            return run_then_newlines(text, start + len);
        }
        if text[start] == b' ' && SYMBOL.has(next) {
            return run_then_newlines(text, start + len + next_len);
        }
        let white = WhiteRun::at(text, start);
        match white.newline_end {
            _ if FINAL_RUN_WHOLE && white.end == text.len() => white.end,
            Some(newline_end) => newline_end,
            None => white.without_last(text, start),
        }
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn starts(text: &[u8], at: usize, window: &Window) -> Option<u64> {
        let (letter, symbol, newline) = (window.letter(), window.symbol(), window.newline);
        // Newlines right behind symbols: the sum carries through each run of newlines that begins so.
        let attached = newline & !newline.wrapping_add(newline & symbol << 1);
        let symbols = symbol & !(symbol << 1 | window.space << 1);
        let words = letter & !(letter << 1 | window.blank << 1 | window.next(symbols));
        let whites = window.white_starts_by_line(attached, FINAL_RUN_WHOLE);
        let starts = words | symbols | window.number_starts::<MAX_DIGITS>() | whites;
        let apostrophes = window.apostrophe & symbols;
        Some(with_contractions(starts, apostrophes, |start| contraction_any_case(text, at + start)))
    }
}

/// End of at most `more` further numbers from `at`.
#[inline]
pub(super) fn number(text: &[u8], mut at: usize, more: usize) -> usize {
    for _ in 0..more {
        let (class, len) = class_at(text, at);
        if !DIGIT.has(class) {
            break;
        }
        at += len;
    }
    at
}

/// End of `[^\s\p{L}\p{N}]*[\r\n]*` at `at`.
#[inline]
fn run_then_newlines(text: &[u8], at: usize) -> usize {
    let mut end = run(text, at, SYMBOL);
    while let Some(b'\r' | b'\n') = text.get(end) {
        end += 1;
    }
    end
}
