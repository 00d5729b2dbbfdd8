//! The hand-written scanners against the regexes that define them, and the decided prefixes of texts that go on.

use std::sync::LazyLock;

use crate::{Input, SCHEMES, scanned, scanner_and_oracle};
use bloomery_core::Instructions;
use bloomery_core::pretokenize::PreTokenizer;

static PAIRS: LazyLock<Vec<(PreTokenizer, PreTokenizer)>> =
    LazyLock::new(|| SCHEMES.iter().map(scanner_and_oracle).collect());

/// Panics where they differ.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let head = input.byte();
    let text = input.text();
    let mut end = text.len() * usize::from(head) / 256;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    for (scanner, oracle) in PAIRS.iter() {
        let all = scanned(scanner, &text);
        assert_eq!(all, scanned(oracle, &text), "{} on {text:?}", scanner.pattern());
        for most in [Instructions::Avx2, Instructions::Portable] {
            let limited = scanner.clone().limited_to(most);
            assert_eq!(all, scanned(&limited, &text), "{} on {text:?}, {most:?}", scanner.pattern());
        }
        let mut decided = Vec::new();
        let mut visit = |_: &[u8], start: usize, end: usize| decided.push((start, end));
        let rest = scanner.for_each_decided(&text[..end], &mut visit).expect("named schemes reach no limit");
        assert_eq!(decided.last().map_or(0, |&(_, end)| end), rest);
        assert_eq!(all[..decided.len()], decided, "{} on {text:?} cut at {end}", scanner.pattern());
    }
}
