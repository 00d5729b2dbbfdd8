//! Token ids to bytes and text.

use bloomery_core::Tokenizer;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::arguments::Errors;
use crate::call;
use crate::ids::{Ids, Place};
use crate::string;

/// Ids that are read and decoded at a time, so that they stay in the cache; signals are looked for in between.
const BLOCK: usize = 1 << 16;
/// Below this many ids the work is shorter than giving the GIL away and taking it back.
const RELEASE_GIL: usize = 4 << 10;

/// The text of ids.
pub fn text<'py>(
    py: Python<'py>,
    engine: &Tokenizer,
    ids: &Ids<'_, 'py>,
    errors: Errors,
) -> PyResult<Bound<'py, PyString>> {
    string::from_utf8(py, &decoded(py, engine, ids)?, errors)
}

/// The bytes of ids.
pub fn bytes<'py>(py: Python<'py>, engine: &Tokenizer, ids: &Ids<'_, 'py>) -> PyResult<Bound<'py, PyBytes>> {
    string::to_bytes(py, &decoded(py, engine, ids)?)
}

fn decoded(py: Python<'_>, engine: &Tokenizer, ids: &Ids<'_, '_>) -> PyResult<Vec<u8>> {
    let (mut bytes, mut block, mut start) = (Vec::new(), Vec::new(), 0);
    // A list may become longer or shorter while its ids are read.
    while start < ids.len() {
        if start > 0 {
            py.check_signals()?;
        }
        ids.read(start..start + BLOCK, Place::alone(engine.vocab_size()), &mut block)?;
        let decode = || engine.decode_into(&block, start, &mut bytes);
        if block.len() < RELEASE_GIL {
            call::short(py, decode)?;
        } else {
            call::detached(py, decode)?;
        }
        start += BLOCK;
    }
    Ok(bytes)
}
