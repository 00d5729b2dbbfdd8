//! The `str`, or `bytes`, of a long text.
//!
//! A `str` is stored in one, two or four bytes a character, as its widest one needs. Python's decoder, which cannot know that
//! one beforehand, begins anew at every wider one; and for more than half of its time the system makes the pages of what it
//! writes, one after the other. Where the text is known to be UTF-8, the number of its characters and the widest are counted
//! first, the pages made many at a time, and then the characters decoded into them, some at a time: an array of ids of English
//! takes up to two fifths less time, a list a seventh to a fifth. (Tried before, and slower: to join, or to append, stretches of
//! text decoded apart.)

use std::sync::OnceLock;

use bloomery_core::incomplete_end;
use bloomery_core::input::Utf8Errors;
use bloomery_core::memory::Ahead;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::arguments::Errors;

/// Texts of fewer bytes are left to Python.
const LONG: usize = 1 << 16;
/// Bytes that are decoded at a time, so that their characters stay in the cache until they are copied. Most such stretches of
/// English are ASCII alone, which is decoded by copying.
const STRETCH: usize = 1 << 10;
/// Bytes that stay in the nearest cache.
const NEAR: usize = 1 << 14;

/// The text of `bytes`.
pub fn from_utf8<'py>(py: Python<'py>, bytes: &[u8], errors: Errors) -> PyResult<Bound<'py, PyString>> {
    let Some(api) = Api::get().filter(|_| bytes.len() >= LONG) else { return decoded(py, bytes, errors) };
    // Ids from the middle of a text may begin and end within a character.
    let start = bytes.iter().take(3).take_while(goes_on).count();
    let (start, middle) = bytes.split_at(start);
    let (middle, end) = middle.split_at(middle.len() - incomplete_end(middle));
    match py.detach(|| Measure::of(middle)) {
        // An error names the place in the whole.
        Some(measure) if start.len() + end.len() == 0 || !matches!(errors.0, Utf8Errors::Strict) => {
            filled(py, api, decoded(py, start, errors)?, (middle, measure), decoded(py, end, errors)?)
        }
        _ => decoded(py, bytes, errors),
    }
}

/// `bytes` as an object of Python's.
pub fn to_bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: a new reference to a `bytes` that has room for so many, which nobody else knows, or null with an exception set.
    let (object, start) = unsafe {
        let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), bytes.len() as ffi::Py_ssize_t);
        let object = Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked::<PyBytes>();
        let start = ffi::PyBytes_AsString(object.as_ptr()).cast::<u8>();
        (object, start)
    };
    let (mut pages, mut at) = (Ahead::of(start, bytes.len()), 0);
    for stretch in bytes.chunks(STRETCH) {
        pages.make(at + stretch.len());
        // SAFETY: there is room for all, and nobody reads it yet.
        unsafe { start.add(at).copy_from_nonoverlapping(stretch.as_ptr(), stretch.len()) };
        at += stretch.len();
    }
    Ok(object)
}

fn decoded<'py>(py: Python<'py>, bytes: &[u8], errors: Errors) -> PyResult<Bound<'py, PyString>> {
    let (errors, length) = (errors.codec_name(), bytes.len() as ffi::Py_ssize_t);
    // SAFETY: the bytes are there for the length of the call, and what it returns is a new reference to a `str`, or null
    // with an exception set.
    unsafe {
        let string = ffi::PyUnicode_DecodeUTF8(bytes.as_ptr().cast(), length, errors.as_ptr());
        Ok(Bound::from_owned_ptr_or_err(py, string)?.cast_into_unchecked())
    }
}

/// What has to be known of a text before there is room for it.
struct Measure {
    characters: usize,
    /// The widest character of the narrowest kind of `str` that has room for all.
    widest: u32,
}

impl Measure {
    /// That of bytes that are UTF-8; None for others.
    fn of(bytes: &[u8]) -> Option<Measure> {
        let (mut characters, mut highest, mut rest) = (0, 0, bytes);
        // What is near is looked at three times.
        while !rest.is_empty() {
            let (stretch, behind) = rest.split_at(whole(rest, NEAR));
            characters += simdutf8::basic::from_utf8(stretch).ok()?.chars().count();
            highest = stretch.iter().fold(highest, |highest: u8, &byte| highest.max(byte));
            rest = behind;
        }
        let widest = match highest {
            0..0x80 => 0x7f,
            // Two bytes, of which the first holds all above the last six bits.
            0x80..0xc4 => 0xff,
            0xc4..0xf0 => 0xffff,
            0xf0.. => 0x10_ffff,
        };
        Some(Measure { characters, widest })
    }
}

