//! The published file formats: readers and writers between bytes and [`crate::Definition`].

mod added;
pub mod byte_chars;
pub mod gpt2;
pub mod hf;
mod json;
pub mod onig;
mod published;
mod spelt;
pub mod tiktoken;
pub mod word_counts;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::atomic::{self, AtomicFile};
use crate::definition::{AddedToken, Definition, Merges, Normalizer};
use crate::error::{Error, Result};
use crate::pretokenize::Pattern;

/// The file names of a folder in GPT-2's format, today's and those of the first release.
const GPT2_NAMES: [(&str, &str); 2] = [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")];

/// Reads a tokenizer, recognised by content: tokenizer.json, a `.tiktoken` file, or a folder with tokenizer.json or else
/// with `vocab.json` and `merges.txt`.
///
/// A tokenizer.json carries its pattern: a `pattern` that disagrees is refused. The pair of files is GPT-2's, so `gpt2` is
/// its pattern by default. For `.tiktoken` see [`tiktoken::read`]. `special_tokens` that the file lacks are appended.
///
/// # Errors
/// [`Error::Io`], [`Error::Vocabulary`], [`Error::Unsupported`], [`Error::Argument`] or [`Error::SpecialToken`].
pub fn load(path: &Path, pattern: Option<Pattern>, special_tokens: Option<Vec<String>>) -> Result<Definition> {
    if path.is_dir() {
        return load_folder(path, pattern, special_tokens);
    }
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let origin = path.display().to_string();
    let unknown = |message: &str| Err(Error::Input { origin: origin.clone(), message: message.to_owned() });
    let first_line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if bytes.trim_ascii_start().starts_with(b"{") {
        if json::is_flat(&bytes, &origin)? {
            return unknown("a vocabulary without its merges; pass the folder that has vocab.json and merges.txt both");
        }
        return load_hf(&bytes, &origin, pattern, special_tokens);
    }
    if first_line.starts_with(b"#version") {
        return unknown("merges without their vocabulary; pass the folder that has vocab.json and merges.txt both");
    }
    let digits = |rank: &[u8]| !rank.is_empty() && rank.iter().all(u8::is_ascii_digit);
    match first_line.trim_ascii_end().split(|&byte| byte == b' ').collect::<Vec<_>>().as_slice() {
        [_, rank] if digits(rank) => tiktoken::read(&bytes, &origin, pattern, special_tokens),
        _ => unknown("neither a tokenizer.json nor a .tiktoken file (a token in base64 and its rank on each line)"),
    }
}

fn load_folder(folder: &Path, pattern: Option<Pattern>, special_tokens: Option<Vec<String>>) -> Result<Definition> {
    let read = |path: &Path| fs::read(path).map_err(Error::io(path));
    let whole = folder.join("tokenizer.json");
    if whole.is_file() {
        return load_hf(&read(&whole)?, &whole.display().to_string(), pattern, special_tokens);
    }
    for (vocab, merges) in GPT2_NAMES.map(|(vocab, merges)| (folder.join(vocab), folder.join(merges))) {
        if vocab.is_file() {
            let origins = (&*vocab.display().to_string(), &*merges.display().to_string());
            let pattern = pattern.unwrap_or(Pattern::Gpt2);
            return gpt2::read(&read(&vocab)?, &read(&merges)?, origins, special_tokens, pattern);
        }
    }
    let message = "the folder has no tokenizer.json, and no vocab.json with merges.txt".to_owned();
    Err(Error::Input { origin: folder.display().to_string(), message })
}

fn load_hf(
    json: &[u8],
    origin: &str,
    pattern: Option<Pattern>,
    special_tokens: Option<Vec<String>>,
) -> Result<Definition> {
    let mut definition = hf::read(json, origin)?;
    if let Some(pattern) = pattern.filter(|pattern| *pattern != definition.pattern) {
        return Err(Error::Argument(format!(
            "{origin}: pattern={:?} disagrees with the file's own, {:?}; leave it out",
            pattern.name(),
            definition.pattern.name()
        )));
    }
    added::append_special(&mut definition, &special_tokens.unwrap_or_default())?;
    Ok(definition)
}

/// Puts a tokenizer together from a vocabulary and its merges. Special tokens that the vocabulary has keep their ids, the
/// others follow the highest one. Of two entries with the bytes of a special token, such as training makes for one that
/// is a single byte, the later is the special token.
///
/// # Errors
/// [`Error::SpecialToken`] for an empty special token or one given twice.
pub fn from_vocab(
    mut vocab: Vec<(Vec<u8>, u32)>,
    merges: Vec<(Vec<u8>, Vec<u8>)>,
    special_tokens: &[String],
    pattern: Pattern,
) -> Result<Definition> {
    vocab.sort_unstable_by_key(|(_, id)| *id);
    let mut added_tokens = Vec::new();
    for token in special_tokens {
        let mut ids = vocab.iter().enumerate().filter(|(_, (bytes, _))| bytes == token.as_bytes());
        if let (Some(_), Some((index, &(_, id))), None) = (ids.next(), ids.next(), ids.next()) {
            added_tokens.push(AddedToken::special(token, id));
            vocab.remove(index);
        }
    }
    let (merges, normalizer) = (Merges::Listed(merges), Normalizer::None);
    let mut definition = Definition { vocab, merges, added_tokens, pattern, normalizer, whole_words: false };
    added::append_special(&mut definition, special_tokens)?;
    Ok(definition)
}

/// Writes a tokenizer: `.json` as tokenizer.json, `.tiktoken` as ranks, a name without extension as a folder with
/// `vocab.json` and `merges.txt`. A file appears whole or not at all.
///
/// # Errors
/// [`Error::Argument`] for another extension, [`Error::Unsupported`], [`Error::Pattern`] or [`Error::SpecialToken`] for
/// what the format cannot carry, [`Error::Io`].
pub fn save(definition: &Definition, path: &Path) -> Result<()> {
    let origin = path.display().to_string();
    if path.is_dir() {
        return save_folder(definition, path, &origin);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => atomic::write(path, hf::write(definition, &origin)?.as_bytes()),
        Some("tiktoken") => atomic::write(path, &tiktoken::write(definition, &origin)?),
        None if path.extension().is_none() => save_folder(definition, path, &origin),
        _ => Err(Error::Argument(format!(
            "{origin}: the extension says the format: .json (tokenizer.json), .tiktoken, or none for a folder with vocab.json and merges.txt"
        ))),
    }
}

fn save_folder(definition: &Definition, folder: &Path, origin: &str) -> Result<()> {
    let (vocab, merges) = gpt2::write(definition, origin)?;
    if folder.join("tokenizer.json").exists() {
        return Err(Error::Argument(format!(
            "{origin}: the folder has a tokenizer.json, which would be read in place of vocab.json and merges.txt; remove it or choose another folder"
        )));
    }
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    // Both are whole before either appears, and an old merges.txt never stands beside a new vocab.json: whatever ends this
    // in between leaves a folder that is no tokenizer rather than a mixed one.
    let mut files = Vec::new();
    for (name, text) in [("vocab.json", vocab), ("merges.txt", merges)] {
        let mut file = AtomicFile::create(folder.join(name))?;
        file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(Error::io(file.path()))?;
        files.push(file);
    }
    let old = folder.join("merges.txt");
    match fs::remove_file(&old) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io(old)(error)),
        _ => {}
    }
    files.into_iter().try_for_each(AtomicFile::commit)
}

/// Shorthand for an [`Error::Vocabulary`].
fn broken(origin: &str, message: impl Into<String>) -> Error {
    Error::Vocabulary { origin: origin.to_owned(), message: message.into() }
}
