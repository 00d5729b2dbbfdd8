//! Text from Python strings: UTF-8 without a copy where Python has it, and the rare lone surrogate by a slow path.

use std::borrow::Cow;
use std::ops::Deref;

use bloomery_core::input::Utf8Errors;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyIterator, PyString};

use crate::errors;

/// The text of a `str`. `index` is its place among several, for messages.
pub fn text<'a>(object: &'a Bound<'_, PyAny>, errors: Utf8Errors, index: Option<usize>) -> PyResult<Cow<'a, str>> {
    let Ok(string) = object.cast::<PyString>() else { return Err(not_text(object, index)) };
    match string.to_str() {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) => Ok(Cow::Owned(repaired(string, errors, index, error)?.0)),
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
            let (text, positions) = repaired(string, errors, None, error)?;
            Ok((Cow::Owned(text), Some(positions)))
        }
    }
}

/// Text that outlives the call: a `str` kept alive, or a repaired copy of one.
pub enum OwnedText {
    Python(PyBackedStr),
    Repaired(String),
}

impl OwnedText {
    pub fn new(object: Bound<'_, PyAny>, errors: Utf8Errors, index: Option<usize>) -> PyResult<Self> {
        match text(&object, errors, index)? {
            Cow::Owned(text) => Ok(OwnedText::Repaired(text)),
            Cow::Borrowed(_) => Ok(OwnedText::Python(object.extract()?)),
        }
    }
}

impl Deref for OwnedText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            OwnedText::Python(text) => text,
            OwnedText::Repaired(text) => text,
        }
    }
}

/// Refuses one string where several are wanted: it would silently be taken for its characters.
pub fn several<'py>(texts: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    if texts.is_instance_of::<PyString>() || texts.is_instance_of::<PyBytes>() {
        let message = format!("texts must be an iterable of str, not one {}; put it in a list", type_name(texts));
        return Err(PyTypeError::new_err(message));
    }
    texts.try_iter()
}

fn not_text(object: &Bound<'_, PyAny>, index: Option<usize>) -> PyErr {
    let place = index.map_or(String::new(), |index| format!(" (string {index})"));
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
    index: Option<usize>,
    error: PyErr,
) -> PyResult<(String, Vec<usize>)> {
    let py = string.py();
    if !error.is_instance_of::<PyUnicodeEncodeError>(py) {
        return Err(error);
    }
    if matches!(errors, Utf8Errors::Strict) {
        return Err(lone_surrogate(string, index, &error));
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

fn lone_surrogate(string: &Bound<'_, PyString>, index: Option<usize>, error: &PyErr) -> PyErr {
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
    let place = index.map_or_else(|| "the text".into(), |index| format!("string {index}"));
    let message = format!(
        "lone surrogate U+{code:04X} at character {position} of {place}; \
         pass errors=\"replace\" to put U+FFFD there, or errors=\"ignore\" to drop it"
    );
    errors::exception(py, "LoneSurrogateError", message, [("position", position.into_bound_py_any(py))])
}
