//! What is to be read, and what its name and first bytes say about how.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Something to read text from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file. Its name decides how it is read: `.jsonl` and `.ndjson` are JSON lines, `.parquet` is Parquet, all else
    /// is text; text and JSON lines may be compressed (`.gz`, `.zst` after that).
    Path(PathBuf),
    /// A part of a file, or a file that is kept elsewhere.
    Stretch(Stretch),
    /// Standard input, as text.
    Stdin,
}

/// A part of a file, read as if the whole were: errors give offsets in the whole, and only the last part ends the file.
/// What is not compressed can be read in parts: text, which begin and end at safe cuts, and JSON lines, which begin and end
/// between lines. Of other files the part is all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// What the whole is called; decides the format, and stands in errors.
    pub name: PathBuf,
    /// Where the bytes are: the whole itself, or a copy of the part.
    pub file: PathBuf,
    /// Where the first byte of `file` lies in the whole: 0, or the start of a part that was copied.
    pub held_from: u64,
    /// The part.
    pub range: Range<u64>,
    /// Bytes of the whole.
    pub size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    JsonLines,
    Parquet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    Stdin,
    /// A pipe, a terminal, a device: read once from the start, and possibly waited for.
    Special,
    /// A regular file of that many bytes.
    Regular(u64),
}

/// A source that is there, is readable and looks like what its name says.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// What it is called in errors.
    pub(super) name: Arc<Path>,
    /// Where its bytes are.
    pub(super) path: Arc<Path>,
    /// The part of the file at `path` that is read, where it is not all of it.
    pub(super) part: Option<Part>,
    pub(super) format: Format,
    pub(super) compression: Compression,
    pub(super) storage: Storage,
}

/// A part of a file.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// In the file.
    pub(super) range: Range<u64>,
    /// Where the file's first byte lies in the whole that errors speak of.
    pub(super) held_from: u64,
    /// The whole ends with it.
    pub(super) ends_file: bool,
}

impl Checked {
    /// Opens regular files for a look but does not keep them open: there may be more of them than a process may hold.
    pub(super) fn new(source: &Source) -> Result<Checked> {
        let path = match source {
            Source::Path(path) => path.as_path(),
            Source::Stretch(stretch) => return Checked::of_stretch(stretch),
            Source::Stdin => {
                let name: Arc<Path> = Path::new("<stdin>").into();
                return Ok(Checked {
                    name: name.clone(),
                    path: name,
                    part: None,
                    format: Format::Text,
                    compression: Compression::None,
                    storage: Storage::Stdin,
                });
            }
        };
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        if metadata.is_dir() {
            return Err(fault(path, "is a folder; give the files in it, or a pattern such as folder/*.txt"));
        }
        let (format, compression) = by_name(path)?;
        if metadata.is_file() {
            // An empty file is empty text, whatever its name.
            let compression = if metadata.len() == 0 { Compression::None } else { compression };
            check_magic(path, path, compression)?;
            let path: Arc<Path> = path.into();
            let storage = Storage::Regular(metadata.len());
            return Ok(Checked { name: path.clone(), path, part: None, format, compression, storage });
        }
        if format == Format::Parquet {
            return Err(fault(path, "Parquet is read from regular files only, since its index stands at the end"));
        }
        let path: Arc<Path> = path.into();
        Ok(Checked { name: path.clone(), path, part: None, format, compression, storage: Storage::Special })
    }

    fn of_stretch(stretch: &Stretch) -> Result<Checked> {
        let Stretch { name, file, held_from, range, size } = stretch;
        let metadata = fs::metadata(file).map_err(Error::io(name))?;
        let (format, compression) = by_name(name)?;
        let compression = if *size == 0 { Compression::None } else { compression };
        let is_whole = *range == (0..*size);
        if !is_whole && (format == Format::Parquet || compression != Compression::None) {
            return Err(fault(name, "only text and JSON lines that are not compressed can be read in parts"));
        }
        let held = if name == file { *size } else { range.end.saturating_sub(*held_from) };
        if metadata.len() != held || range.start < *held_from || range.end > *size || range.is_empty() && !is_whole {
            let message =
                format!("has {} bytes where {held} were expected; it was changed while it was read", metadata.len());
            return Err(fault(name, message));
        }
        check_magic(name, file, compression)?;
        let part = Part {
            range: range.start - held_from..range.end - held_from,
            held_from: *held_from,
            ends_file: range.end == *size,
        };
        Ok(Checked {
            name: name.as_path().into(),
            path: file.as_path().into(),
            part: (!is_whole).then_some(part),
            format,
            compression,
            storage: Storage::Regular(range.end - range.start),
        })
    }
}

