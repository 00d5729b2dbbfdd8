//! English contractions, which all named schemes cut the same way but for case.

/// Length of `'(?:[sdmt]|ll|ve|re)` at `at`, or 0.
#[inline]
pub(super) fn contraction(text: &[u8], at: usize) -> usize {
    match text.get(at..) {
        Some([b'\'', b's' | b'd' | b'm' | b't', ..]) => 2,
        Some([b'\'', b'l', b'l', ..] | [b'\'', b'v' | b'r', b'e', ..]) => 3,
        _ => 0,
    }
}

/// Length of `'(?i:[sdmt]|ll|ve|re)` at `at`, or 0. Case folding brings one letter from beyond ASCII: ſ (U+017F) is an s.
#[inline]
pub(super) fn contraction_any_case(text: &[u8], at: usize) -> usize {
    match text.get(at..) {
        Some([b'\'', b's' | b'S' | b'd' | b'D' | b'm' | b'M' | b't' | b'T', ..]) => 2,
        Some([b'\'', b'l' | b'L', b'l' | b'L', ..] | [b'\'', b'v' | b'V' | b'r' | b'R', b'e' | b'E', ..]) => 3,
        Some([b'\'', 0xc5, 0xbf, ..]) => 3,
        _ => 0,
    }
}
