//! Files of text straight to a file of ids: parallel, in order, in memory that does not grow with the input.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};

use super::id::{Dtype, Id};
use super::npy;
use super::selection::{Allowed, Selection};
use super::text::Encoding;
use crate::atomic::AtomicFile;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::input::{Block, DocumentKind, InputOptions, Reader, Source};
use crate::parallel::{on_each_thread, thread_count};
use crate::tokenizer::Tokenizer;

/// What [`Tokenizer::encode_files`] is asked for.
#[derive(Debug, Clone, Default)]
pub struct EncodeFilesOptions {
    /// How to read.
    pub input: InputOptions,
    /// The special tokens to recognise. `None`: all in text files, where they are the ends of documents; none in rows
    /// of JSON lines and Parquet, which are documents themselves and may be anybody's text.
    pub allowed: Option<Allowed>,
    /// The id to close each document with: each row, and the end of each text file that does not end with it already.
    pub end_of_text: Option<u32>,
    /// Threads; all cores when `None`.
    pub threads: Option<usize>,
    /// How to write; the smallest that fits when `None`.
    pub dtype: Option<Dtype>,
}

/// What [`Tokenizer::encode_files`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeReport {
    /// Ids written.
    pub tokens: u64,
    /// Documents read: rows, and texts between special tokens or the ends of a file.
    pub documents: u64,
    /// Bytes of text read, as UTF-8.
    pub bytes: u64,
    /// How the ids are written.
    pub dtype: Dtype,
}

impl Tokenizer {
    /// Encodes `sources` to one array of ids: NumPy's format, or without any header where `output` ends in `.bin`.
    ///
    /// The output appears under its name when it is whole. Memory: a few blocks of some megabytes, or the longest piece of
    /// text without a safe cut.
    ///
    /// # Errors
    /// What reading and encoding give, [`Error::Io`] for the output, [`Error::TokenId`] for an `end_of_text` that is no
    /// token, [`Error::Argument`] for a dtype too small for the vocabulary, [`Error::Cancelled`].
    pub fn encode_files(
        &self,
        sources: &[Source],
        output: &Path,
        options: &EncodeFilesOptions,
        control: &Control,
    ) -> Result<EncodeReport> {
        let dtype = self.dtype(options.dtype)?;
        if let Some(id) = options.end_of_text.filter(|&id| self.token_bytes(id).is_none()) {
            return Err(Error::TokenId { id: u64::from(id), position: 0, vocab_size: self.vocab_size() });
        }
        let selections = Selections {
            text: self.select(options.allowed.as_ref().unwrap_or(&Allowed::All))?.into_owned(),
            rows: self.select(options.allowed.as_ref().unwrap_or(&Allowed::None))?.into_owned(),
        };
        let last_cut = |text: &[u8]| selections.text.cutter.last_cut(text);
        let reader = Reader::open(sources, &options.input, &last_cut, control)?;
        let with_header = output.extension().is_none_or(|extension| extension != "bin");
        let pipeline = Pipeline {
            input: Mutex::new(Input { reader: Some(reader), taken: 0 }),
            output: Mutex::new(Output::create(output, dtype, with_header, options.end_of_text)?),
            written: Condvar::new(),
        };
        let threads = thread_count(options.threads);
        // Compressed files have more; it is no more than a hint.
        let bytes = control.progress().bytes_total as usize / threads;
        on_each_thread(threads, || {
            let result = match dtype {
                Dtype::U16 => self.encode_blocks::<u16>(&pipeline, &selections, bytes, options, control),
                Dtype::U32 => self.encode_blocks::<u32>(&pipeline, &selections, bytes, options, control),
            };
            if result.is_err() {
                pipeline.stop();
            }
            result
        })?;
        let output = pipeline.output.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        output.finish()
    }

    /// What each thread does: take a block, encode it, and write it when its turn has come. It will encode about `bytes`
    /// bytes.
    fn encode_blocks<I: Id>(
        &self,
        pipeline: &Pipeline<'_>,
        selections: &Selections,
        bytes: usize,
        options: &EncodeFilesOptions,
        control: &Control,
    ) -> Result<()> {
        let mut lent = self.large_scratch().lend(bytes);
        let scratch = lent.scratch();
        let mut ids = Vec::<I>::new();
        loop {
            control.check()?;
            let Some((turn, block)) = pipeline.take()? else { return Ok(()) };
            let documents = block.decode(&options.input, control)?;
            ids.clear();
            let mut part = Part { ends_file: documents.ends_file(), ..Part::default() };
            let mut encoding = Encoding::new(self, scratch, control, &mut ids);
            for text in documents.iter() {
                part.bytes += text.len() as u64;
                match documents.kind() {
                    DocumentKind::Text => encoding.text(text, &selections.text)?,
                    DocumentKind::Rows => {
                        encoding.text(text, &selections.rows)?;
                        part.rows += 1;
                        if let Some(id) = options.end_of_text {
                            encoding.token(id);
                        }
                    }
                }
            }
            encoding.finish();
            if documents.kind() == DocumentKind::Text {
                part.runs = Runs::of(&ids, |id| self.is_special(id));
            }
            pipeline.write(turn, &mut ids, &part, control)?;
        }
    }
}

