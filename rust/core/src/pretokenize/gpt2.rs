//! The `gpt2` scheme (r50k, p50k): `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.

use super::Scan;
use super::class::{DIGIT, LETTER, SYMBOL, WHITE, class_at, run};
use super::contraction::contraction;
use super::white::WhiteRun;

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
}
