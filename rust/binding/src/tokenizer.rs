//! `Tokenizer`: the hot methods, which the Python class of that name inherits.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bloomery_core::{Allowed, Control, Dtype, EncodeFilesOptions, Error};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::arguments::{AllowedSpecial, Errors, Input, Threads, input_options, sources};
use crate::cutter::Cutter;
use crate::engine::Engine;
use crate::ids::{Ids, Place};
use crate::ints::Ints;
use crate::objects::Objects;
use crate::stream::{EncodeIterator, StreamDecoder};
use crate::text::{refuse_one, text, text_and_positions};
use crate::{arguments, call, decode, ids};

/// Ids, and the characters that each one spans.
type IdsAndSpans = (Vec<u32>, Vec<(usize, usize)>);

/// The part of a tokenizer that encodes and decodes.
#[pyclass(subclass, frozen, module = "bloomery._core")]
pub struct Tokenizer {
    pub(crate) engine: Arc<bloomery_core::Tokenizer>,
    pub(crate) ints: Ints,
}

#[pymethods]
impl Tokenizer {
    #[new]
    #[pyo3(signature = (engine, /))]
    fn new(engine: PyRef<'_, Engine>) -> Self {
        Tokenizer { engine: engine.0.clone(), ints: Ints::default() }
    }

    #[getter]
    fn _engine(&self) -> Engine {
        Engine(self.engine.clone())
    }

    /// Highest id + 1.
    #[getter]
    fn vocab_size(&self) -> usize {
        self.engine.vocab_size()
    }

