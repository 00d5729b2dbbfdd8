//! What the processor and the system are told about memory ahead of its use. Hints only: nothing depends on them but time.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use memmap2::MmapMut;

/// Asks for the cache line in which element `index` of `slots` begins.
#[inline(always)]
pub(crate) fn prefetch<T>(slots: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address, valid or not, has no effect that a program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slots.as_ptr().wrapping_add(index).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slots, index);
}

/// Elements that begin with all bytes zero, in pages of 2 MiB where the system has them: a large table is read at random, and
/// with small pages each read would miss the translation cache as well.
///
/// A mapping of its own, since memory that is new is zero, and need not be touched to be so. (The allocator writes zeros itself
/// where elements are aligned to more than 16 bytes, and does so before it can be told of the pages.)
#[derive(Debug)]
pub(crate) struct Zeroed<T> {
    map: MmapMut,
    elements: PhantomData<T>,
}

/// All bytes zero are a value of the type, which needs no dropping.
///
/// # Safety
/// It is so.
pub(crate) unsafe trait Zero: Copy {}

impl<T: Zero> Zeroed<T> {
    pub(crate) fn new(len: usize) -> Zeroed<T> {
        let bytes = len.saturating_mul(size_of::<T>());
        let map = MmapMut::map_anon(bytes).unwrap_or_else(|error| panic!("no memory for {bytes} bytes: {error}"));
        // A refusal costs nothing but time.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Zeroed { map, elements: PhantomData }
    }
}

impl<T: Zero> Deref for Zeroed<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping is aligned to a page, so many elements fit it, and by the contract of `Zero` its zeros are
        // values, as is what was written since.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.map.len() / size_of::<T>()) }
    }
}

impl<T: Zero> DerefMut for Zeroed<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.map.len() / size_of::<T>()) }
    }
}

/// Makes room for `additional` more elements as `Vec` does, in pages of 2 MiB where it is much: for what is read at random.
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
        advise_all(vec, Advice::LargePages);
    }
}

/// The pages of an array that is written once, from its beginning to its end: made ahead of that, many at a time, which takes
/// less than to have each made when it is first touched.
///
/// Large pages come twice as fast as small ones where memory is at hand. In a virtual machine whose host gives it memory only
/// when it is touched they come several times slower, unless they were used a moment ago: so they are asked for until one has
/// taken too long.
#[derive(Debug)]
pub(crate) struct Pages {
    /// The pages of so many elements have been made.
    made: usize,
    are_small: AtomicBool,
}

/// Bytes of a large page.
const LARGE_PAGE: usize = 2 << 20;
/// A large page that took longer took longer than as much in small ones.
const TOO_LONG: Duration = Duration::from_micros(800);

impl Pages {
    /// The pages of an array that has its room, or has got more; those of the first `made` elements of it are there.
    pub(crate) fn of<T>(array: &Vec<T>, made: usize) -> Pages {
        if made < array.capacity() && is_large(array) {
            advise_all(array, Advice::LargePages);
        }
        Pages { made, are_small: AtomicBool::new(false) }
    }

    /// Makes the pages of `place`, a part of `array`'s room that is about to be written.
    pub(crate) fn make<T>(&self, array: &Vec<T>, place: Range<usize>) {
        if place.end <= self.made || !is_large(array) {
            return;
        }
        debug_assert!(place.end <= array.capacity());
        let begin = Instant::now();
        advise(array.as_ptr().wrapping_add(place.start).cast(), place.len() * size_of::<T>(), Advice::Populate);
        let large_pages = (place.len() * size_of::<T>()).div_ceil(LARGE_PAGE) as u32;
        if begin.elapsed() > TOO_LONG * large_pages && !self.are_small.swap(true, Ordering::Relaxed) {
            advise_all(array, Advice::SmallPages);
        }
    }
}

/// Whether an array is worth pages of its own.
fn is_large<T>(array: &Vec<T>) -> bool {
    array.capacity() * size_of::<T>() >= 2 * LARGE_PAGE
}

/// What the system can be told of memory. Nothing of it changes what memory holds.
#[derive(Debug, Clone, Copy)]
enum Advice {
    LargePages,
    SmallPages,
    Populate,
}

/// Advises the system of the whole memory of an array, to the edges of its mapping, and not only of what can become large
/// pages: a mapping that is treated in more than one way cannot be moved, and `Vec` would copy it to grow.
fn advise_all<T>(array: &Vec<T>, advice: Advice) {
    advise(array.as_ptr().cast(), array.capacity() * size_of::<T>(), advice);
}

/// Advises the system of all small pages in which `bytes` bytes from `start` on lie.
fn advise(start: *const u8, bytes: usize, advice: Advice) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4 << 10;
        let before = start.addr() % PAGE;
        let advice = match advice {
            Advice::LargePages => libc::MADV_HUGEPAGE,
            Advice::SmallPages => libc::MADV_NOHUGEPAGE,
            Advice::Populate => libc::MADV_POPULATE_WRITE,
        };
        let start = start.cast_mut().wrapping_sub(before).cast();
        // SAFETY: none of the three changes what memory holds, neither that of the array nor what else lies in its first and
        // last page. A refusal costs nothing but time.
        let _ = unsafe { libc::madvise(start, (before + bytes).next_multiple_of(PAGE), advice) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes, advice);
}
