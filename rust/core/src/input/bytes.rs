//! A source as a stream of bytes, decompressed on the way and cut into pieces at places that the caller knows.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

use super::LastCut;
use super::source::{Checked, Compression, Storage, fault};
use crate::control::Control;
use crate::error::{Error, Result};

/// Bytes read between two looks at [`Control::check`].
pub(super) const STRETCH: usize = 1 << 20;
/// The largest window that zstd knows (`--long=31`), which large published corpora use. The memory is taken only when a
/// frame asks for it.
const ZSTD_WINDOW_LOG: u32 = 31;

/// A stretch of a stream.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// Offset of the first byte in the (decompressed) stream.
    pub(super) offset: u64,
    /// Nothing follows.
    pub(super) ends_file: bool,
}

/// A stream and what was read of it but not yet handed out.
pub(super) struct Bytes<'a> {
    path: Arc<Path>,
    compression: Compression,
    control: &'a Control,
    reader: Box<dyn Read + Send + 'a>,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte.
    offset: u64,
    /// Where the stream must end, for a part of a file.
    end: Option<u64>,
    at_end: bool,
    /// The file ends where the stream does.
    is_last: bool,
}

impl<'a> Bytes<'a> {
    pub(super) fn open(source: &Checked, control: &'a Control) -> Result<Bytes<'a>> {
        let raw: Box<dyn Read + Send + 'a> = match source.storage {
            Storage::Regular(size) => {
                let mut file = File::open(&source.path).map_err(Error::io(&*source.name))?;
                match &source.part {
                    None => Box::new(file),
                    Some(part) => {
                        file.seek(SeekFrom::Start(part.range.start)).map_err(Error::io(&*source.name))?;
                        Box::new(file.take(size))
                    }
                }
            }
            Storage::Special => {
                let path: PathBuf = source.path.to_path_buf();
                Box::new(Awaited::new(move || File::open(path), control))
            }
            Storage::Stdin => Box::new(Awaited::new(|| Ok(io::stdin()), control)),
        };
        let raw = Counted { inner: raw, control };
        let reader: Box<dyn Read + Send + 'a> = match source.compression {
            Compression::None => Box::new(raw),
            Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 17, raw))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::new(raw).map_err(Error::io(&*source.name))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(Error::io(&*source.name))?;
                Box::new(decoder)
            }
        };
        Ok(Bytes {
            path: source.name.clone(),
            compression: source.compression,
            control,
            reader,
            buffer: Vec::new(),
            offset: source.part.as_ref().map_or(0, |part| part.held_from + part.range.start),
            end: source.part.as_ref().map(|part| part.held_from + part.range.end),
            at_end: false,
            is_last: source.part.as_ref().is_none_or(|part| part.ends_file),
        })
    }

    /// The next piece: about `size` bytes up to the last cut, more only when there is no cut in so many.
    pub(super) fn next_piece(&mut self, size: usize, last_cut: &LastCut<'_>) -> Result<Option<Piece>> {
        let mut window = size;
        loop {
            self.fill(window)?;
            let cut = if self.at_end { None } else { last_cut(&self.buffer) };
            if cut == Some(self.buffer.len()) {
                // Whether the piece ends the file shows only by reading on.
                self.fill(self.buffer.len() + 1)?;
            }
            if self.at_end {
                return Ok((!self.buffer.is_empty()).then(|| self.take(self.buffer.len())));
            }
            if let Some(cut) = cut {
                return Ok(Some(self.take(cut)));
            }
            window = self.buffer.len() * 2;
        }
    }

    fn take(&mut self, cut: usize) -> Piece {
        let rest = self.buffer.split_off(cut);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        Piece { bytes, offset, ends_file: self.at_end && self.is_last }
    }

    /// Reads until the buffer holds `length` bytes or the stream is at its end.
    fn fill(&mut self, length: usize) -> Result<()> {
        self.buffer.reserve_exact(length.saturating_sub(self.buffer.len()));
        while !self.at_end && self.buffer.len() < length {
            self.control.check()?;
            let wanted = (length - self.buffer.len()).min(STRETCH);
            match self.reader.by_ref().take(wanted as u64).read_to_end(&mut self.buffer) {
                Ok(read) => self.at_end = read < wanted,
                Err(error) => return Err(self.fault(error)),
            }
        }
        let read = self.offset + self.buffer.len() as u64;
        match self.end {
            Some(end) if self.at_end && read != end => Err(fault(
                &self.path,
                format!("ends at byte {read} instead of {end}; it was changed while it was read"),
            )),
            _ => Ok(()),
        }
    }

    fn fault(&self, error: io::Error) -> Error {
        if let Err(cancelled) = self.control.check() {
            return cancelled;
        }
        let name = match self.compression {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::None => return Error::io(&*self.path)(error),
        };
        if error.raw_os_error().is_some() {
            // The disk's fault, not the data's.
            return Error::io(&*self.path)(error);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                fault(&self.path, format!("the {name} data ends in the middle; the file is truncated, fetch it again"))
            }
            _ => fault(&self.path, format!("broken {name} data ({error}); fetch the file again")),
        }
    }
}

/// Reports the bytes that pass.
struct Counted<'a, R> {
    inner: R,
    control: &'a Control,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.control.add_bytes(read as u64);
        Ok(read)
    }
}

/// A stream that may never give a byte (a terminal, a pipe), read by a thread of its own so that waiting for it can be
/// cancelled. The thread then ends with the next byte that arrives.
struct Awaited<'a> {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
    control: &'a Control,
}

impl<'a> Awaited<'a> {
    const CHUNK: usize = 1 << 16;
    const CHUNKS: usize = 16;
    const PATIENCE: Duration = Duration::from_millis(20);

    /// `open` runs in the thread too: opening a named pipe waits for its writer.
    fn new<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static, control: &'a Control) -> Awaited<'a> {
        let (sender, chunks) = sync_channel(Self::CHUNKS);
        thread::spawn(move || {
            let mut reader = match open() {
                Ok(reader) => reader,
                Err(error) => {
                    // No one to tell when the receiver is gone; so below.
                    let _ = sender.send(Err(error));
                    return;
                }
            };
            loop {
                let mut chunk = vec![0; Self::CHUNK];
                let read = match reader.read(&mut chunk) {
                    Ok(0) => return,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read,
                };
                let failed = read.is_err();
                let message = read.map(|length| {
                    chunk.truncate(length);
                    chunk
                });
                if sender.send(message).is_err() || failed {
                    return;
                }
            }
        });
        Awaited { chunks, chunk: io::Cursor::new(Vec::new()), control }
    }
}

impl Read for Awaited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.chunks.recv_timeout(Self::PATIENCE) {
                Ok(chunk) => self.chunk = io::Cursor::new(chunk?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                // The caller asks the control itself when it sees an error.
                Err(RecvTimeoutError::Timeout) => self.control.check().map_err(io::Error::other)?,
            }
        }
    }
}
