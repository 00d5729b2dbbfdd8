//! What a long call shares with the thread that watches it: progress counters and the request to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::error::{Error, Result};

/// Shared by reference between the working threads and the watcher; all methods are lock-free.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    bytes_total: AtomicU64,
    bytes_done: AtomicU64,
    merges_total: AtomicU64,
    merges_done: AtomicU64,
    tokens: AtomicU64,
}

/// A reading of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes on disk that will be read; 0 when unknown (standard input, iterables).
    pub bytes_total: u64,
    /// Bytes on disk read so far.
    pub bytes_done: u64,
    /// Merges that will be learnt; 0 outside training.
    pub merges_total: u64,
    /// Merges learnt so far.
    pub merges_done: u64,
    /// Token ids written so far.
    pub tokens: u64,
}

impl Control {
    /// Asks the working threads to stop; they return [`Error::Cancelled`] soon after.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// # Errors
    /// [`Error::Cancelled`] once [`Control::cancel`] was called. Cheap enough for inner loops of a few microseconds.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Announces bytes to be read.
    pub fn expect_bytes(&self, bytes: u64) {
        self.bytes_total.fetch_add(bytes, Relaxed);
    }

    /// Records bytes read.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Relaxed);
    }

    /// Announces merges to be learnt.
    pub fn expect_merges(&self, merges: u64) {
        self.merges_total.store(merges, Relaxed);
    }

    /// Records the number of merges learnt so far.
    pub fn set_merges(&self, merges: u64) {
        self.merges_done.store(merges, Relaxed);
    }

    /// Records ids written.
    pub fn add_tokens(&self, tokens: u64) {
        self.tokens.fetch_add(tokens, Relaxed);
    }

    /// The counters now.
    pub fn progress(&self) -> Progress {
        Progress {
            bytes_total: self.bytes_total.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
            merges_total: self.merges_total.load(Relaxed),
            merges_done: self.merges_done.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
        }
    }
}
