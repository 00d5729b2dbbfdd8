//! Arrays that grow at their end, and other memory that is written from its beginning to its end.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::advice::{Advice, LARGE_PAGE, advise, large_pages_pay, populate};

/// Makes room for `additional` more elements as `Vec` does, in large pages where it is much and they pay.
#[inline(always)]
pub(crate) fn reserve<T>(vec: &mut Vec<T>, additional: usize) {
    if vec.capacity() - vec.len() < additional {
        grow(vec, additional);
    }
}

#[cold]
fn grow<T>(vec: &mut Vec<T>, additional: usize) {
    vec.reserve(additional);
    let bytes = vec.capacity() * size_of::<T>();
    if is_large(bytes) {
        advise_all(vec.as_ptr().cast(), bytes, large_pages_pay());
    }
}

/// The pages of memory that is written once, from its beginning to its end: made ahead of that, many at a time, which takes
/// less than to have each made when it is first touched.
#[derive(Debug)]
pub(crate) struct Pages {
    /// The pages of so many bytes have been made.
    made: usize,
    /// Whether the others are to be large ones.
    are_large: AtomicBool,
}

impl Pages {
    /// The pages of an array that has its room, or has got more; those of the first `made` elements of it are there.
    pub(crate) fn of<T>(array: &Vec<T>, made: usize) -> Pages {
        Pages::new(array.as_ptr().cast(), array.capacity() * size_of::<T>(), made * size_of::<T>())
    }

    /// Makes the pages of `place`, a part of `array`'s room that is about to be written.
    pub(crate) fn make<T>(&self, array: &Vec<T>, place: Range<usize>) {
        let place = place.start * size_of::<T>()..place.end * size_of::<T>();
        self.make_in(array.as_ptr().cast(), array.capacity() * size_of::<T>(), place);
    }

    /// The pages of `bytes` bytes from `start` on; those of the first `made` of them are there.
    fn new(start: *const u8, bytes: usize, made: usize) -> Pages {
        let are_large = large_pages_pay();
        if made < bytes && is_large(bytes) {
            advise_all(start, bytes, are_large);
        }
        Pages { made, are_large: are_large.into() }
    }

    /// Makes the pages of `place`, a part of the `bytes` bytes from `start` on that is about to be written.
    fn make_in(&self, start: *const u8, bytes: usize, place: Range<usize>) {
        if place.is_empty() || place.end <= self.made || !is_large(bytes) {
            return;
        }
        debug_assert!(place.end <= bytes);
        if !large_pages_pay() && self.are_large.swap(false, Ordering::Relaxed) {
            advise_all(start, bytes, false);
        }
        populate(start.wrapping_add(place.start), place.len(), self.are_large.load(Ordering::Relaxed));
    }
}

/// The pages of memory that is written from its beginning on, made a little ahead of that.
#[derive(Debug)]
pub struct Ahead {
    start: *const u8,
    bytes: usize,
    /// Those of so many bytes have been made.
    made: usize,
    pages: Pages,
}

impl Ahead {
    /// Bytes whose pages are made at a time.
    const STEP: usize = LARGE_PAGE / 2;

    /// Those of the `bytes` bytes from `start` on, to which nothing has been written.
    pub fn of(start: *const u8, bytes: usize) -> Ahead {
        Ahead { start, bytes, made: 0, pages: Pages::new(start, bytes, 0) }
    }

    /// Sees to it that there are those of the first `end` bytes; tells whether this was the first call beyond a step.
    pub fn make(&mut self, end: usize) -> bool {
        let is_to_be_made = end > self.made;
        if is_to_be_made {
            let next = (end + Self::STEP).min(self.bytes);
            self.pages.make_in(self.start, self.bytes, self.made..next);
            self.made = next;
        }
        is_to_be_made
    }
}

/// Whether so many bytes are worth pages of their own.
fn is_large(bytes: usize) -> bool {
    bytes >= 2 * LARGE_PAGE
}

/// Advises the system of the whole of some memory, and not only of what can become large pages: a mapping that is treated in more
/// than one way cannot be moved, and a `Vec` that has one of its own would copy it to grow.
fn advise_all(start: *const u8, bytes: usize, to_be_large: bool) {
    let advice = if to_be_large { Advice::LargePages } else { Advice::SmallPages };
    advise(start, bytes, advice);
}