struct Selections {
    text: Selection,
    rows: Selection,
}

/// What is known of a block beside its ids.
#[derive(Default)]
struct Part {
    bytes: u64,
    rows: u64,
    runs: Runs,
    ends_file: bool,
}

/// Runs of ids between special ones, to be added up across blocks.
#[derive(Default, Clone, Copy)]
struct Runs {
    count: u64,
    starts_inside: bool,
    ends_inside: bool,
}

impl Runs {
    fn of<I: Id>(ids: &[I], is_special: impl Fn(u32) -> bool) -> Runs {
        let mut runs = Runs { starts_inside: ids.first().is_some_and(|&id| !is_special(id.into())), ..Runs::default() };
        for &id in ids {
            let inside = !is_special(id.into());
            runs.count += u64::from(inside && !runs.ends_inside);
            runs.ends_inside = inside;
        }
        runs
    }
}

struct Pipeline<'a> {
    input: Mutex<Input<'a>>,
    output: Mutex<Output>,
    written: Condvar,
}

struct Input<'a> {
    /// `None` once a thread failed.
    reader: Option<Reader<'a>>,
    taken: u64,
}

impl Pipeline<'_> {
    /// The next block and its number.
    fn take(&self) -> Result<Option<(u64, Block)>> {
        let mut input = self.input.lock().map_err(|_| Error::Cancelled)?;
        let Some(block) = input.reader.as_mut().map(Reader::next_block).transpose()?.flatten() else {
            return Ok(None);
        };
        let turn = input.taken;
        input.taken += 1;
        Ok(Some((turn, block)))
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Writes block `turn` as soon as all blocks before it are written; `ids` are of no use then.
    fn write<I: Id>(&self, turn: u64, ids: &mut [I], part: &Part, control: &Control) -> Result<()> {
        let mut output = self.output();
        while output.turn != turn && !output.stopped {
            output = self.written.wait(output).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if output.stopped {
            return Err(Error::Cancelled);
        }
        output.write(ids, part)?;
        control.add_tokens(ids.len() as u64);
        output.turn += 1;
        self.written.notify_all();
        Ok(())
    }

    /// Lets all threads end.
    fn stop(&self) {
        self.input.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).reader = None;
        self.output().stopped = true;
        self.written.notify_all();
    }
}

struct Output {
    file: AtomicFile,
    with_header: bool,
    end_of_text: Option<u32>,
    report: EncodeReport,
    /// Number of the block to be written next.
    turn: u64,
    stopped: bool,
    /// The last id of the text file being written.
    last: Option<u32>,
    /// Whether that file's text so far ends within a document.
    inside: bool,
}

impl Output {
    fn create(path: &Path, dtype: Dtype, with_header: bool, end_of_text: Option<u32>) -> Result<Output> {
        let mut file = AtomicFile::create(path)?;
        if with_header {
            let written = file.write_all(&npy::header(dtype, 0));
            written.map_err(Error::io(path))?;
        }
        Ok(Output {
            file,
            with_header,
            end_of_text,
            report: EncodeReport { tokens: 0, documents: 0, bytes: 0, dtype },
            turn: 0,
            stopped: false,
            last: None,
            inside: false,
        })
    }

    fn write<I: Id>(&mut self, ids: &mut [I], part: &Part) -> Result<()> {
        self.report.bytes += part.bytes;
        self.report.documents += part.rows + part.runs.count - u64::from(self.inside && part.runs.starts_inside);
        if !ids.is_empty() {
            self.inside = part.runs.ends_inside;
            self.last = ids.last().map(|&id| id.into());
        }
        self.put(ids)?;
        if part.ends_file {
            let closed = self.last == self.end_of_text || self.last.is_none();
            if let Some(id) = self.end_of_text.filter(|_| !closed) {
                self.put(&mut [I::of(id)])?;
            }
            (self.inside, self.last) = (false, None);
        }
        Ok(())
    }

    fn put<I: Id>(&mut self, ids: &mut [I]) -> Result<()> {
        self.report.tokens += ids.len() as u64;
        let written = self.file.write_all(I::to_bytes(ids));
        written.map_err(Error::io(self.file.path()))
    }

    /// Writes the true length and gives the file its name.
    fn finish(mut self) -> Result<EncodeReport> {
        if self.with_header {
            let header = npy::header(self.report.dtype, self.report.tokens);
            let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&header));
            written.map_err(Error::io(self.file.path()))?;
        }
        self.file.commit()?;
        Ok(self.report)
    }
}
