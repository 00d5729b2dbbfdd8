//! Where CPython keeps the number of an `int`, so that the ids of a long list can be read from memory: to ask Python for each
//! takes longer than to look its token up.
//!
//! The stable ABI says nothing of this, and versions differ. So nothing is taken for granted: the layout is looked for in
//! `int` objects of the running interpreter, and where they are not as expected, Python is asked for each id.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyInt;
use pyo3::{ffi, intern};

/// Bytes of an `int` before its digits: those of any object, and a word that has their number and the sign.
const HEAD: usize = size_of::<ffi::PyObject>() + size_of::<u64>();
/// Bits of a digit, which stands in 32.
const DIGIT: u32 = 30;

/// How this interpreter lays out an `int` of one digit above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The last word of its head, by which it is told from all others. Small ones, of which there is one object each, may have
    /// another than those above them.
    words: [u64; 2],
}

impl Layout {
    /// The layout, or `None` where it is not one that is known here.
    pub fn get(py: Python<'_>) -> Option<Layout> {
        static LAYOUT: PyOnceLock<Option<Layout>> = PyOnceLock::new();
        *LAYOUT.get_or_init(py, || Layout::look(py).ok().flatten())
    }

    fn look(py: Python<'_>) -> PyResult<Option<Layout>> {
        let int = py.get_type::<PyInt>();
        let head: usize = int.getattr(intern!(py, "__basicsize__"))?.extract()?;
        let digit: usize = int.getattr(intern!(py, "__itemsize__"))?.extract()?;
        let info = py.import(intern!(py, "sys"))?.getattr(intern!(py, "int_info"))?;
        let bits: u32 = info.getattr(intern!(py, "bits_per_digit"))?.extract()?;
        if (head, digit, bits) != (HEAD, size_of::<u32>(), DIGIT) {
            return Ok(None);
        }
        // SAFETY: an `int` has a head of that size.
        let word = |number: i64| unsafe { word(PyInt::new(py, number).as_ptr()) };
        let layout = Layout { words: [word(1), word(1 << 20)] };
        let read = |number: i64| {
            let int = PyInt::new(py, number);
            // SAFETY: it is an exact `int`, with a head of that size.
            unsafe { layout.read(int.as_ptr()) }
        };
        let one_digit = [1, 2, 255, 256, 257, 65_535, 65_536, 1 << 24, (1 << DIGIT) - 1];
        let others =
            [0, -1, -5, -6, -65_536, 1 << DIGIT, -(1 << DIGIT), (1 << 32) - 1, 1 << 32, 1 << 60, i64::MAX, i64::MIN];
        let is_known = one_digit.iter().all(|&number| read(number).map(i64::from) == Some(number))
            && others.iter().all(|&number| read(number).is_none());
        Ok(is_known.then_some(layout))
    }

    /// The number, if it is one of one digit above 0.
    ///
    /// # Safety
    /// `int` is an exact `int` of this interpreter.
    #[inline(always)]
    pub unsafe fn read(self, int: *mut ffi::PyObject) -> Option<u32> {
        // SAFETY: by the contract of the function it has a head, and behind that of one digit there is one.
        unsafe { self.words.contains(&word(int)).then(|| int.byte_add(HEAD).cast::<u32>().read()) }
    }
}

/// The last word of an `int`'s head.
///
/// # Safety
/// It has a head of [`HEAD`] bytes.
#[inline(always)]
unsafe fn word(int: *mut ffi::PyObject) -> u64 {
    // SAFETY: by the contract of the function; objects are aligned to words.
    unsafe { int.byte_add(HEAD - size_of::<u64>()).cast::<u64>().read() }
}
