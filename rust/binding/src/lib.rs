//! The Python module `bloomery._core`: pyo3 and numpy glue over `bloomery-core`, no algorithm.
//!
//! The Python package adds what is not hot on top of it; see `python/bloomery/tokenizer`.

mod arguments;
mod call;
mod cutter;
mod decode;
mod encode;
mod engine;
mod errors;
mod ids;
mod ints;
mod layout;
mod objects;
mod stream;
mod string;
mod text;
mod tokenizer;
mod vocab;
mod word_counts;

use pyo3::prelude::*;

/// The Rust core of bloomery; use the names that the package `bloomery` exports.
// Items of a list are looked at before a reference to each is held, which is safe only under the GIL.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::call::Progress;
    #[pymodule_export]
    use crate::cutter::Cutter;
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::stream::{EncodeIterator, StreamDecoder};
    #[pymodule_export]
    use crate::tokenizer::Tokenizer;
    #[pymodule_export]
    use crate::word_counts::WordCounts;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
