//! Text from Python strings: UTF-8 without a copy where Python has it, and the rare lone surrogate by a slow path. And from
//! bytes, which are UTF-8 already.

use std::borrow::Cow;

use bloomery_core::input::{MaybeUtf8, Utf8Errors};
use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};
use pyo3::{IntoPyObjectExt, intern};

use crate::errors;

/// Which text it is, for messages.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Its place among several.
    index: Option<usize>,
    /// The character of it at which the part in hand begins.
    start: usize,
}

/// The text of a `str`, or `bytes`, which are still to be checked. `index` is its place among several, for messages.
pub fn text<'a>(object: &'a Bound<'_, PyAny>, invalid: Utf8Errors, index: Option<usize>) -> PyResult<MaybeUtf8<'a>> {
    let place = Place { index, start: 0 };
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(MaybeUtf8::Bytes(bytes.as_bytes(), invalid));
    }
    let Ok(string) = object.cast::<PyString>() else {
        let place = index.map_or_else(String::new, |index| format!(" (text {index})"));
        return Err(PyTypeError::new_err(format!("text must be str or bytes, not {}{place}", type_name(object))));
    };
    match string.to_str() {
        Ok(text) => Ok(text.into()),
        Err(error) => Ok(MaybeUtf8::Text(Cow::Owned(repaired(string, invalid, place, error)?.0))),
    }
}

/// The text of a `str` and, if characters were dropped from it, where in the `str` each remaining one was.
pub fn text_and_positions<'a>(
    object: &'a Bound<'_, PyAny>,
    errors: Utf8Errors,
) -> PyResult<(Cow<'a, str>, Option<Vec<usize>>)> {
    let Ok(string) = object.cast::<PyString>() else { return Err(not_text(object, None)) };
    match string.to_str() {
        Ok(text) => Ok((Cow::Borrowed(text), None)),
        Err(error) => {
            let (text, positions) = repaired(string, errors, Place::default(), error)?;
            Ok((Cow::Owned(text), Some(positions)))
        }
    }
}

/// Hands the text of a `str` to `take`, and leaves no UTF-8 copy of it in the `str`, which its owner may keep for long
/// beside millions of others. `start` is where in the string at `index` this part of it begins.
pub fn with_text<T>(
    object: &Bound<'_, PyAny>,
    errors: Utf8Errors,
    (index, start): (usize, usize),
    take: impl FnOnce(&str) -> T,
) -> PyResult<T> {
    let place = Place { index: Some(index), start };
    let Ok(string) = object.cast::<PyString>() else { return Err(not_text(object, place.index)) };
    // Python keeps ASCII as UTF-8 anyway.
    if string.call_method0(intern!(object.py(), "isascii"))?.is_truthy()? {
        return Ok(take(string.to_str()?));
    }
    match string.encode_utf8() {
        // Python wrote it, so nothing is lossy here.
        Ok(bytes) => Ok(take(&String::from_utf8_lossy(bytes.as_bytes()))),
        Err(error) => Ok(take(&repaired(string, errors, place, error)?.0)),
    }
}

/// Refuses one string where several are wanted: it would silently be taken for its characters.
pub fn refuse_one(texts: &Bound<'_, PyAny>) -> PyResult<()> {
    if texts.is_instance_of::<PyString>() || texts.is_instance_of::<PyBytes>() {
        let message = format!("texts must be an iterable of str, not one {}; put it in a list", type_name(texts));
        return Err(PyTypeError::new_err(message));
    }
    Ok(())
}

/// Several texts, one after the other.
pub fn several<'py>(texts: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    refuse_one(texts)?;
    texts.try_iter()
}

/// The error for an object that is no `str`, one of several or by itself.
pub fn not_text(object: &Bound<'_, PyAny>, index: impl Into<Option<usize>>) -> PyErr {
    let place = index.into().map_or(String::new(), |index| format!(" (string {index})"));
    let advice = if object.is_instance_of::<PyBytes>() { "; decode it first: data.decode(\"utf-8\")" } else { "" };
    PyTypeError::new_err(format!("text must be str, not {}{place}{advice}", type_name(object)))
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".into(), |name| name.to_string())
}

/// `string` with its surrogates replaced or dropped, and the place of each remaining character.
fn repaired(
    string: &Bound<'_, PyString>,
    errors: Utf8Errors,
    place: Place,
    error: PyErr,
) -> PyResult<(String, Vec<usize>)> {
    let py = string.py();
    if !error.is_instance_of::<PyUnicodeEncodeError>(py) {
        return Err(error);
    }
    if matches!(errors, Utf8Errors::Strict) {
        return Err(lone_surrogate(string, place, &error));
    }
    let units = string.call_method1("encode", ("utf-32-le", "surrogatepass"))?;
    let units = units.cast_into::<PyBytes>()?;
    let (mut text, mut positions) = (String::new(), Vec::new());
    for (position, unit) in units.as_bytes().chunks_exact(4).enumerate() {
        let replacement = matches!(errors, Utf8Errors::Replace).then_some(char::REPLACEMENT_CHARACTER);
        let code = u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]);
        if let Some(character) = char::from_u32(code).or(replacement) {
            text.push(character);
            positions.push(position);
        }
    }
    Ok((text, positions))
}

fn lone_surrogate(string: &Bound<'_, PyString>, place: Place, error: &PyErr) -> PyErr {
    let py = string.py();
    let found = || -> PyResult<(usize, u32)> {
        let position: usize = error.value(py).getattr("start")?.extract()?;
        let unit = string.get_item(position)?.call_method1("encode", ("utf-32-le", "surrogatepass"))?;
        Ok((position, u32::from_le_bytes(unit.extract()?)))
    };
    let (position, code) = match found() {
        Ok(found) => found,
        Err(error) => return error,
    };
    let position = position + place.start;
    let whole = place.index.map_or_else(|| "the text".into(), |index| format!("string {index}"));
    let message = format!(
        "lone surrogate U+{code:04X} at character {position} of {whole}; \
         pass errors=\"replace\" to put U+FFFD there, or errors=\"ignore\" to drop it"
    );
    errors::exception(py, "LoneSurrogateError", message, [("position", position.into_bound_py_any(py))])
}
