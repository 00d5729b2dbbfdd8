//! The `gpt2` scheme (r50k, p50k): `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.

use super::Scan;
use super::class::{DIGIT, LETTER, SYMBOL, WHITE, class_at, run};
use super::contraction::contraction;
use super::white::WhiteRun;
#[cfg(target_arch = "x86_64")]
use super::window::{Window, with_contractions};

pub(super) struct Gpt2;

impl Scan for Gpt2 {
    #[inline]
    fn end(text: &[u8], start: usize) -> usize {
        let contracted = contraction(text, start);
        if contracted > 0 {
            return start + contracted;
        }
        let after_space = start + usize::from(text[start] == b' ');
        let (class, len) = class_at(text, after_space);
        if LETTER.has(class) {
            run(text, after_space + len, LETTER)
        } else if DIGIT.has(class) {
            run(text, after_space + len, DIGIT)
        } else if SYMBOL.has(class) {
            run(text, after_space + len, SYMBOL)
        } else {
            debug_assert!(WHITE.has(class_at(text, start).0));
            WhiteRun::at(text, start).without_last(text, start)
        }
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn starts(text: &[u8], at: usize, window: &Window) -> Option<u64> {
        let (letter, number, symbol, space) = (window.letter(), window.number, window.symbol(), window.space);
        let behind = letter & letter << 1 | number & number << 1 | symbol & symbol << 1 | space << 1;
        let starts = (letter | number | symbol) & !behind | window.white_starts();
        let apostrophes = window.apostrophe & !(symbol << 1 | space << 1);
        Some(with_contractions(starts, apostrophes, |start| contraction(text, at + start)))
    }
}
