//! `tokenizer.json` of the `tokenizers` package, the native format: byte-level BPE, read and written whole.

mod components;
mod read;
mod write;

pub use read::read;
pub use write::write;
