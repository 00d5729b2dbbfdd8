//! Running the core for Python: short calls under the GIL, longer ones without it, and long ones on a thread of their own
//! while the calling thread watches for Ctrl-C and reports progress. A panic becomes `InternalError`.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bloomery_core::{Control, Result};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::errors;

/// How often a watched call looks for signals and reports progress.
const TICK: Duration = Duration::from_millis(50);

type Caught<T> = std::result::Result<Result<T>, Box<dyn Any + Send>>;

/// Counters of a long call, as a progress callback receives them.
#[pyclass(frozen, get_all, module = "bloomery._core")]
pub struct Progress {
    /// Bytes on disk that will be read; 0 when unknown.
    bytes_total: u64,
    /// Bytes on disk read so far.
    bytes_done: u64,
    /// Merges that will be learnt; 0 outside training.
    merges_total: u64,
    /// Merges learnt so far.
    merges_done: u64,
    /// Token ids written so far.
    tokens: u64,
}

#[pymethods]
impl Progress {
    /// Counters of work that is done elsewhere.
    #[new]
    #[pyo3(signature = (*, bytes_total=0, bytes_done=0, merges_total=0, merges_done=0, tokens=0))]
    fn new(bytes_total: u64, bytes_done: u64, merges_total: u64, merges_done: u64, tokens: u64) -> Self {
        Progress { bytes_total, bytes_done, merges_total, merges_done, tokens }
    }

    fn __repr__(&self) -> String {
        format!(
            "Progress(bytes_total={}, bytes_done={}, merges_total={}, merges_done={}, tokens={})",
            self.bytes_total, self.bytes_done, self.merges_total, self.merges_done, self.tokens
        )
    }
}

impl From<bloomery_core::Progress> for Progress {
    fn from(counters: bloomery_core::Progress) -> Self {
        let bloomery_core::Progress { bytes_total, bytes_done, merges_total, merges_done, tokens } = counters;
        Progress { bytes_total, bytes_done, merges_total, merges_done, tokens }
    }
}

/// Runs work of microseconds, with the GIL held.
pub fn short<T>(py: Python<'_>, work: impl FnOnce() -> Result<T>) -> PyResult<T> {
    settle(py, caught(work))
}

/// Runs work of up to some tens of milliseconds, with the GIL released.
pub fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    settle(py, py.detach(|| caught(work)))
}

/// Runs work of any length on a thread of its own. This thread, with the GIL released in between, wakes every 50 ms to run
/// Python's signal handlers and the progress callback; when one of them raises, the work is cancelled and awaited, and
/// what was raised is returned.
pub fn watched<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Control) -> Result<T> + Send,
) -> PyResult<T> {
    let control = Control::default();
    let (sender, mut receiver) = mpsc::sync_channel(1);
    let mut raised = None;
    let outcome = thread::scope(|scope| {
        let worker = || {
            // The receiver outlives the scope, so the send cannot fail.
            let _ = sender.send(caught(|| work(&control)));
        };
        thread::Builder::new().name("bloomery".into()).spawn_scoped(scope, worker)?;
        loop {
            match py.detach(|| wait(&mut receiver)) {
                Ok(outcome) => return Ok(outcome),
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the worker thread vanished")),
                Err(RecvTimeoutError::Timeout) if raised.is_some() => {}
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = py.check_signals().and_then(|()| report(progress, &control)) {
                        control.cancel();
                        raised = Some(error);
                    }
                }
            }
        }
    });
    if let Some(error) = raised {
        return Err(error);
    }
    let outcome = outcome.map_err(|error| PyOSError::new_err(format!("cannot start a thread: {error}")))?;
    let value = settle(py, outcome)?;
    report(progress, &control)?;
    Ok(value)
}

/// Takes the receiver by unique reference, since it cannot be shared with what might be another thread.
fn wait<T>(receiver: &mut Receiver<T>) -> std::result::Result<T, RecvTimeoutError> {
    receiver.recv_timeout(TICK)
}

fn report(progress: Option<&Bound<'_, PyAny>>, control: &Control) -> PyResult<()> {
    match progress {
        Some(callback) => callback.call1((Progress::from(control.progress()),)).map(drop),
        None => Ok(()),
    }
}

/// The core's values are either discarded after a panic or immutable, so unwinding cannot leave one half-changed in view.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Caught<T> {
    catch_unwind(AssertUnwindSafe(work))
}

fn settle<T>(py: Python<'_>, outcome: Caught<T>) -> PyResult<T> {
    match outcome {
        Ok(result) => result.map_err(|error| errors::to_python(py, error)),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Err(errors::internal(py, text.unwrap_or("no message")))
        }
    }
}
