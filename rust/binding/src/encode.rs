//! Ids from text: the core makes them in two bytes each where the vocabulary fits, whatever is made of them here.

use bloomery_core::input::MaybeUtf8;
use bloomery_core::{Allowed, Control, Dtype, Id, Result};
use numpy::Element;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arguments::Threads;
use crate::tokenizer::Tokenizer;
use crate::{arguments, call, ids};

/// Below this many bytes or ids the work is shorter than giving the GIL away and taking it back.
const RELEASE_GIL: usize = 4 << 10;
/// From this many bytes on a call uses several threads, and Ctrl-C is looked for.
const WATCH: usize = 1 << 20;

impl Tokenizer {
    fn ids<I: Id>(
        &self,
        py: Python<'_>,
        text: &MaybeUtf8<'_>,
        allowed: &Allowed,
        threads: Threads,
    ) -> PyResult<Vec<I>> {
        let bytes = text.bytes().len();
        self.run(py, bytes, |control| match bytes {
            0..WATCH => self.engine.encode(&text.text(|| "the text".to_owned())?, allowed),
            _ => self.engine.encode_parallel(text, allowed, threads.0, control),
        })
    }

    /// The ids of a text in a list.
    pub(crate) fn list<'py>(
        &self,
        py: Python<'py>,
        text: &MaybeUtf8<'_>,
        allowed: &Allowed,
        threads: Threads,
    ) -> PyResult<Bound<'py, PyList>> {
        match self.dtype(py, None)? {
            Dtype::U16 => self.list_of(py, self.ids::<u16>(py, text, allowed, threads)?),
            Dtype::U32 => self.list_of(py, self.ids::<u32>(py, text, allowed, threads)?),
        }
    }

    fn list_of<'py, I: Id>(&self, py: Python<'py>, ids: Vec<I>) -> PyResult<Bound<'py, PyList>> {
        let list = self.ints.list(py, &ids, self.engine.vocab_size());
        self.engine.recycle(ids);
        list
    }

    /// The ids of a text in an array.
    pub(crate) fn array<'py>(
        &self,
        py: Python<'py>,
        text: &MaybeUtf8<'_>,
        allowed: &Allowed,
        threads: Threads,
        dtype: Dtype,
    ) -> PyResult<Bound<'py, PyAny>> {
        match dtype {
            Dtype::U16 => ids::array_of(py, self.ids::<u16>(py, text, allowed, threads)?, &self.engine),
            Dtype::U32 => ids::array_of(py, self.ids::<u32>(py, text, allowed, threads)?, &self.engine),
        }
    }

    /// The number of ids of a text.
    pub(crate) fn number(
        &self,
        py: Python<'_>,
        text: &MaybeUtf8<'_>,
        allowed: &Allowed,
        threads: Threads,
    ) -> PyResult<usize> {
        match self.dtype(py, None)? {
            Dtype::U16 => Ok(self.number_of(self.ids::<u16>(py, text, allowed, threads)?)),
            Dtype::U32 => Ok(self.number_of(self.ids::<u32>(py, text, allowed, threads)?)),
        }
    }

    fn number_of<I: Id>(&self, ids: Vec<I>) -> usize {
        let count = ids.len();
        self.engine.recycle(ids);
        count
    }

    /// The ids of many texts, as lists or in two arrays.
    pub(crate) fn rows<'py, I: Id + Element>(
        &self,
        py: Python<'py>,
        texts: &[MaybeUtf8<'_>],
        as_lists: bool,
        allowed: &Allowed,
        threads: Threads,
    ) -> PyResult<Bound<'py, PyAny>> {
        let encode = |control: &Control| self.engine.encode_batch::<I>(texts, allowed, threads.0, control);
        let (ids, offsets) = self.run(py, texts.iter().map(|text| text.bytes().len()).sum(), encode)?;
        if as_lists {
            let row =
                |ends: &[u64]| self.ints.list(py, &ids[ends[0] as usize..ends[1] as usize], self.engine.vocab_size());
            let rows = offsets.windows(2).map(row).collect::<PyResult<Vec<_>>>()?;
            self.engine.recycle(ids);
            return PyList::new(py, rows)?.into_bound_py_any(py);
        }
        let offsets = offsets.into_iter().map(|offset| offset as i64).collect();
        (ids::array_of(py, ids, &self.engine)?, ids::array(py, offsets)).into_bound_py_any(py)
    }

    /// The type of an array that is asked for.
    pub(crate) fn dtype(&self, py: Python<'_>, asked: Option<&str>) -> PyResult<Dtype> {
        let asked = asked.map(arguments::dtype).transpose()?;
        self.engine.dtype(asked).map_err(|error| crate::errors::to_python(py, error))
    }

    /// Runs work on `size` bytes or ids.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        size: usize,
        work: impl FnOnce(&Control) -> Result<T> + Send,
    ) -> PyResult<T> {
        match size {
            0..RELEASE_GIL => call::short(py, || work(&Control::default())),
            RELEASE_GIL..WATCH => call::detached(py, || work(&Control::default())),
            _ => call::watched(py, None, work),
        }
    }
}