    /// Encode text to a list of token ids.
    ///
    /// Args:
    ///     text: The text. Bytes are UTF-8, and faster: Python does not keep most text as UTF-8.
    ///     allowed_special: Which special tokens are recognised: "all", "none" or a collection of them. Text that spells
    ///         another one is encoded as ordinary text.
    ///     errors: What becomes of a lone surrogate, and of bytes that are not UTF-8: "strict" raises, "replace" puts U+FFFD,
    ///         "ignore" drops them.
    ///     num_threads: Threads for texts of over a megabyte; None for every core.
    ///
    /// Raises:
    ///     SpecialTokenError: ``allowed_special`` names a token that is not one of the tokenizer's.
    ///     LoneSurrogateError: The text has a lone surrogate, and ``errors`` is "strict".
    ///     InvalidUtf8Error: The bytes are not UTF-8, and ``errors`` is "strict".
    ///     PatternLimitError: The pattern is a regex of one's own and its engine gave up.
    #[pyo3(
        signature = (text, allowed_special=AllowedSpecial::ALL, *, errors=Errors::STRICT, num_threads=Threads::ALL),
        text_signature = "($self, text, allowed_special='all', *, errors='strict', num_threads=None)"
    )]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyAny>,
        allowed_special: AllowedSpecial,
        errors: Errors,
        num_threads: Threads,
    ) -> PyResult<Bound<'py, PyList>> {
        let text = self::text(text, errors.0, None)?;
        self.list(py, &text, &allowed_special.0, num_threads)
    }

    /// Encode text without recognising any special token.
    ///
    /// Args:
    ///     text: The text.
    ///     errors: As for `encode`.
    ///     num_threads: As for `encode`.
    #[pyo3(
        signature = (text, *, errors=Errors::STRICT, num_threads=Threads::ALL),
        text_signature = "($self, text, *, errors='strict', num_threads=None)"
    )]
    fn encode_ordinary<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyAny>,
        errors: Errors,
        num_threads: Threads,
    ) -> PyResult<Bound<'py, PyList>> {
        let text = self::text(text, errors.0, None)?;
        self.list(py, &text, &Allowed::None, num_threads)
    }

    /// Encode text to an array: as `encode`, but a numpy array of shape (tokens,), which is faster to make.
    ///
    /// Args:
    ///     text: The text.
    ///     allowed_special: As for `encode`.
    ///     dtype: "uint16" or "uint32"; None takes uint16 where the vocabulary fits, as for files. It takes half of the
    ///         memory, and less time; sums and products of such ids wrap around at 65,536.
    ///     errors: As for `encode`.
    ///     num_threads: As for `encode`.
    ///
    /// Raises:
    ///     ArgumentError: The ids of the vocabulary do not fit uint16, which was asked for.
    #[pyo3(
        signature = (
            text, allowed_special=AllowedSpecial::ALL, *, dtype=None, errors=Errors::STRICT, num_threads=Threads::ALL
        ),
        text_signature = "($self, text, allowed_special='all', *, dtype=None, errors='strict', num_threads=None)"
    )]
    fn encode_array<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyAny>,
        allowed_special: AllowedSpecial,
        dtype: Option<&str>,
        errors: Errors,
        num_threads: Threads,
    ) -> PyResult<Bound<'py, PyAny>> {
        let dtype = self.dtype(py, dtype)?;
        let (text, allowed) = (self::text(text, errors.0, None)?, &allowed_special.0);
        self.array(py, &text, allowed, num_threads, dtype)
    }

    /// Count the tokens of a text: ``len(encode(text))`` without making the list.
    ///
    /// Args:
    ///     text: The text.
    ///     allowed_special: As for `encode`.
    ///     errors: As for `encode`.
    ///     num_threads: As for `encode`.
    #[pyo3(
        signature = (text, allowed_special=AllowedSpecial::ALL, *, errors=Errors::STRICT, num_threads=Threads::ALL),
        text_signature = "($self, text, allowed_special='all', *, errors='strict', num_threads=None)"
    )]
    fn count(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyAny>,
        allowed_special: AllowedSpecial,
        errors: Errors,
        num_threads: Threads,
    ) -> PyResult<usize> {
        let (text, allowed) = (self::text(text, errors.0, None)?, &allowed_special.0);
        self.number(py, &text, allowed, num_threads)
    }

    /// Encode text and say where each token lies in it.
    ///
    /// Args:
    ///     text: The text.
    ///     allowed_special: As for `encode`.
    ///     errors: As for `encode`.
    ///
    /// Returns:
    ///     The ids, and for each one the ``(start, end)`` of its characters in ``text``; a token that holds a part of a
    ///     character spans the whole character.
    #[pyo3(
        signature = (text, allowed_special=AllowedSpecial::ALL, *, errors=Errors::STRICT),
        text_signature = "($self, text, allowed_special='all', *, errors='strict')"
    )]
    fn encode_with_offsets<'py>(
        &self,
        py: Python<'py>,
        text: &Bound<'py, PyAny>,
        allowed_special: AllowedSpecial,
        errors: Errors,
    ) -> PyResult<IdsAndSpans> {
        let (text, positions) = text_and_positions(text, errors.0)?;
        let encode = |control: &Control| self.engine.encode_with_offsets(&text, &allowed_special.0, control);
        let (ids, spans) = self.run(py, text.len(), encode)?;
        let given = |span: Range<usize>| match &positions {
            None => (span.start, span.end),
            Some(positions) => {
                let end = span.end.checked_sub(1).map_or(0, |last| positions[last] + 1);
                (positions.get(span.start).map_or(end, |&start| start.min(end)), end)
            }
        };
        let spans = spans.into_iter().map(given).collect();
        Ok((ids, spans))
    }

    /// Encode many texts at once, on several threads.
    ///
    /// Args:
    ///     texts: An iterable of str or bytes.
    ///     as_lists: Return a list of lists of ids instead of arrays.
    ///     allowed_special: As for `encode`.
    ///     dtype: Of the array of ids, as for `encode_array`.
    ///     errors: As for `encode`.
    ///     num_threads: Threads to use; None for every core.
    ///
    /// Returns:
    ///     The ids of all texts in an array of shape (tokens,), and the row offsets in an int64 array of shape
    ///     (texts + 1,): the ids of text i are ``ids[offsets[i]:offsets[i + 1]]``.
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python method")]
    #[pyo3(
        signature = (
            texts, *, as_lists=false, allowed_special=AllowedSpecial::ALL, dtype=None, errors=Errors::STRICT,
            num_threads=Threads::ALL
        ),
        text_signature =
            "($self, texts, *, as_lists=False, allowed_special='all', dtype=None, errors='strict', num_threads=None)"
    )]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        as_lists: bool,
        allowed_special: AllowedSpecial,
        dtype: Option<&str>,
        errors: Errors,
        num_threads: Threads,
    ) -> PyResult<Bound<'py, PyAny>> {
        let dtype = self.dtype(py, dtype)?;
        refuse_one(texts)?;
        let objects = Objects::of(texts)?;
        let texts = objects.iter().enumerate().map(|(index, object)| text(object, errors.0, Some(index)));
        let texts = texts.collect::<PyResult<Vec<_>>>()?;
        match dtype {
            Dtype::U16 => self.rows::<u16>(py, &texts, as_lists, &allowed_special.0, num_threads),
            Dtype::U32 => self.rows::<u32>(py, &texts, as_lists, &allowed_special.0, num_threads),
        }
    }

    /// Encode an iterable of strings lazily.
    ///
    /// The ids equal those of ``encode("".join(strings))``: a pre-token or a special token may span two strings. With a
    /// named pattern and no normalizer little more than the longest pre-token is held in memory; another regex or a
    /// normalizer needs the text up to the next special token, or to the end.
    ///
    /// Args:
    ///     strings: An iterable of str, for example an open text file. It is read only as ids are asked for.
    ///     allowed_special: As for `encode`.
    ///     errors: As for `encode`.
    #[pyo3(
        signature = (strings, allowed_special=AllowedSpecial::ALL, *, errors=Errors::STRICT),
        text_signature = "($self, strings, allowed_special='all', *, errors='strict')"
    )]
    fn encode_iterable(
        &self,
        py: Python<'_>,
        strings: &Bound<'_, PyAny>,
        allowed_special: AllowedSpecial,
        errors: Errors,
    ) -> PyResult<EncodeIterator> {
        EncodeIterator::new(py, self.engine.clone(), strings, allowed_special.0, errors.0)
    }

    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the Python method that wraps it")]
    #[pyo3(signature = (
        inputs, output, *, allowed_special, end_of_text, dtype, errors, field, column, num_threads, progress
    ))]
    fn _encode_files(
        &self,
        py: Python<'_>,
        inputs: Vec<Input>,
        output: PathBuf,
        allowed_special: Option<AllowedSpecial>,
        end_of_text: Option<Bound<'_, PyAny>>,
        dtype: Option<&str>,
        errors: Errors,
        field: String,
        column: String,
        num_threads: Threads,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<(u64, u64, u64, &'static str)> {
        let inputs = sources(inputs);
        let options = EncodeFilesOptions {
            input: input_options(errors, field, column),
            allowed: allowed_special.map(|allowed| allowed.0),
            end_of_text: end_of_text.map(|token| arguments::end_of_text(&token, &self.engine)).transpose()?,
            threads: num_threads.0,
            dtype: dtype.map(arguments::dtype).transpose()?,
        };
        let report = call::watched(py, progress.as_ref(), |control| {
            self.engine.encode_files(&inputs, &output, &options, control)
        })?;
        Ok((report.tokens, report.documents, report.bytes, arguments::dtype_name(report.dtype)))
    }

    /// Where text can be cut that is encoded under ``allowed_special``.
    fn _cutter(&self, py: Python<'_>, allowed_special: AllowedSpecial) -> PyResult<Cutter> {
        call::short(py, || self.engine.cutter(&allowed_special.0).map(Cutter))
    }

    /// Decode token ids to text.
    ///
    /// Args:
    ///     ids: A list, any iterable of integers, or a one-dimensional numpy array of any integer type.
    ///     errors: What becomes of bytes that are not UTF-8, for example of a character cut in two: as for
    ///         ``bytes.decode``.
    ///
    /// Raises:
    ///     TokenIdError: An id is not in the vocabulary; it has the id and its position.
    #[pyo3(signature = (ids, errors=Errors::REPLACE), text_signature = "($self, ids, errors='replace')")]
    fn decode<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>, errors: Errors) -> PyResult<Bound<'py, PyString>> {
        decode::text(py, &self.engine, &Ids::of(ids, self.alone())?, errors)
    }

    /// Decode token ids to bytes.
    ///
    /// Args:
    ///     ids: As for `decode`.
    fn decode_bytes<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        decode::bytes(py, &self.engine, &Ids::of(ids, self.alone())?)
    }

    /// Decode many rows of ids.
    ///
    /// Args:
    ///     ids: An iterable of rows, each as for `decode`; or with ``offsets`` the ids of all rows in one sequence.
    ///     offsets: Row offsets of shape (rows + 1,), as `encode_batch` returns them.
    ///     errors: As for `decode`.
    ///
    /// Returns:
    ///     A list of str, one a row.
    #[pyo3(
        signature = (ids, offsets=None, *, errors=Errors::REPLACE),
        text_signature = "($self, ids, offsets=None, *, errors='replace')"
    )]
    fn decode_batch<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        offsets: Option<&Bound<'py, PyAny>>,
        errors: Errors,
    ) -> PyResult<Bound<'py, PyList>> {
        let rows = match offsets {
            None => {
                let rows = ids.try_iter()?.enumerate();
                rows.map(|(row, ids)| in_row(py, row, self.decode(py, &ids?, errors))).collect::<PyResult<Vec<_>>>()?
            }
            Some(offsets) => {
                let ids = Ids::of(ids, self.alone())?.all(self.alone())?;
                let offsets = ids::row_offsets(offsets, ids.len())?;
                let rows = offsets.windows(2).map(|ends| Ids::Read(Cow::Borrowed(&ids[ends[0]..ends[1]]))).enumerate();
                let rows = rows.map(|(row, ids)| (row, decode::text(py, &self.engine, &ids, errors)));
                rows.map(|(row, text)| in_row(py, row, text)).collect::<PyResult<Vec<_>>>()?
            }
        };
        PyList::new(py, rows)
    }

    /// Return a decoder that takes ids one at a time and holds back an incomplete character.
    fn stream_decoder(&self) -> StreamDecoder {
        StreamDecoder::new(self.engine.clone())
    }

    /// Return the id of a token, or None.
    ///
    /// Args:
    ///     token: The token's bytes, or its text.
    fn token_to_id(&self, token: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
        Ok(self.engine.token_id(text(token, Errors::STRICT.0, None)?.bytes()))
    }

    /// Return the bytes of a token.
    ///
    /// Args:
    ///     token_id: The token's id.
    ///
    /// Raises:
    ///     TokenIdError: No token has this id.
    fn id_to_token<'py>(&self, py: Python<'py>, token_id: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let vocab_size = self.engine.vocab_size();
        let id = ids::id(token_id, 0, self.alone())?;
        let token = self.engine.token_bytes(id).ok_or(Error::TokenId { id: id.into(), position: 0, vocab_size });
        token.map(|token| PyBytes::new(py, token)).map_err(|error| crate::errors::to_python(py, error))
    }
}

impl Tokenizer {
    /// Where ids stand that stand by themselves.
    fn alone(&self) -> Place {
        Place::alone(self.engine.vocab_size())
    }
}

/// Says in which row an error came up.
fn in_row<T>(py: Python<'_>, row: usize, outcome: PyResult<T>) -> PyResult<T> {
    outcome.or_else(|error| {
        error.value(py).call_method1("add_note", (format!("in row {row}"),))?;
        Err(error)
    })
}
