//! Corpora and vocabularies for the benchmarks, from the folder that `BLOOMERY_SHARED` names (default: `../shared` beside
//! the repository).

use std::fs::File;
use std::io::{Error, Read};
use std::path::PathBuf;

/// The folder of shared corpora and vocabularies.
pub fn shared() -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    std::env::var_os("BLOOMERY_SHARED").map_or_else(default, PathBuf::from)
}

/// The first `bytes` bytes (or a few less, to end with a line) of a `.zst` corpus.
///
/// # Errors
/// The system's, when the corpus is absent.
pub fn corpus(name: &str, bytes: u64) -> Result<String, Error> {
    let file = File::open(shared().join("corpora").join(format!("{name}.txt.zst")))?;
    let mut text = Vec::new();
    zstd::Decoder::new(file)?.take(bytes).read_to_end(&mut text)?;
    let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    text.truncate(end);
    String::from_utf8(text).map_err(Error::other)
}
