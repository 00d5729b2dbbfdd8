//! From bytes to text: validation, and the two ways to get by with bytes that are not UTF-8.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Error;

/// What to do with bytes that are not UTF-8; the same choices, with the same results, as Python's `bytes.decode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Utf8Errors {
    /// An error that names the first one.
    #[default]
    Strict,
    /// One U+FFFD for each maximal invalid sequence.
    Replace,
    /// They are dropped.
    Ignore,
}

/// The offset of the first byte that is not UTF-8.
pub(super) fn first_invalid(bytes: &[u8]) -> Option<usize> {
    // The basic check is the faster one; the other is needed only to say where.
    if simdutf8::basic::from_utf8(bytes).is_ok() {
        return None;
    }
    simdutf8::compat::from_utf8(bytes).err().map(|error| error.valid_up_to())
}

/// The text of bytes that may be invalid; under [`Utf8Errors::Strict`] the error is the offset of the first that is.
pub(super) fn decode(bytes: &[u8], errors: Utf8Errors) -> Result<Cow<'_, str>, usize> {
    if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
        return Ok(Cow::Borrowed(text));
    }
    match simdutf8::compat::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) if errors == Utf8Errors::Strict => Err(error.valid_up_to()),
        Err(_) => Ok(Cow::Owned(repair(bytes, errors))),
    }
}

/// Text, or bytes that become text where they are used: then they are still near, and several threads share the work.
#[derive(Debug, Clone)]
pub enum MaybeUtf8<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes, and what to do with those that are not UTF-8.
    Bytes(&'a [u8], Utf8Errors),
}

impl<'a> From<&'a str> for MaybeUtf8<'a> {
    fn from(text: &'a str) -> Self {
        MaybeUtf8::Text(Cow::Borrowed(text))
    }
}

impl MaybeUtf8<'_> {
    /// The bytes, be they UTF-8 or not.
    pub fn bytes(&self) -> &[u8] {
        match self {
            MaybeUtf8::Text(text) => text.as_bytes(),
            MaybeUtf8::Bytes(bytes, _) => bytes,
        }
    }

    /// The text; `origin` describes it.
    ///
    /// # Errors
    /// [`Error::InvalidUtf8`] for bytes that are not UTF-8, under [`Utf8Errors::Strict`].
    pub fn text(&self, origin: impl FnOnce() -> String) -> Result<Cow<'_, str>, Error> {
        match self {
            MaybeUtf8::Text(text) => Ok(Cow::Borrowed(text)),
            MaybeUtf8::Bytes(bytes, errors) => text_of(bytes, *errors, origin),
        }
    }

    /// A part of it, which ends where characters do if it is UTF-8.
    pub(crate) fn part(&self, range: Range<usize>) -> Result<&str, Error> {
        match self {
            MaybeUtf8::Text(text) => Ok(&text[range]),
            MaybeUtf8::Bytes(bytes, _) => simdutf8::basic::from_utf8(&bytes[range]).map_err(|_| Error::InvalidUtf8 {
                // The whole is looked at anew to tell the place.
                origin: String::new(),
                offset: 0,
                byte: 0,
            }),
        }
    }
}

/// The text of bytes in memory, which `origin` describes.
///
/// # Errors
/// [`Error::InvalidUtf8`] for bytes that are not UTF-8, under [`Utf8Errors::Strict`].
fn text_of(bytes: &[u8], errors: Utf8Errors, origin: impl FnOnce() -> String) -> Result<Cow<'_, str>, Error> {
    decode(bytes, errors).map_err(|at| Error::InvalidUtf8 { origin: origin(), offset: at as u64, byte: bytes[at] })
}

/// The text of bytes that are invalid somewhere.
pub(super) fn repair(bytes: &[u8], errors: Utf8Errors) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if errors == Utf8Errors::Replace && !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_bytes_become_what_python_makes_of_them() {
        // Each row as `bytes.decode("utf-8", errors)` gives it.
        let rows: [(&[u8], usize, &str, &str); 8] = [
            (b"a\xffb", 1, "a\u{fffd}b", "ab"),
            (b"a\xe2\x82b", 1, "a\u{fffd}b", "ab"),
            (b"a\xf0\x9f\x98", 1, "a\u{fffd}", "a"),
            (b"a\xed\xa0\x80b", 1, "a\u{fffd}\u{fffd}\u{fffd}b", "ab"),
            (b"\xc0\xaf", 0, "\u{fffd}\u{fffd}", ""),
            (b"\xf4\x90\x80\x80", 0, "\u{fffd}\u{fffd}\u{fffd}\u{fffd}", ""),
            (b"ab\x80\x80c", 2, "ab\u{fffd}\u{fffd}c", "abc"),
            (b"\xe2\xe2\x82\xac", 0, "\u{fffd}\u{20ac}", "\u{20ac}"),
        ];
        for (bytes, offset, replaced, ignored) in rows {
            assert_eq!(first_invalid(bytes), Some(offset), "{bytes:x?}");
            assert_eq!(repair(bytes, Utf8Errors::Replace), replaced, "{bytes:x?}");
            assert_eq!(repair(bytes, Utf8Errors::Ignore), ignored, "{bytes:x?}");
        }
    }

    /// Bytes in which valid and invalid sequences of every length are common.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<char>().prop_map(|c| c.to_string().into_bytes()),
            (any::<char>(), 1..4usize).prop_map(|(c, cut)| {
                let bytes = c.to_string().into_bytes();
                bytes[..cut.min(bytes.len())].to_vec()
            }),
            prop::collection::vec(any::<u8>(), 0..3),
        ];
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(bytes in bytes()) {
            prop_assert_eq!(first_invalid(&bytes), std::str::from_utf8(&bytes).err().map(|error| error.valid_up_to()));
            prop_assert_eq!(decode(&bytes, Utf8Errors::Strict).err(), first_invalid(&bytes));
            let lossy = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(&repair(&bytes, Utf8Errors::Replace), &lossy);
            // Ignoring is replacing and then dropping, where the text has no U+FFFD of its own.
            if !bytes.windows(3).any(|window| window == "\u{fffd}".as_bytes()) {
                prop_assert_eq!(repair(&bytes, Utf8Errors::Ignore), lossy.replace('\u{fffd}', ""));
            }
        }
    }
}
