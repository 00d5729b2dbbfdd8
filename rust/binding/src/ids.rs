//! Token ids from Python: lists, any iterable of integers, and numpy arrays of any integer type.
//!
//! Ids are always copied, some at a time: an array that another thread writes to while the GIL is released must not be read.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bloomery_core::{Id, Tokenizer};
use numpy::ndarray::ArrayViewMut1;
use numpy::{Element, PyArray1, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString};
use pyo3::{IntoPyObjectExt, ffi, intern};

use crate::errors;
use crate::layout::Layout;
use crate::objects::{AT_ONCE, prefetch};

/// Fewer values than this are copied into an array.
const COPIED: usize = 1 << 12;

/// Where ids stand, for the message about one that does not even fit 32 bits.
#[derive(Clone, Copy)]
pub struct Place {
    /// Highest id + 1 of the tokenizer.
    pub vocab_size: usize,
    /// Number of ids that came before these, in a stream.
    pub before: usize,
}

impl Place {
    /// Ids that stand by themselves.
    pub fn alone(vocab_size: usize) -> Self {
        Place { vocab_size, before: 0 }
    }
}

/// Where ids come from: what is known of an object before any of them has been read.
pub enum Ids<'a, 'py> {
    List(Bound<'py, PyList>),
    Array(Bound<'py, PyUntypedArray>),
    Read(Cow<'a, [u32]>),
}

impl<'py> Ids<'_, 'py> {
    /// The ids in `object`.
    pub fn of(object: &Bound<'py, PyAny>, place: Place) -> PyResult<Self> {
        let py = object.py();
        if let Ok(list) = object.cast::<PyList>() {
            return Ok(Ids::List(list.clone()));
        }
        if let Ok(array) = object.cast::<PyUntypedArray>() {
            return Ok(Ids::Array(plain(array)?));
        }
        if object.hasattr(intern!(py, "__array__"))? {
            let array = py.import("numpy")?.call_method1("asarray", (object,))?;
            return Ok(Ids::Array(plain(array.cast::<PyUntypedArray>()?)?));
        }
        if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyString>() {
            let message = format!("ids must be a sequence of integers, not one {}", object.get_type().name()?);
            return Err(PyTypeError::new_err(message));
        }
        let items = object.try_iter()?.enumerate();
        Ok(Ids::Read(items.map(|(position, item)| id(&item?, position, place)).collect::<PyResult<_>>()?))
    }

    /// How many there are, as of now: a list may become longer or shorter.
    pub fn len(&self) -> usize {
        match self {
            Ids::List(list) => list.len(),
            Ids::Array(array) => array.len(),
            Ids::Read(ids) => ids.len(),
        }
    }

    /// Puts those at positions `range`, or as many of them as there are, in place of what is in `ids`.
    pub fn read(&self, range: Range<usize>, place: Place, ids: &mut Vec<u32>) -> PyResult<()> {
        ids.clear();
        let range = range.start..range.end.min(self.len());
        match self {
            Ids::List(list) => from_list(list, range, place, ids),
            Ids::Array(array) => copied::<u32>(array, range.clone(), place, ids)
                .or_else(|| copied::<u16>(array, range.clone(), place, ids))
                .or_else(|| copied::<i64>(array, range.clone(), place, ids))
                .or_else(|| copied::<u64>(array, range, place, ids))
                .unwrap_or_else(|| Err(PyTypeError::new_err("the array of ids was changed while it was read"))),
            Ids::Read(read) => {
                ids.extend_from_slice(&read[range]);
                Ok(())
            }
        }
    }

    /// All of them.
    pub fn all(&self, place: Place) -> PyResult<Vec<u32>> {
        let mut ids = Vec::new();
        self.read(0..usize::MAX, place, &mut ids)?;
        Ok(ids)
    }
}

fn from_list(list: &Bound<'_, PyList>, mut range: Range<usize>, place: Place, ids: &mut Vec<u32>) -> PyResult<()> {
    ids.reserve(range.len());
    let layout = Layout::get(list.py());
    while !range.is_empty() {
        // The `__index__` of an item may do anything, and make the list shorter.
        range.end = range.end.min(list.len());
        let some = range.start..range.end.min(range.start + AT_ONCE);
        range.start += exact_ints(list, some.clone(), layout, ids);
        if range.start < some.end {
            // What is negative or too large left an exception, for which there is a better one.
            drop(PyErr::take(list.py()));
            ids.push(id(&list.get_item(range.start)?, range.start, place)?);
            range.start += 1;
        }
    }
    Ok(())
}

/// Appends the items in `range`, [`AT_ONCE`] of them at most, before the first that is no exact `int` of 32 bits, of which an
/// exception may be set. Returns how many those are.
///
/// All are asked for before the first is read: a third less time for the ids of an English text.
fn exact_ints(list: &Bound<'_, PyList>, range: Range<usize>, layout: Option<Layout>, ids: &mut Vec<u32>) -> usize {
    let before = ids.len();
    let mut items = [std::ptr::null_mut(); AT_ONCE];
    let items = &mut items[..range.len()];
    for (item, position) in items.iter_mut().zip(range) {
        // SAFETY: the item is there.
        *item = unsafe { ffi::PyList_GetItem(list.as_ptr(), position as ffi::Py_ssize_t) };
        prefetch(*item);
    }
    for &mut item in items {
        // SAFETY: nobody can let go of an item: the GIL is held, and of an exact `int` no call runs Python code.
        let plain = unsafe {
            let is_exact = ffi::PyLong_CheckExact(item) != 0;
            is_exact.then(|| match layout.and_then(|layout| layout.read(item)) {
                Some(id) => Ok(id),
                None => u32::try_from(ffi::PyLong_AsUnsignedLongLong(item)),
            })
        };
        let Some(Ok(id)) = plain else { break };
        ids.push(id);
    }
    ids.len() - before
}

/// One id.
pub fn id(item: &Bound<'_, PyAny>, position: usize, place: Place) -> PyResult<u32> {
    item.extract::<u32>().map_err(|error| {
        let py = item.py();
        if error.is_instance_of::<PyOverflowError>(py) {
            out_of_range(item, position, place)
        } else if error.is_instance_of::<PyTypeError>(py) {
            let name = item.get_type().name().map_or_else(|_| "object".into(), |name| name.to_string());
            PyTypeError::new_err(format!("token ids must be integers; at position {position} there is {name}"))
        } else {
            error
        }
    })
}

/// The array itself if its ids can be copied as they stand; one of another integer type, strided or of foreign byte order by way
/// of a copy that numpy makes.
fn plain<'py>(array: &Bound<'py, PyUntypedArray>) -> PyResult<Bound<'py, PyUntypedArray>> {
    if array.ndim() != 1 {
        let message = format!(
            "ids must have one dimension, not shape {:?}; for several rows use decode_batch, or flatten them with ravel()",
            array.shape()
        );
        return Err(PyValueError::new_err(message));
    }
    if is_plain::<u32>(array) || is_plain::<u16>(array) || is_plain::<i64>(array) {
        return Ok(array.clone());
    }
    let dtype = array.dtype();
    let wide = match dtype.kind() {
        b'u' => "uint64",
        b'i' => "int64",
        _ if array.is_empty() => "int64",
        _ => return Err(PyTypeError::new_err(format!("token ids must be integers; the array's dtype is {dtype}"))),
    };
    let copy = array.call_method1(intern!(array.py(), "astype"), (wide,))?;
    Ok(copy.call_method1(intern!(array.py(), "copy"), ("C",))?.cast_into::<PyUntypedArray>()?)
}

