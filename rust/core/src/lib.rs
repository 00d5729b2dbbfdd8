//! Byte-level BPE: counting, training, encoding, and the file formats that others read.

pub mod atomic;
mod columnar;
pub mod control;
pub mod count;
mod decode;
pub mod definition;
pub mod encode;
pub mod error;
pub mod format;
mod hash;
pub mod input;
pub mod live;
pub mod memory;
mod merges;
mod normalize;
mod parallel;
pub mod pretokenize;
mod processor;
pub mod special;
mod tokenizer;
pub mod train;
mod vocab;

pub use control::{Control, Progress};
pub use count::WordCounts;
pub use decode::{StreamDecoder, incomplete_end};
pub use definition::{AddedToken, Definition, Merges, Normalizer};
pub use encode::{Allowed, Dtype, EncodeFilesOptions, EncodeReport, Id, StreamEncoder};
pub use error::{Error, Result};
pub use pretokenize::Pattern;
pub use processor::Instructions;
pub use tokenizer::Tokenizer;
pub use train::{TieBreak, train, training_memory};
