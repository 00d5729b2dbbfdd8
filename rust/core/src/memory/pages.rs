//! Arrays that grow at their end.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::advice::{Advice, LARGE_PAGE, advise, large_pages_pay, populate};

/// Makes room for `additional` more elements as `Vec` does, in large pages where it is much and they pay: for what is read at
/// random.
#[inline(always)]
pub(crate) fn reserve<T>(vec: &mut Vec<T>, additional: usize) {
    if vec.capacity() - vec.len() < additional {
        grow(vec, additional);
    }
}

#[cold]
fn grow<T>(vec: &mut Vec<T>, additional: usize) {
    vec.reserve(additional);
    if is_large(vec) {
        advise_all(vec, large_pages_pay());
    }
}

/// The pages of an array that is written once, from its beginning to its end: made ahead of that, many at a time, which takes
/// less than to have each made when it is first touched.
#[derive(Debug)]
pub(crate) struct Pages {
    /// The pages of so many elements have been made.
    made: usize,
    /// Whether the others are to be large ones.
    are_large: AtomicBool,
}

impl Pages {
    /// The pages of an array that has its room, or has got more; those of the first `made` elements of it are there.
    pub(crate) fn of<T>(array: &Vec<T>, made: usize) -> Pages {
        let are_large = large_pages_pay();
        if made < array.capacity() && is_large(array) {
            advise_all(array, are_large);
        }
        Pages { made, are_large: are_large.into() }
    }

    /// Makes the pages of `place`, a part of `array`'s room that is about to be written.
    pub(crate) fn make<T>(&self, array: &Vec<T>, place: Range<usize>) {
        if place.end <= self.made || !is_large(array) {
            return;
        }
        debug_assert!(place.end <= array.capacity());
        if !large_pages_pay() && self.are_large.swap(false, Ordering::Relaxed) {
            advise_all(array, false);
        }
        populate(array.as_ptr().wrapping_add(place.start).cast(), place.len() * size_of::<T>());
    }
}

/// Whether an array is worth pages of its own.
fn is_large<T>(array: &Vec<T>) -> bool {
    array.capacity() * size_of::<T>() >= 2 * LARGE_PAGE
}

/// Advises the system of the whole memory of an array, to the edges of its mapping, and not only of what can become large
/// pages: a mapping that is treated in more than one way cannot be moved, and `Vec` would copy it to grow.
fn advise_all<T>(array: &Vec<T>, to_be_large: bool) {
    let advice = if to_be_large { Advice::LargePages } else { Advice::SmallPages };
    advise(array.as_ptr().cast(), array.capacity() * size_of::<T>(), advice);
}
