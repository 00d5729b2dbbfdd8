//! Safe cuts: the parts, pre-tokenized apart, give the pre-tokens of the whole, whatever stands behind the window.

use crate::{Input, SCHEMES, pieces};
use bloomery_core::pretokenize::{Cutter, PreTokenizer};
use bloomery_core::special::SpecialTokens;

/// Panics where they differ.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let special = input.special_tokens();
    let pattern = &SCHEMES[input.below(SCHEMES.len())];
    let window = 1 + input.below(64);
    let cutter = Cutter::new(pattern, &special);
    // Bytes of any kind are cut somewhere inside, if at all.
    if let Some(cut) = cutter.last_cut(input.0) {
        assert!(0 < cut && cut < input.0.len());
    }

    let text = input.text();
    let scanner = PreTokenizer::new(pattern).expect("it is a named scheme");
    let special = SpecialTokens::new(&special).expect("they are neither empty nor twice there");
    let (mut parts, mut rest, mut seen) = (Vec::new(), text.as_str(), window);
    while seen < rest.len() {
        match cutter.last_cut(&rest.as_bytes()[..seen]) {
            Some(cut) => {
                assert!(0 < cut && cut < seen);
                parts.extend(pieces(&scanner, &special, &rest[..cut]));
                rest = &rest[cut..];
                seen = window;
            }
            None => seen += window,
        }
    }
    parts.extend(pieces(&scanner, &special, rest));
    assert_eq!(parts, pieces(&scanner, &special, &text), "{pattern} on {text:?} by {window}");
}