/// Whether the values are `T`, contiguous, aligned and in native byte order.
fn is_plain<T: Element>(array: &Bound<'_, PyUntypedArray>) -> bool {
    // SAFETY: the values are not looked at.
    array.cast::<PyArray1<T>>().is_ok_and(|array| unsafe { array.as_slice() }.is_ok())
}

/// Copies ids of an array for which [`is_plain`] holds; None for any other.
fn copied<T: Element + Copy + TryInto<u32>>(
    array: &Bound<'_, PyUntypedArray>,
    range: Range<usize>,
    place: Place,
    ids: &mut Vec<u32>,
) -> Option<PyResult<()>> {
    let array = array.cast::<PyArray1<T>>().ok()?;
    // SAFETY: while the GIL is held and no Python code runs, nobody writes to the array.
    let values = unsafe { array.as_slice() }.ok()?.get(range.clone())?;
    ids.extend(values.iter().map_while(|&value| value.try_into().ok()));
    if ids.len() == values.len() {
        return Some(Ok(()));
    }
    let unfit = range.start + ids.len();
    Some(array.get_item(unfit).and_then(|value| Err(out_of_range(&value, unfit, place))))
}

/// An array of these values. Few are copied, since numpy is told of memory that is not its own by way of an object, which costs
/// half of what encoding a short text does.
pub fn array<T: Element>(py: Python<'_>, values: Vec<T>) -> Bound<'_, PyArray1<T>> {
    if values.len() < COPIED { PyArray1::from_slice(py, &values) } else { PyArray1::from_vec(py, values) }
}

/// [`array`] of ids, whose memory `engine` gets back when the array is gone: it keeps what is worth keeping.
pub fn array_of<'py, I: Id + Element>(
    py: Python<'py>,
    mut ids: Vec<I>,
    engine: &Arc<Tokenizer>,
) -> PyResult<Bound<'py, PyAny>> {
    if ids.len() < COPIED {
        return Ok(array(py, ids).into_any());
    }
    // SAFETY: so many ids are there.
    let view = unsafe { ArrayViewMut1::from_shape_ptr(ids.len(), ids.as_mut_ptr()) };
    let engine = Arc::downgrade(engine);
    let give_back = move || {
        if let Some(engine) = engine.upgrade() {
            engine.recycle(ids);
        }
    };
    let memory = Bound::new(py, Memory { give_back: Some(Box::new(give_back)) })?;
    // SAFETY: the memory stays where it is as long as its owner lives, who does not touch it.
    Ok(unsafe { PyArray1::borrow_from_array(&view, memory.into_any()) }.into_any())
}

