//! Many of Python's objects, one after the other: they lie anywhere in memory, so each is asked for some time before it is
//! looked at.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Objects that are asked for before the first of them is looked at.
pub const AT_ONCE: usize = 64;

/// Objects that are kept from being freed. Where they are many, to look at them, or to let go of them, is mostly to wait for
/// their memory: with all of them asked for ahead it takes a third of the time.
pub struct Objects<'py>(Vec<Bound<'py, PyAny>>);

impl<'py> Objects<'py> {
    /// The items of `items`.
    pub fn of(items: &Bound<'py, PyAny>) -> PyResult<Self> {
        let Ok(list) = items.cast_exact::<PyList>() else {
            return Ok(Objects(items.try_iter()?.collect::<PyResult<_>>()?));
        };
        let mut objects = Objects(Vec::with_capacity(list.len()));
        while objects.0.len() < list.len() {
            let mut some = [std::ptr::null_mut(); AT_ONCE];
            let some = &mut some[..AT_ONCE.min(list.len() - objects.0.len())];
            for (position, object) in (objects.0.len()..).zip(&mut *some) {
                // SAFETY: the item is there.
                *object = unsafe { ffi::PyList_GetItem(list.as_ptr(), position as ffi::Py_ssize_t) };
                prefetch(*object);
            }
            // SAFETY: the list still has them, since no Python code has run.
            objects.0.extend(some.iter().map(|&object| unsafe { Bound::from_borrowed_ptr(list.py(), object) }));
        }
        Ok(objects)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Bound<'py, PyAny>> {
        self.0.chunks(AT_ONCE).flat_map(|some| {
            some.iter().for_each(|object| prefetch(object.as_ptr()));
            some
        })
    }
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        while !self.0.is_empty() {
            let others = self.0.len().saturating_sub(AT_ONCE);
            self.0[others..].iter().for_each(|object| prefetch(object.as_ptr()));
            self.0.truncate(others);
        }
    }
}

/// Asks for the memory of an object, or of what is none.
#[inline(always)]
pub fn prefetch(object: *const ffi::PyObject) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // What follows its head is often in the next cache line.
        for part in [object, object.wrapping_add(1)] {
            // SAFETY: a prefetch of any address, valid or not, has no effect that a program can see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(part.cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = object;
}
