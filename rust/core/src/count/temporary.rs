//! A file without a name for word counts that do not fit in memory. It is gone with its last user, however the process
//! ends: on Unix it has no name from the start, on Windows the system deletes it when it is closed.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// A temporary file that is read and written by position, so that several readers (and forked processes) can share it.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    file: File,
    /// Where it lies.
    folder: PathBuf,
}

impl TemporaryFile {
    /// In the system's folder for temporary files (`TMPDIR`).
    pub(super) fn new() -> Result<TemporaryFile> {
        let folder = std::env::temp_dir();
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(TemporaryFile { file, folder }),
            Err(source) => Err(Error::Spill { folder, source }),
        }
    }

    /// Fills the buffer from `position`.
    pub(super) fn read(&self, buffer: &mut [u8], position: u64) -> Result<()> {
        self.by_position(buffer.len(), position, |range, position| read_at(&self.file, &mut buffer[range], position))
    }

    /// Writes all bytes from `position`.
    pub(super) fn write(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.by_position(bytes.len(), position, |range, position| write_at(&self.file, &bytes[range], position))
    }

    /// Repeats what may be done in parts until all of it is done.
    fn by_position(
        &self,
        length: usize,
        position: u64,
        mut part: impl FnMut(std::ops::Range<usize>, u64) -> io::Result<usize>,
    ) -> Result<()> {
        let mut done = 0;
        while done < length {
            match part(done..length, position + done as u64) {
                Ok(0) => return Err(self.broken()),
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Spill { folder: self.folder.clone(), source }),
            }
        }
        Ok(())
    }

    /// The error for a file that does not hold what was written to it.
    pub(super) fn broken(&self) -> Error {
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, "a temporary file of word counts was damaged");
        Error::Spill { folder: self.folder.clone(), source }
    }

    #[cfg(test)]
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(unix)]
use std::os::unix::fs::FileExt;
#[cfg(windows)]
use std::os::windows::fs::FileExt;

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    file.read_at(buffer, position)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<usize> {
    file.write_at(bytes, position)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    file.seek_read(buffer, position)
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<usize> {
    file.seek_write(bytes, position)
}