/// Memory that an array shows.
#[pyclass(frozen, module = "bloomery._core")]
struct Memory {
    /// Owns it.
    give_back: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(give_back) = self.give_back.take() {
            give_back();
        }
    }
}

/// Row offsets into `length` ids: integers that never fall and end within them.
pub fn row_offsets(object: &Bound<'_, PyAny>, length: usize) -> PyResult<Vec<usize>> {
    let offsets = object.try_iter()?.map(|offset| offset?.extract()).collect::<PyResult<Vec<usize>>>()?;
    if !offsets.is_sorted() || offsets.last().is_some_and(|&end| end > length) {
        let message = format!("offsets must rise from 0 to the number of ids, {length}");
        return Err(PyValueError::new_err(message));
    }
    Ok(offsets)
}

/// As the core's error for an id that no token has; an id that does not fit 32 bits never reaches the core.
fn out_of_range(id: &Bound<'_, PyAny>, position: usize, place: Place) -> PyErr {
    let (py, position, vocab_size) = (id.py(), place.before + position, place.vocab_size);
    let message = format!("token id {id} at position {position} is not in the vocabulary (vocab_size {vocab_size})");
    let attributes = [
        ("id", Ok(id.clone())),
        ("position", position.into_bound_py_any(py)),
        ("vocab_size", vocab_size.into_bound_py_any(py)),
    ];
    errors::exception(py, "TokenIdError", message, attributes)
}
