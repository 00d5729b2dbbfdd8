//! What the processor and the system are told about memory ahead of its use. Hints only: nothing depends on them but time.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

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

/// Makes room for `additional` more elements as `Vec` does, in pages of 2 MiB where it is much.
#[inline(always)]
pub(crate) fn reserve<T>(vec: &mut Vec<T>, additional: usize) {
    if vec.capacity() - vec.len() < additional {
        grow(vec, additional);
    }
}

#[cold]
fn grow<T>(vec: &mut Vec<T>, additional: usize) {
    vec.reserve(additional);
    advise_huge(vec);
}

/// Asks for pages of 2 MiB where `vec` is large.
pub(crate) fn advise_huge<T>(vec: &mut Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        const HUGE: usize = 2 << 20;
        const PAGE: usize = 4 << 10;
        let (start, bytes) = (vec.as_ptr().addr(), vec.capacity() * size_of::<T>());
        if bytes >= 2 * HUGE {
            // The whole mapping, to its edges, and not only what can become large pages: a mapping that is treated in more
            // than one way cannot be moved, and `Vec` would copy it to grow.
            let first = start / PAGE * PAGE;
            let last = (start + bytes).next_multiple_of(PAGE);
            // SAFETY: the advice does not change what memory holds, neither that of the allocation nor what may share its
            // first and last page. A refusal costs nothing.
            let _ = unsafe {
                libc::madvise(
                    vec.as_mut_ptr().cast::<u8>().wrapping_sub(start - first).cast(),
                    last - first,
                    libc::MADV_HUGEPAGE,
                )
            };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = vec;
}
