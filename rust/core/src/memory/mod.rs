//! What the processor and the system are told about memory ahead of its use. Hints only: nothing depends on them but time.

mod advice;
mod pages;
mod zeroed;

pub use pages::Ahead;
pub(crate) use pages::{Pages, reserve};
pub(crate) use zeroed::{Zero, Zeroed};

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
