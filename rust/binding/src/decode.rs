//! Text from token ids: the core gives bytes, Python's own decoder makes the `str`.
//!
//! A `str` is stored in one, two or four bytes a character, as its widest one needs, and Python's decoder, which cannot
//! know that one beforehand, begins anew at every wider one. So stretches that are ASCII, whose decoding is copying, and
//! the others are decoded apart and joined: English text takes a tenth to a quarter less time, other text the same. (Tried, and
//! slower: to append each stretch to the text so far. It saves the memory of the stretches, a tenth of the time where all is
//! ASCII, but the text is made anew at a wider character: half as much time again in English.)

use std::ops::Range;

use bloomery_core::{Tokenizer, incomplete_end};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use pyo3::{ffi, intern};

use crate::arguments::Errors;
use crate::call;
use crate::ids::{Ids, Place};

/// Ids that are read and decoded at a time, so that they and their bytes stay in the cache; signals are looked for in between.
const BLOCK: usize = 1 << 16;
/// Below this many ids the work is shorter than giving the GIL away and taking it back.
const RELEASE_GIL: usize = 4 << 10;
/// Bytes that are ASCII or not as a whole, when stretches are told apart.
const CHUNK: usize = 256;

/// The text of ids.
pub fn text<'py>(
    py: Python<'py>,
    engine: &Tokenizer,
    ids: &Ids<'_, 'py>,
    errors: Errors,
) -> PyResult<Bound<'py, PyString>> {
    let mut blocks = Blocks::of(engine, ids);
    let mut bytes = Vec::new();
    let mut pieces = Vec::new();
    while let Some(is_last) = blocks.decode_next(py, &mut bytes)? {
        let whole = bytes.len() - if is_last { 0 } else { incomplete_end(&bytes) };
        for stretch in stretches(&bytes[..whole]) {
            let Ok(piece) = decoded(py, stretch, errors) else {
                // For the error that has the position in the whole.
                return decoded(py, &self::bytes(py, engine, ids)?, errors);
            };
            pieces.push(piece);
        }
        bytes.drain(..whole);
    }
    if let [piece] = pieces.as_slice() {
        return Ok(piece.clone());
    }
    let pieces = PyList::new(py, pieces)?;
    Ok(PyString::new(py, "").call_method1(intern!(py, "join"), (pieces,))?.cast_into::<PyString>()?)
}

/// The bytes of ids.
pub fn bytes(py: Python<'_>, engine: &Tokenizer, ids: &Ids<'_, '_>) -> PyResult<Vec<u8>> {
    let mut blocks = Blocks::of(engine, ids);
    let mut bytes = Vec::new();
    while blocks.decode_next(py, &mut bytes)?.is_some() {}
    Ok(bytes)
}

/// Ids being decoded a block at a time.
struct Blocks<'a, 'py> {
    engine: &'a Tokenizer,
    ids: &'a Ids<'a, 'py>,
    /// Positions of the next.
    next: Range<usize>,
    block: Vec<u32>,
}

impl<'a, 'py> Blocks<'a, 'py> {
    fn of(engine: &'a Tokenizer, ids: &'a Ids<'a, 'py>) -> Self {
        Blocks { engine, ids, next: 0..BLOCK, block: Vec::new() }
    }

    /// Appends the bytes of the next block to `bytes` and tells whether it was the last; None behind that one.
    fn decode_next(&mut self, py: Python<'_>, bytes: &mut Vec<u8>) -> PyResult<Option<bool>> {
        let Blocks { engine, ids, next, block } = self;
        if next.start >= ids.len() {
            return Ok(None);
        }
        if next.start > 0 {
            py.check_signals()?;
        }
        ids.read(next.clone(), Place::alone(engine.vocab_size()), block)?;
        let decode = || engine.decode_into(block, next.start, bytes);
        if block.len() < RELEASE_GIL {
            call::short(py, decode)?;
        } else {
            call::detached(py, decode)?;
        }
        *next = next.end..next.end + BLOCK;
        Ok(Some(next.start >= ids.len()))
    }
}

fn decoded<'py>(py: Python<'py>, bytes: &[u8], errors: Errors) -> PyResult<Bound<'py, PyString>> {
    let (errors, length) = (errors.codec_name(), bytes.len() as ffi::Py_ssize_t);
    // SAFETY: the bytes are there for the length of the call, and what it returns is a new reference to a `str`, or null
    // with an exception set.
    unsafe {
        let string = ffi::PyUnicode_DecodeUTF8(bytes.as_ptr().cast(), length, errors.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(py, string)?.cast_into_unchecked())
    }
}

/// Cuts bytes into stretches of ASCII and of other text. No character stands across a cut, since one side of it is ASCII.
fn stretches(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let mut chunks = rest.chunks(CHUNK).map(<[u8]>::is_ascii);
        let first = chunks.next()?;
        let same = 1 + chunks.take_while(|&ascii| ascii == first).count();
        let (stretch, behind) = rest.split_at(rest.len().min(same * CHUNK));
        rest = behind;
        Some(stretch)
    })
}
