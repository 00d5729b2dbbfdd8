//! All sources one after the other, cut into blocks.

use std::path::Path;
use std::sync::Arc;
use std::vec;

use super::block::{Block, Content};
use super::bytes::Bytes;
use super::jsonl::JsonLines;
use super::parquet::ParquetColumn;
use super::source::{Checked, Format, Source, Storage};
use super::text::MappedText;
use super::{InputOptions, LastCut};
use crate::control::Control;
use crate::error::{Error, Result};

const BLOCK_BYTES: usize = 4 << 20;

/// Hands out the blocks of all sources in order. To share it between threads put it behind a lock: what happens here is
/// cutting, reading and decompressing; the rest is left to [`Block::decode`].
///
/// Plain text files are mapped into memory, so they must not be changed while they are read.
pub struct Reader<'a> {
    sources: vec::IntoIter<Checked>,
    current: Option<Open<'a>>,
    column: String,
    last_cut: &'a LastCut<'a>,
    control: &'a Control,
    block_bytes: usize,
}

/// The source being read.
struct Open<'a> {
    path: Arc<Path>,
    content: Contents<'a>,
}

enum Contents<'a> {
    Mapped(MappedText),
    Text(Bytes<'a>),
    Lines(JsonLines<'a>),
    Rows(Box<ParquetColumn<'a>>),
}

impl<'a> Reader<'a> {
    /// Looks at every source before the first is read, so that a wrong name is not found hours later.
    ///
    /// # Errors
    /// [`Error::Io`] for a path that is missing or unreadable, [`Error::Input`] for a folder, for a file that is not
    /// what its name says, and for a Parquet file without the column.
    pub fn open(
        sources: &[Source],
        options: &InputOptions,
        last_cut: &'a LastCut<'a>,
        control: &'a Control,
    ) -> Result<Reader<'a>> {
        if sources.iter().filter(|source| **source == Source::Stdin).count() > 1 {
            return Err(Error::Argument("standard input is given twice, but can be read only once".to_owned()));
        }
        let mut checked = Vec::with_capacity(sources.len());
        for source in sources {
            control.check()?;
            let source = Checked::new(source)?;
            if source.format == Format::Parquet {
                ParquetColumn::open(&source, &options.column, control)?;
            }
            checked.push(source);
        }
        for source in &checked {
            if let Storage::Regular(size) = source.storage {
                control.expect_bytes(size);
            }
        }
        Ok(Reader {
            sources: checked.into_iter(),
            current: None,
            column: options.column.clone(),
            last_cut,
            control,
            block_bytes: BLOCK_BYTES,
        })
    }

    /// Blocks of about that many bytes instead of 4 MiB. Results must not depend on it; tests use it to show that they
    /// do not.
    #[must_use]
    pub fn with_block_bytes(mut self, bytes: usize) -> Reader<'a> {
        self.block_bytes = bytes.max(1);
        self
    }

    /// The next block, or `None` after the last of the last source.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Input`] for data that is broken or ends early, [`Error::Cancelled`].
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        loop {
            self.control.check()?;
            // Put back only on success: a source is not read on after an error.
            if let Some(mut open) = self.current.take()
                && let Some(content) = open.content.next(self.block_bytes, self.last_cut, self.control)?
            {
                let path = open.path.clone();
                self.current = Some(open);
                return Ok(Some(Block { path, content }));
            }
            let Some(source) = self.sources.next() else {
                return Ok(None);
            };
            let content = Contents::open(&source, &self.column, self.control)?;
            self.current = Some(Open { path: source.name, content });
        }
    }
}

impl<'a> Contents<'a> {
    fn open(source: &Checked, column: &str, control: &'a Control) -> Result<Contents<'a>> {
        Ok(match source.format {
            Format::Parquet => Contents::Rows(Box::new(ParquetColumn::open(source, column, control)?)),
            Format::JsonLines => Contents::Lines(JsonLines::open(source, control)?),
            Format::Text => match MappedText::open(source) {
                Some(mapped) => Contents::Mapped(mapped),
                None => Contents::Text(Bytes::open(source, control)?),
            },
        })
    }

    fn next(&mut self, size: usize, last_cut: &LastCut<'_>, control: &Control) -> Result<Option<Content>> {
        Ok(match self {
            Contents::Mapped(text) => text.next_range(size, last_cut).map(|range| {
                control.add_bytes(range.len() as u64);
                Content::Mapped(range)
            }),
            Contents::Text(bytes) => bytes.next_piece(size, last_cut)?.map(Content::Text),
            Contents::Lines(lines) => lines.next_lines(size)?.map(Content::Lines),
            // Rows are a quarter: their pages, held until the block is decoded, may be much larger than what is used of them.
            Contents::Rows(rows) => rows.next_rows((size / 4).max(1))?.map(Content::Rows),
        })
    }
}
