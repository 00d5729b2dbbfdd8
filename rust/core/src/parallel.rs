//! Threads for one call. Every long call builds its own pool and drops it: a pool kept for the process would be dead in a
//! forked child, and its creation costs some tens of microseconds.

use std::num::NonZero;

use crate::error::{Error, Result};

/// The number of threads to use when `threads` were asked for: all cores when none was named.
pub fn thread_count(threads: Option<usize>) -> usize {
    threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get)).max(1)
}

/// Runs `work` once on each of `threads` threads and returns what they returned. On failure the first error that is
/// no consequence of another (`Cancelled`) is returned; `work` itself must see to it that the others stop.
pub fn on_each_thread<T: Send>(threads: usize, work: impl Fn() -> Result<T> + Sync) -> Result<Vec<T>> {
    if threads == 1 {
        return Ok(vec![work()?]);
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Error::Argument(format!("cannot start {threads} threads: {error}")))?;
    let (done, failed): (Vec<_>, Vec<_>) = pool.broadcast(|_| work()).into_iter().partition(Result::is_ok);
    let mut errors: Vec<Error> = failed.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() {
        return Ok(done.into_iter().filter_map(Result::ok).collect());
    }
    let first = errors.iter().position(|error| !matches!(error, Error::Cancelled)).unwrap_or(0);
    Err(errors.swap_remove(first))
}
