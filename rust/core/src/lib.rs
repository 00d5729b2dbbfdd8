//! Byte-level BPE: counting, training, encoding, and the file formats that others read.

pub mod atomic;
pub mod control;
pub mod count;
pub mod definition;
pub mod error;
pub mod format;
pub mod input;
mod parallel;
pub mod pretokenize;
pub mod special;
pub mod train;

pub use control::{Control, Progress};
pub use count::WordCounts;
pub use definition::{AddedToken, Definition, Merges, Normalizer};
pub use error::{Error, Result};
pub use pretokenize::Pattern;
pub use train::{TieBreak, train};
