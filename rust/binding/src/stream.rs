//! Lazy encoding of an iterable of strings, and decoding one id at a time.

use std::sync::Arc;

use bloomery_core::input::Utf8Errors;
use bloomery_core::{Allowed, StreamEncoder};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PySlice, PyString};

use crate::ids::{Ids, Place};
use crate::text::{not_text, several, with_text};
use crate::{call, errors, ids};

/// A longer string is encoded in pieces of this many characters, so that the ids waiting to be handed out stay few.
const PIECE: usize = 64 << 10;

/// An iterator over the ids of an iterable of strings.
#[pyclass(module = "bloomery._core")]
pub struct EncodeIterator {
    /// None once the strings have come to their end, or something was raised.
    source: Option<Source>,
    /// Ids made; those before `next` are handed out.
    ids: Vec<u32>,
    next: usize,
}

struct Source {
    strings: Py<PyIterator>,
    /// Number of strings read, for messages.
    count: usize,
    errors: Utf8Errors,
    encoder: StreamEncoder,
    /// The string being encoded, its length, and how many of its characters are done.
    string: Option<(Py<PyString>, usize, usize)>,
}

impl EncodeIterator {
    pub fn new(
        py: Python<'_>,
        engine: Arc<bloomery_core::Tokenizer>,
        strings: &Bound<'_, PyAny>,
        allowed: Allowed,
        errors: Utf8Errors,
    ) -> PyResult<Self> {
        let strings = several(strings)?.unbind();
        let encoder = call::short(py, || StreamEncoder::new(engine, &allowed))?;
        let source = Source { strings, count: 0, errors, encoder, string: None };
        Ok(EncodeIterator { source: Some(source), ids: Vec::new(), next: 0 })
    }
}

#[pymethods]
impl EncodeIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<u32>> {
        while self.next == self.ids.len() {
            // Taken out while it works, so that after an error the iterator is at its end.
            let Some(mut source) = self.source.take() else { return Ok(None) };
            self.ids.clear();
            self.next = 0;
            if source.advance(py, &mut self.ids)? {
                self.source = Some(source);
            }
        }
        self.next += 1;
        Ok(Some(self.ids[self.next - 1]))
    }
}

impl Source {
    /// Encodes one piece more, or the rest at the end; false then.
    fn advance(&mut self, py: Python<'_>, ids: &mut Vec<u32>) -> PyResult<bool> {
        let (string, length, done) = match self.string.take() {
            Some((string, length, done)) => (string.into_bound(py), length, done),
            None => {
                let Some(object) = self.strings.bind(py).clone().next() else {
                    call::short(py, || self.encoder.finish(ids))?;
                    return Ok(false);
                };
                self.count += 1;
                let object = object?;
                let Ok(string) = object.cast::<PyString>() else { return Err(not_text(&object, self.count - 1)) };
                (string.clone(), string.code_point_len()?, 0)
            }
        };
        let end = length.min(done + PIECE);
        let piece = if (done, end) == (0, length) {
            string.as_any().clone()
        } else {
            string.get_item(PySlice::new(py, done as isize, end as isize, 1))?
        };
        let push = |text: &str| call::short(py, || self.encoder.push(text, ids));
        with_text(&piece, self.errors, (self.count - 1, done), push)??;
        if end < length {
            self.string = Some((string.unbind(), length, end));
        }
        Ok(true)
    }
}

/// Decodes ids one at a time to text; an incomplete character is held back until its last byte has come.
#[pyclass(module = "bloomery._core")]
pub struct StreamDecoder {
    engine: Arc<bloomery_core::Tokenizer>,
    decoder: bloomery_core::StreamDecoder,
    /// Number of ids taken, for messages.
    count: usize,
}

impl StreamDecoder {
    pub fn new(engine: Arc<bloomery_core::Tokenizer>) -> Self {
        let decoder = bloomery_core::StreamDecoder::new(engine.clone());
        StreamDecoder { engine, decoder, count: 0 }
    }

    fn place(&self) -> Place {
        Place { vocab_size: self.engine.vocab_size(), before: self.count }
    }

    /// Refuses ids that no token has before any is taken.
    fn take(&mut self, py: Python<'_>, ids: &[u32]) -> PyResult<String> {
        if let Some(index) = ids.iter().position(|&id| self.engine.token_bytes(id).is_none()) {
            let (id, position) = (ids[index].into(), self.count + index);
            let unknown = bloomery_core::Error::TokenId { id, position, vocab_size: self.engine.vocab_size() };
            return Err(errors::to_python(py, unknown));
        }
        self.count += ids.len();
        call::short(py, || ids.iter().map(|&id| self.decoder.push(id)).collect())
    }
}

#[pymethods]
impl StreamDecoder {
    /// Take one id and return the text that it completes, often empty.
    ///
    /// Args:
    ///     token_id: A token id.
    ///
    /// Raises:
    ///     TokenIdError: No token has this id. The decoder stays as it was.
    fn push(&mut self, py: Python<'_>, token_id: &Bound<'_, PyAny>) -> PyResult<String> {
        let id = ids::id(token_id, 0, self.place())?;
        self.take(py, &[id])
    }

    /// Take several ids and return the text that they complete.
    ///
    /// Args:
    ///     ids: As for ``Tokenizer.decode``.
    ///
    /// Raises:
    ///     TokenIdError: One of them is no token's; its position is that in the whole stream. The decoder stays as it was.
    fn feed(&mut self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<String> {
        let ids = Ids::of(ids, self.place())?.all(self.place())?;
        self.take(py, &ids)
    }

    /// Return what was held back, U+FFFD for an incomplete character, and start anew.
    fn finish(&mut self) -> String {
        self.count = 0;
        self.decoder.finish()
    }
}
