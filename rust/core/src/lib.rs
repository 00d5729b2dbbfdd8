//! Byte-level BPE: counting, training, encoding, and the file formats that others read.

pub mod atomic;
mod columnar;
pub mod control;
pub mod definition;
pub mod error;
pub mod format;
pub mod input;
pub mod pretokenize;

pub use control::{Control, Progress};
pub use definition::{AddedToken, Definition, Merges, Normalizer};
pub use error::{Error, Result};
pub use pretokenize::Pattern;
