//! Plain text files through a memory map, given back range by range so that resident memory stays flat.

use std::fs::File;
use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::Mmap;

use super::LastCut;
use super::source::{Checked, Compression, Storage};

/// A mapped file, or the part of it that is read, and how far that was handed out.
pub(super) struct MappedText {
    map: Arc<Mmap>,
    position: usize,
    end: usize,
    /// Where the map's first byte lies in the whole file.
    held_from: u64,
    /// The file ends where the part does.
    is_last: bool,
}

impl MappedText {
    /// `None` where the source cannot be mapped and has to be read as a stream: it is no plain file, or one that is made
    /// as it is read (such files, as in `/proc`, have length 0), or one on a file system that does not map.
    pub(super) fn open(source: &Checked) -> Option<MappedText> {
        if source.compression != Compression::None || !matches!(source.storage, Storage::Regular(1..)) {
            return None;
        }
        let file = File::open(&source.path).ok()?;
        // SAFETY: the map is read-only and private. As with every map, the file must not be changed while it is read;
        // that is said where files are accepted, and nothing is written here.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        #[cfg(unix)]
        // A hint only: refused, the file is read all the same.
        let _ = map.advise(memmap2::Advice::Sequential);
        let Some(part) = &source.part else {
            let end = map.len();
            return Some(MappedText { map: Arc::new(map), position: 0, end, held_from: 0, is_last: true });
        };
        // Within the file when it was looked at; one that was cut since is read as a stream, which says so.
        let end = usize::try_from(part.range.end).ok().filter(|&end| end <= map.len())?;
        let position = usize::try_from(part.range.start).ok()?;
        Some(MappedText { map: Arc::new(map), position, end, held_from: part.held_from, is_last: part.ends_file })
    }

    /// The next range: about `size` bytes up to the last cut, more only when there is no cut in so many.
    pub(super) fn next_range(&mut self, size: usize, last_cut: &LastCut<'_>) -> Option<MappedRange> {
        let rest = &self.map[self.position..self.end];
        if rest.is_empty() {
            return None;
        }
        let mut window = size;
        let length = loop {
            if window >= rest.len() {
                break rest.len();
            }
            if let Some(cut) = last_cut(&rest[..window]) {
                break cut;
            }
            window *= 2;
        };
        let range = self.position..self.position + length;
        self.position = range.end;
        let ends_file = self.is_last && range.end == self.end;
        Some(MappedRange { map: self.map.clone(), range, held_from: self.held_from, ends_file })
    }
}

/// The system maps the pages around one that is touched as well (64 KiB on Linux by default), so that work on a range also
/// brings back pages of its neighbours, for which nobody would give them back again.
#[cfg(unix)]
const AROUND: usize = 64 << 10;

/// A range of a mapped file; its pages are given back when it is dropped.
pub(super) struct MappedRange {
    map: Arc<Mmap>,
    range: Range<usize>,
    held_from: u64,
    ends_file: bool,
}

impl MappedRange {
    /// Of the first byte, in the whole file.
    pub(super) fn offset(&self) -> u64 {
        self.held_from + self.range.start as u64
    }

    pub(super) fn ends_file(&self) -> bool {
        self.ends_file
    }
}

impl Deref for MappedRange {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}

impl Drop for MappedRange {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            let start = self.range.start.saturating_sub(AROUND);
            let end = (self.range.end + AROUND).min(self.map.len());
            // SAFETY: for a read-only map of a file this only forgets pages; a page that is used again, by whoever has
            // the neighbouring range, is read from the file again and holds the same bytes. A refusal costs nothing but
            // the memory.
            let _ = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
        }
    }
}
