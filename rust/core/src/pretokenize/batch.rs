//! Pre-tokens on their way from a scanner to a [`Visit`], some hundreds at a time.
//!
//! A scanner that hands on each pre-token by itself mispredicts a branch at each of them, and whoever looks the words up
//! cannot ask for their memory ahead of time.

use std::mem::MaybeUninit;

use super::Visit;
#[cfg(target_arch = "x86_64")]
use super::vector::Vector;
use crate::error::Result;

/// Ends that are handed on at once.
const ENOUGH: usize = 192;
/// Ends that may be added between two looks at [`Batch::is_full`].
const ROOM: usize = 64;

/// Consecutive pre-tokens.
pub(super) struct Batch {
    /// Where the first starts.
    start: usize,
    /// The first `len` were written; to write zeros to all of them would take a twentieth of encoding a short text.
    ends: [MaybeUninit<usize>; ENOUGH + ROOM],
    len: usize,
}

impl Batch {
    /// No pre-tokens yet; the first will start at the start of the text.
    pub(super) fn new() -> Batch {
        Batch { start: 0, ends: [MaybeUninit::uninit(); ENOUGH + ROOM], len: 0 }
    }

    /// Adds the pre-token that ends at `end`.
    #[inline]
    pub(super) fn push(&mut self, end: usize) {
        self.ends[self.len].write(end);
        self.len += 1;
    }

    /// Adds a pre-token for each bit of `ends`; bit `i` is an end at `base + i`.
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) unsafe fn push_bits<V: Vector>(&mut self, base: usize, ends: u64) {
        let Some(room) = self.ends[self.len..].first_chunk_mut() else { return };
        // SAFETY: by the contract of the function. A place is written for each bit.
        unsafe { V::write_places(base, ends, room) };
        self.len += ends.count_ones() as usize;
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len >= ENOUGH
    }

    /// Hands on what there is.
    #[inline]
    pub(super) fn flush(&mut self, text: &[u8], visit: &mut impl Visit) -> Result<()> {
        // SAFETY: so many were written, and there are no more (which has been seen at each of them).
        let ends = unsafe { std::slice::from_raw_parts(self.ends.as_ptr().cast::<usize>(), self.len) };
        let Some(&last) = ends.last() else { return Ok(()) };
        visit.visit(text, self.start, ends)?;
        self.start = last;
        self.len = 0;
        Ok(())
    }
}
