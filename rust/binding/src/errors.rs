//! Core errors as Python exceptions: every variant has one class in `bloomery.errors`, and its values become attributes.

use std::io;
use std::path::Path;

use bloomery_core::Error;
use bloomery_core::error::{Line, SPILL_ADVICE};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{IntoPyObjectExt, intern};

/// A value that an exception carries as an attribute.
type Attribute<'py> = (&'static str, PyResult<Bound<'py, PyAny>>);

/// The Python exception for a core error.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    let value = |name, value: &str| (name, value.into_bound_py_any(py));
    let number = |name, value: u64| (name, value.into_bound_py_any(py));
    match error {
        Error::Io { path, source } => os_error(py, &path, &source, None),
        Error::Spill { folder, source } => os_error(py, &folder, &source, Some(SPILL_ADVICE)),
        Error::InvalidUtf8 { origin, offset, byte } => {
            let attributes = [value("path", &origin), number("offset", offset), number("byte", byte.into())];
            exception(py, "InvalidUtf8Error", message, attributes)
        }
        Error::JsonLine { origin, line, .. } => {
            let line = match line {
                Line::Number(line) => number("line", line),
                Line::Offset(offset) => number("offset", offset),
            };
            exception(py, "InputError", message, [value("path", &origin), line])
        }
        Error::Input { origin, .. } => exception(py, "InputError", message, [value("path", &origin)]),
        Error::Vocabulary { origin, .. } => exception(py, "VocabularyError", message, [value("origin", &origin)]),
        Error::Unsupported { origin, feature } => {
            exception(py, "UnsupportedError", message, [value("origin", &origin), value("feature", &feature)])
        }
        Error::VocabSize { vocab_size, special_tokens } => {
            let attributes = [number("vocab_size", vocab_size as u64), number("special_tokens", special_tokens as u64)];
            exception(py, "VocabSizeError", message, attributes)
        }
        Error::SpecialToken { token, .. } => exception(py, "SpecialTokenError", message, [value("token", &token)]),
        Error::TokenId { id, position, vocab_size } => {
            let attributes =
                [number("id", id), number("position", position as u64), number("vocab_size", vocab_size as u64)];
            exception(py, "TokenIdError", message, attributes)
        }
        Error::Pattern { pattern, .. } => exception(py, "PatternError", message, [value("pattern", &pattern)]),
        Error::PatternLimit { pattern, offset, length, .. } => {
            let attributes =
                [value("pattern", &pattern), number("offset", offset as u64), number("length", length as u64)];
            exception(py, "PatternLimitError", message, attributes)
        }
        Error::WordCountsMismatch { what, left, right } => {
            let attributes = [value("what", &what), value("left", &left), value("right", &right)];
            exception(py, "WordCountsMismatchError", message, attributes)
        }
        Error::CountOverflow { .. } => exception(py, "CountOverflowError", message, []),
        Error::Memory { needed, available, .. } => exception(
            py,
            "InsufficientMemoryError",
            message,
            [number("needed", needed), number("available", available)],
        ),
        Error::Argument(_) => exception(py, "ArgumentError", message, []),
        Error::Cancelled => PyKeyboardInterrupt::new_err(()),
    }
}

/// An instance of a class of `bloomery.errors`.
pub fn exception<'py>(
    py: Python<'py>,
    class: &str,
    message: String,
    attributes: impl IntoIterator<Item = Attribute<'py>>,
) -> PyErr {
    let build = || -> PyResult<Bound<'py, PyAny>> {
        let made = module(py)?.getattr(class)?.call1((message,))?;
        for (name, value) in attributes {
            made.setattr(name, value?)?;
        }
        Ok(made)
    };
    build().map_or_else(|error| error, PyErr::from_value)
}

/// The error for a core that panicked: a fault of this package, whatever the input was.
pub fn internal(py: Python<'_>, panic: &str) -> PyErr {
    let message = format!("internal error in the Rust core: {panic}; please report it with the input that caused it");
    exception(py, "InternalError", message, [])
}

/// An `OSError` with errno and filename, so that Python picks `FileNotFoundError` and its like.
fn os_error(py: Python<'_>, path: &Path, source: &io::Error, advice: Option<&str>) -> PyErr {
    let reason = match source.raw_os_error() {
        Some(code) => py
            .import(intern!(py, "os"))
            .and_then(|os| os.call_method1(intern!(py, "strerror"), (code,))?.extract::<String>())
            .map(|reason| (code, reason)),
        None => Ok((code_of_kind(source.kind()), source.to_string())),
    };
    match reason {
        Ok((code, mut reason)) => {
            if let Some(advice) = advice {
                reason = format!("{reason}; {advice}");
            }
            PyOSError::new_err((code, reason, path.as_os_str().to_owned()))
        }
        Err(error) => error,
    }
}

/// The code that the system would have given an error that did not come from it; EIO stands for any other.
fn code_of_kind(kind: io::ErrorKind) -> i32 {
    match kind {
        io::ErrorKind::NotFound => 2,
        io::ErrorKind::PermissionDenied => 13,
        io::ErrorKind::AlreadyExists => 17,
        io::ErrorKind::NotADirectory => 20,
        io::ErrorKind::IsADirectory => 21,
        io::ErrorKind::InvalidInput => 22,
        io::ErrorKind::StorageFull => 28,
        io::ErrorKind::ReadOnlyFilesystem => 30,
        _ => 5,
    }
}

fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    MODULE.get_or_try_init(py, || py.import("bloomery.errors").map(Bound::unbind)).map(|module| module.bind(py))
}
