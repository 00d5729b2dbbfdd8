//! Text to token ids.

mod added;
mod batch;
mod beside;
mod cache;
mod file;
mod front;
mod gather;
mod id;
mod index;
mod lanes;
mod line;
mod memo;
mod npy;
mod offsets;
mod pending;
mod recycled;
mod selection;
mod slots;
mod splits;
mod stream;
mod text;
mod value;
mod word;

pub use file::{EncodeFilesOptions, EncodeReport};
pub use id::{Dtype, Id};
pub(crate) use recycled::Recycled;
pub use selection::Allowed;
pub(crate) use selection::Selection;
pub use stream::StreamEncoder;
pub(crate) use text::ScratchPool;
pub(crate) use word::Bpe;