/// [`Error::Input`] with the path.
pub(super) fn fault(path: &Path, message: impl Into<String>) -> Error {
    Error::Input { origin: path.display().to_string(), message: message.into() }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

fn by_name(path: &Path) -> Result<(Format, Compression)> {
    let outer = extension(path);
    let (compression, inner) = match outer.as_str() {
        "gz" => (Compression::Gzip, extension(Path::new(path.file_stem().unwrap_or_default()))),
        "zst" => (Compression::Zstd, extension(Path::new(path.file_stem().unwrap_or_default()))),
        // As text these could only be refused later as invalid UTF-8, or be taken for garbage under other `errors`.
        "bz2" | "xz" | "lz4" | "7z" | "zip" | "tar" | "tgz" => {
            return Err(fault(path, format!(".{outer} files are not read; unpack it, or compress it as .gz or .zst")));
        }
        _ => (Compression::None, outer),
    };
    match inner.as_str() {
        "jsonl" | "ndjson" => Ok((Format::JsonLines, compression)),
        "parquet" if compression == Compression::None => Ok((Format::Parquet, compression)),
        "parquet" => Err(fault(path, "Parquet files are compressed inside; unpack this one")),
        "tar" => Err(fault(path, "archives are not read; unpack it and give the files in it")),
        _ => Ok((Format::Text, compression)),
    }
}

/// Holds the first bytes against the name; without compression it only sees whether the file can be opened.
fn check_magic(origin: &Path, path: &Path, compression: Compression) -> Result<()> {
    let file = File::open(path).map_err(Error::io(origin))?;
    let mut head = Vec::with_capacity(4);
    file.take(4).read_to_end(&mut head).map_err(Error::io(origin))?;
    let (looks_right, name) = match compression {
        Compression::None => return Ok(()),
        Compression::Gzip => (head.starts_with(&[0x1f, 0x8b]), "gzip"),
        // A frame, or a skippable frame (0x184d2a50 to 0x184d2a5f, little-endian).
        Compression::Zstd => {
            let skippable = matches!(head[..], [0x50..=0x5f, 0x2a, 0x4d, 0x18]);
            (head == [0x28, 0xb5, 0x2f, 0xfd] || skippable, "zstd")
        }
    };
    if looks_right {
        return Ok(());
    }
    Err(fault(origin, format!("is not {name} data, although its name says so; rename it, or compress it with {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_the_format() {
        let rows = [
            ("a.txt", Format::Text, Compression::None),
            ("a", Format::Text, Compression::None),
            ("a.jsonl.d/b", Format::Text, Compression::None),
            ("a.txt.gz", Format::Text, Compression::Gzip),
            ("a.gz", Format::Text, Compression::Gzip),
            ("a.zst", Format::Text, Compression::Zstd),
            ("a.jsonl", Format::JsonLines, Compression::None),
            ("a.NDJSON", Format::JsonLines, Compression::None),
            ("a.jsonl.zst", Format::JsonLines, Compression::Zstd),
            ("a.ndjson.GZ", Format::JsonLines, Compression::Gzip),
            ("a.parquet", Format::Parquet, Compression::None),
        ];
        for (name, format, compression) in rows {
            assert_eq!(by_name(Path::new(name)).unwrap(), (format, compression), "{name}");
        }
    }

    #[test]
    fn names_of_other_formats_are_refused() {
        let rows = [
            ("a.txt.xz", "a.txt.xz: .xz files are not read; unpack it, or compress it as .gz or .zst"),
            ("a.tar.gz", "a.tar.gz: archives are not read; unpack it and give the files in it"),
            ("a.parquet.zst", "a.parquet.zst: Parquet files are compressed inside; unpack this one"),
        ];
        for (name, message) in rows {
            assert_eq!(by_name(Path::new(name)).unwrap_err().to_string(), message);
        }
    }
}
