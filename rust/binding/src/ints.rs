//! Lists of ids. The `int` objects are made when first needed and then shared by all lists of a tokenizer: that is twice as
//! fast as making one for every item, and a long list takes 8 bytes an item in place of 40.

use std::sync::OnceLock;

use bloomery_core::Id;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyList};

/// The `int` objects of a tokenizer's ids.
#[derive(Default)]
pub struct Ints(OnceLock<Box<[PyOnceLock<Py<PyInt>>]>>);

impl Ints {
    /// A list of ids, all of them below `vocab_size`, which is always the same.
    pub fn list<'py, I: Id>(&self, py: Python<'py>, ids: &[I], vocab_size: usize) -> PyResult<Bound<'py, PyList>> {
        let ints = self.0.get_or_init(|| (0..vocab_size).map(|_| PyOnceLock::new()).collect());
        let int = |id: u32| ints[id as usize].get_or_init(py, || PyInt::new(py, id).unbind()).bind(py);
        PyList::new(py, ids.iter().map(|&id| int(id.into())))
    }
}
