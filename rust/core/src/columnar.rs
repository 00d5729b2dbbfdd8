//! What reading Parquet files needs wherever it is done: one error for all that can be wrong with them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::errors::ParquetError;

use crate::error::{Error, Result};

/// Turns an error of the parquet crate into one that names the file.
pub(crate) fn broken(path: &Path) -> impl Fn(ParquetError) -> Error + '_ {
    move |error| fault(path, &error.to_string())
}

/// Runs a part of the reading and turns a panic into an error: the parquet crate checks most of what it reads but asserts
/// some of it. After an error, what `read` changed must not be used again.
pub(crate) fn guard<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        Err(fault(path, message.unwrap_or("unreadable")))
    })
}

fn fault(path: &Path, what: &str) -> Error {
    let message = format!("broken Parquet file ({what}); it may be truncated, fetch it again");
    Error::Input { origin: path.display().to_string(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let message = |read: fn() -> Result<()>| guard(Path::new("a.parquet"), read).unwrap_err().to_string();
        let expected = "a.parquet: broken Parquet file (page 7); it may be truncated, fetch it again";
        assert_eq!(message(|| panic!("page 7")), expected);
        assert_eq!(message(|| panic!("page {}", [7].len() + 6)), expected);
        assert_eq!(message(|| Err(Error::Cancelled)), "cancelled");
    }
}
