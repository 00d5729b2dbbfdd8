//! Vocabularies and merges between Python and the core.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::errors;

/// Two tokens that join.
type Pair = (Vec<u8>, Vec<u8>);

/// The entries of a dict from id to bytes.
pub fn entries(vocab: &Bound<'_, PyDict>) -> PyResult<Vec<(Vec<u8>, u32)>> {
    let mut entries = Vec::with_capacity(vocab.len());
    for (id, token) in vocab {
        let Ok(token) = token.cast::<PyBytes>() else {
            let message = format!("vocab must map int to bytes, but {} is mapped to {}", id.repr()?, token.repr()?);
            return Err(PyTypeError::new_err(message));
        };
        let id = id.extract::<u32>().map_err(|error| {
            if error.is_instance_of::<PyTypeError>(vocab.py()) {
                return PyTypeError::new_err(format!("vocab must map int to bytes, but {id:?} is a key"));
            }
            let origin = ("origin", "vocab".into_pyobject(vocab.py()).map(Bound::into_any).map_err(PyErr::from));
            errors::exception(vocab.py(), "VocabularyError", format!("vocab: id {id} is not in 0..2**32"), [origin])
        })?;
        entries.push((token.as_bytes().to_vec(), id));
    }
    Ok(entries)
}

/// Pairs of bytes from any iterable of them.
pub fn merges(merges: &Bound<'_, PyAny>) -> PyResult<Vec<Pair>> {
    let pair = |(index, pair): (usize, PyResult<Bound<'_, PyAny>>)| {
        let pair = pair?;
        let parts = pair.extract::<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>();
        let (left, right) = parts.map_err(|_| match pair.repr() {
            Ok(pair) => PyTypeError::new_err(format!("merges must be pairs of bytes; merge {index} is {pair}")),
            Err(error) => error,
        })?;
        Ok((left.as_bytes().to_vec(), right.as_bytes().to_vec()))
    };
    merges.try_iter()?.enumerate().map(pair).collect()
}

/// A list of pairs of bytes.
pub fn pairs<'py>(py: Python<'py>, merges: &[(Vec<u8>, Vec<u8>)]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, merges.iter().map(|(left, right)| (PyBytes::new(py, left), PyBytes::new(py, right))))
}