/// The text of UTF-8 between two short ones, in which there is nothing but U+FFFD.
fn filled<'py>(
    py: Python<'py>,
    api: Api,
    start: Bound<'py, PyString>,
    (middle, measure): (&[u8], Measure),
    end: Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyString>> {
    let around = start.len()? + end.len()?;
    let characters = around + measure.characters;
    let widest = if around > 0 { measure.widest.max(0xffff) } else { measure.widest };
    // SAFETY: a new reference to a `str`, whose characters may be anything as yet, or null with an exception set.
    let string = unsafe {
        let string = (api.new)(characters as ffi::Py_ssize_t, widest);
        Bound::from_owned_ptr_or_err(py, string)?.cast_into_unchecked::<PyString>()
    };
    // The object and its characters are one piece of memory.
    let mut pages = Ahead::of(string.as_ptr().cast_const().cast(), characters * width(widest));
    let mut at = 0;
    let mut put = |piece: &Bound<'py, PyString>| -> PyResult<()> {
        if pages.make((at + piece.len()?) * width(widest)) {
            py.check_signals()?;
        }
        // SAFETY: both are a `str`, of the new one nobody else knows, and the call sees to it that the characters fit.
        let copied =
            unsafe { (api.copy)(string.as_ptr(), at as ffi::Py_ssize_t, piece.as_ptr(), 0, ffi::Py_ssize_t::MAX) };
        at += usize::try_from(copied).map_err(|_| PyErr::fetch(py))?;
        Ok(())
    };
    put(&start)?;
    let mut rest = middle;
    while !rest.is_empty() {
        let (stretch, behind) = rest.split_at(whole(rest, STRETCH));
        put(&decoded(py, stretch, Errors::STRICT)?)?;
        rest = behind;
    }
    put(&end)?;
    assert_eq!(at, characters, "all characters of a new str are written");
    Ok(string)
}

/// How many of the first `most` bytes of a text are whole characters: at least one, and all but three of what is no UTF-8.
fn whole(text: &[u8], most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    most - text[..=most].iter().rev().take(3).take_while(goes_on).count()
}

/// Whether a byte goes on with a character.
fn goes_on(byte: &&u8) -> bool {
    *byte & 0xc0 == 0x80
}

/// Bytes of a character in a `str` whose widest is this one.
fn width(widest: u32) -> usize {
    match widest {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

/// `PyUnicode_New`: a `str` of so many characters, up to this one, that are still to be written.
type New = unsafe extern "C" fn(ffi::Py_ssize_t, u32) -> *mut ffi::PyObject;
/// `PyUnicode_CopyCharacters`: writes over characters of a `str`, from one on, those of another, from one on, so many at most.
type CopyCharacters = unsafe extern "C" fn(
    *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
    ffi::Py_ssize_t,
    ffi::Py_ssize_t,
) -> ffi::Py_ssize_t;

/// Two functions of Python's C interface that are no part of its stable ABI, though they have not changed since 3.3. So they
/// are asked for by name when they are needed, and need not be there.
#[derive(Clone, Copy)]
struct Api {
    new: New,
    copy: CopyCharacters,
}

impl Api {
    fn get() -> Option<Api> {
        static API: OnceLock<Option<Api>> = OnceLock::new();
        *API.get_or_init(Api::find)
    }

    #[cfg(unix)]
    fn find() -> Option<Api> {
        use std::ffi::c_void;
        use std::mem::transmute;
        // SAFETY: the names end with a zero, and the functions have these types wherever they have the names.
        unsafe {
            let new = libc::dlsym(libc::RTLD_DEFAULT, c"PyUnicode_New".as_ptr());
            let copy = libc::dlsym(libc::RTLD_DEFAULT, c"PyUnicode_CopyCharacters".as_ptr());
            let is_there = !new.is_null() && !copy.is_null();
            is_there.then(|| Api {
                new: transmute::<*mut c_void, New>(new),
                copy: transmute::<*mut c_void, CopyCharacters>(copy),
            })
        }
    }

    #[cfg(not(unix))]
    fn find() -> Option<Api> {
        None
    }
}
