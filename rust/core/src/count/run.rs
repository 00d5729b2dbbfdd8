//! Runs: words in the order of their bytes, each once, with their counts, in a stretch of a temporary file.
//!
//! A word is stored as three numbers and some bytes: how many bytes it shares with the word before it, how many follow,
//! those bytes, and its count. Numbers take 7 bits a byte, the lowest first; all but the last byte have the high bit set.

use std::sync::Arc;

use super::temporary::TemporaryFile;
use crate::error::Result;

/// What is written at once.
const WRITTEN_AT_ONCE: usize = 64 << 10;
/// Bytes of a number of 64 bits, at most.
const LONGEST_NUMBER: usize = 10;

/// A finished run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    file: Arc<TemporaryFile>,
    start: u64,
    end: u64,
    /// Distinct words.
    pub(super) words: usize,
    /// Their counts together.
    pub(super) total: u128,
}

impl Run {
    /// A reader that holds about `buffer` bytes beside the longest word.
    pub(super) fn reader(&self, buffer: usize) -> RunReader {
        RunReader {
            run: self.clone(),
            next: self.start,
            left: self.words,
            buffer: Vec::new(),
            size: buffer.max(2 * LONGEST_NUMBER),
            at: 0,
            word: Vec::new(),
            count: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn file(&self) -> &TemporaryFile {
        &self.file
    }
}

/// Writes runs one behind the other.
pub(super) struct RunWriter {
    file: Arc<TemporaryFile>,
    /// Where the buffer belongs.
    position: u64,
    buffer: Vec<u8>,
    start: u64,
    last: Vec<u8>,
    words: usize,
    total: u128,
}

impl RunWriter {
    pub(super) fn new() -> Result<RunWriter> {
        let buffer = Vec::with_capacity(WRITTEN_AT_ONCE);
        let file = Arc::new(TemporaryFile::new()?);
        Ok(RunWriter { file, position: 0, buffer, start: 0, last: Vec::new(), words: 0, total: 0 })
    }

    /// Adds a word that comes behind those of the run so far.
    pub(super) fn push(&mut self, word: &[u8], count: u64) -> Result<()> {
        let shared = word.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        let suffix = &word[shared..];
        if self.buffer.len() + suffix.len() + 3 * LONGEST_NUMBER > WRITTEN_AT_ONCE {
            self.flush()?;
        }
        push_number(&mut self.buffer, shared as u64);
        push_number(&mut self.buffer, suffix.len() as u64);
        if suffix.len() < WRITTEN_AT_ONCE / 2 {
            self.buffer.extend_from_slice(suffix);
        } else {
            // A word of such a length is not copied.
            self.flush()?;
            self.file.write(suffix, self.position)?;
            self.position += suffix.len() as u64;
        }
        push_number(&mut self.buffer, count);
        self.last.truncate(shared);
        self.last.extend_from_slice(suffix);
        self.words += 1;
        self.total += u128::from(count);
        Ok(())
    }

    /// Ends a run. The next word starts another one.
    pub(super) fn finish(&mut self) -> Result<Run> {
        self.flush()?;
        let run = Run {
            file: self.file.clone(),
            start: self.start,
            end: self.position,
            words: self.words,
            total: self.total,
        };
        (self.start, self.words, self.total) = (self.position, 0, 0);
        self.last = Vec::new();
        Ok(run)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write(&self.buffer, self.position)?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads a run from its start.
pub(super) struct RunReader {
    run: Run,
    /// Where the bytes behind the buffer are.
    next: u64,
    /// Words not yet read.
    left: usize,
    buffer: Vec<u8>,
    /// Bytes read at once.
    size: usize,
    /// How much of the buffer was used.
    at: usize,
    word: Vec<u8>,
    count: u64,
}

impl RunReader {
    /// Goes to the next word, the first time to the first; false behind the last.
    pub(super) fn advance(&mut self) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let shared = self.number()?;
        let suffix = self.number()?;
        // Damaged numbers must not ask for memory or read beyond the run.
        let rest = (self.buffer.len() - self.at) as u64 + (self.run.end - self.next);
        if shared > self.word.len() as u64 || suffix > rest {
            return Err(self.run.file.broken());
        }
        self.word.truncate(shared as usize);
        self.read_suffix(suffix as usize)?;
        self.count = self.number()?;
        Ok(true)
    }

    /// The word it stands at.
    pub(super) fn word(&self) -> &[u8] {
        &self.word
    }

    /// The count of that word.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn read_suffix(&mut self, length: usize) -> Result<()> {
        let here = length.min(self.buffer.len() - self.at);
        self.word.extend_from_slice(&self.buffer[self.at..self.at + here]);
        self.at += here;
        if here < length {
            let start = self.word.len();
            self.word.resize(start + length - here, 0);
            self.run.file.read(&mut self.word[start..], self.next)?;
            self.next += (length - here) as u64;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            if self.at == self.buffer.len() {
                self.fill()?;
            }
            let byte = self.buffer[self.at];
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.run.file.broken())
    }

    fn fill(&mut self) -> Result<()> {
        let size = (self.run.end - self.next).min(self.size as u64) as usize;
        if size == 0 {
            return Err(self.run.file.broken());
        }
        self.buffer.resize(size, 0);
        self.at = 0;
        self.run.file.read(&mut self.buffer, self.next)?;
        self.next += size as u64;
        Ok(())
    }
}
