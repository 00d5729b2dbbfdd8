//! Arguments that several methods take, parsed once: `allowed_special`, `errors`, `num_threads`, `tie_break`, inputs.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use bloomery_core::input::{InputOptions, Source, Stretch, Utf8Errors};
use bloomery_core::{Allowed, Dtype, Error, TieBreak, Tokenizer};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PySet, PyString, PyTuple};

use crate::ids::Place;
use crate::{errors, ids};

/// `allowed_special`: "all", "none" or a collection of special tokens.
pub struct AllowedSpecial(pub Allowed);

impl AllowedSpecial {
    pub const ALL: AllowedSpecial = AllowedSpecial(Allowed::All);
}

impl<'py> FromPyObject<'_, 'py> for AllowedSpecial {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(name) = object.cast::<PyString>() {
            return match name.to_str()? {
                "all" => Ok(AllowedSpecial(Allowed::All)),
                "none" => Ok(AllowedSpecial(Allowed::None)),
                other => Err(PyValueError::new_err(format!(
                    "allowed_special must be \"all\", \"none\" or a collection of special tokens, not {other:?}; \
                     for one token write {{{other:?}}}"
                ))),
            };
        }
        let Ok(tokens) = object.try_iter() else {
            let message = "allowed_special must be \"all\", \"none\" or a collection of special tokens";
            return Err(PyTypeError::new_err(message));
        };
        let tokens = tokens.map(|token| token?.extract::<String>()).collect::<PyResult<_>>()?;
        Ok(AllowedSpecial(Allowed::Only(tokens)))
    }
}

/// `errors`: "strict", "replace" or "ignore".
#[derive(Clone, Copy)]
pub struct Errors(pub Utf8Errors);

impl Errors {
    pub const STRICT: Errors = Errors(Utf8Errors::Strict);
    pub const REPLACE: Errors = Errors(Utf8Errors::Replace);

    /// As Python's codecs name it.
    pub fn codec_name(self) -> &'static CStr {
        match self.0 {
            Utf8Errors::Strict => c"strict",
            Utf8Errors::Replace => c"replace",
            Utf8Errors::Ignore => c"ignore",
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Errors {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<&str>()? {
            "strict" => Ok(Errors(Utf8Errors::Strict)),
            "replace" => Ok(Errors(Utf8Errors::Replace)),
            "ignore" => Ok(Errors(Utf8Errors::Ignore)),
            other => {
                let message = format!("errors must be \"strict\", \"replace\" or \"ignore\", not {other:?}");
                Err(PyValueError::new_err(message))
            }
        }
    }
}

/// `num_threads`: None for every core, else at least 1.
#[derive(Clone, Copy)]
pub struct Threads(pub Option<usize>);

impl Threads {
    pub const ALL: Threads = Threads(None);
}

impl<'py> FromPyObject<'_, 'py> for Threads {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<Option<i64>>()? {
            None => Ok(Threads(None)),
            Some(threads) => match usize::try_from(threads) {
                Ok(threads) if threads > 0 => Ok(Threads(Some(threads))),
                _ => {
                    let message = format!("num_threads must be at least 1, or None for every core, not {threads}");
                    Err(PyValueError::new_err(message))
                }
            },
        }
    }
}

/// `tie_break`: "lexicographic" or "huggingface".
#[derive(Clone, Copy)]
pub struct TieBreakName(pub TieBreak);

impl<'py> FromPyObject<'_, 'py> for TieBreakName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<&str>()? {
            "lexicographic" => Ok(TieBreakName(TieBreak::Lexicographic)),
            "huggingface" => Ok(TieBreakName(TieBreak::HuggingFace)),
            other => {
                let message = format!("tie_break must be \"lexicographic\" or \"huggingface\", not {other:?}");
                Err(PyValueError::new_err(message))
            }
        }
    }
}

/// `special_tokens`: strings in an order of their own, which decides their ids.
pub struct SpecialTokens(pub Vec<String>);

impl<'py> FromPyObject<'_, 'py> for SpecialTokens {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("special_tokens must be a list of str, not one str; put it in a list"));
        }
        if object.is_instance_of::<PySet>() || object.is_instance_of::<PyFrozenSet>() {
            let message = "special_tokens must have an order, since it decides their ids: give a list, not a set";
            return Err(PyTypeError::new_err(message));
        }
        let tokens = object.try_iter()?.map(|token| token?.extract::<String>()).collect::<PyResult<_>>()?;
        Ok(SpecialTokens(tokens))
    }
}

/// `vocab_size`: a negative one is refused by name rather than by the limits of a machine word.
#[derive(Clone, Copy)]
pub struct VocabSize(pub usize);

impl<'py> FromPyObject<'_, 'py> for VocabSize {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        object.extract::<usize>().map(VocabSize).map_err(|error| {
            if !error.is_instance_of::<PyOverflowError>(object.py()) {
                return error;
            }
            let message = format!("vocab_size {} is outside of what is possible", &*object);
            errors::exception(object.py(), "ArgumentError", message, [])
        })
    }
}

/// `end_of_text`: one of the tokenizer's special tokens, or any of its ids.
pub fn end_of_text(object: &Bound<'_, PyAny>, engine: &Tokenizer) -> PyResult<u32> {
    let Ok(token) = object.cast::<PyString>() else {
        let id = ids::id(object, 0, Place::alone(engine.vocab_size()))?;
        let unknown = Error::TokenId { id: id.into(), position: 0, vocab_size: engine.vocab_size() };
        return engine.token_bytes(id).map(|_| id).ok_or_else(|| errors::to_python(object.py(), unknown));
    };
    let token = token.to_str()?;
    let added = engine.definition().added_tokens.iter().find(|added| added.special && added.content == token);
    added.map(|added| added.id).ok_or_else(|| {
        let problem = "not one of this tokenizer's special tokens".into();
        errors::to_python(object.py(), Error::SpecialToken { token: token.into(), problem })
    })
}

/// `dtype` of a file of ids: "uint16" or "uint32".
pub fn dtype(name: &str) -> PyResult<Dtype> {
    match name {
        "uint16" => Ok(Dtype::U16),
        "uint32" => Ok(Dtype::U32),
        other => Err(PyValueError::new_err(format!("dtype must be \"uint16\" or \"uint32\", not {other:?}"))),
    }
}

/// The numpy name of a type of ids.
pub fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::U16 => "uint16",
        Dtype::U32 => "uint32",
    }
}

/// One of `inputs`: a path, `-` standing for standard input, or a stretch as (name, file, held_from, start, end, size).
pub struct Input(Source);

impl<'py> FromPyObject<'_, 'py> for Input {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(tuple) = object.cast::<PyTuple>() {
            let (name, file, held_from, start, end, size) = tuple.extract()?;
            return Ok(Input(Source::Stretch(Stretch { name, file, held_from, range: start..end, size })));
        }
        let path: PathBuf = object.extract()?;
        Ok(Input(if path == Path::new("-") { Source::Stdin } else { Source::Path(path) }))
    }
}

/// What the core reads.
pub fn sources(inputs: Vec<Input>) -> Vec<Source> {
    inputs.into_iter().map(|input| input.0).collect()
}

/// How inputs are read.
pub fn input_options(errors: Errors, field: String, column: String) -> InputOptions {
    InputOptions { errors: errors.0, field, column }
}
