//! Tables that are read at random.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use super::advice::{Advice, LARGE_PAGE, advise, collapse, large_pages_pay, populate};

/// Elements that begin with all bytes zero, in large pages where the system has them and they don't take too long to make: a
/// large table is read at random, and with small pages each read misses the translation cache as well.
///
/// Tried, and no faster: large pages whatever they take to make. What they save in looking a text up, they had cost before.
///
/// A mapping of its own, since memory that is new is zero, and need not be touched to be so. (The allocator writes zeros itself
/// where elements are aligned to more than 16 bytes, and does so before it can be told of the pages.)
#[derive(Debug)]
pub(crate) struct Zeroed<T> {
    map: MmapMut,
    elements: PhantomData<T>,
    /// How many of its last bytes are in small pages that could be large.
    in_small_pages: usize,
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
        let mut in_small_pages = 0;
        if bytes >= LARGE_PAGE {
            let mut made = 0;
            advise(map.as_ptr(), bytes, Advice::LargePages);
            while made < bytes && large_pages_pay() {
                populate(map.as_ptr().wrapping_add(made), LARGE_PAGE.min(bytes - made), true);
                made += LARGE_PAGE;
            }
            if made < bytes {
                let rest = map.as_ptr().wrapping_add(made);
                advise(rest, bytes - made, Advice::SmallPages);
                populate(rest, bytes - made, false);
                in_small_pages = bytes - made;
            }
        }
        Zeroed { map, elements: PhantomData, in_small_pages }
    }

    /// How many bytes [`Zeroed::collapse`] would put in other pages.
    pub(crate) fn bytes_in_small_pages(&self) -> usize {
        self.in_small_pages
    }

    /// Puts large pages in place of small ones: of all, or of the next until one takes long.
    #[cold]
    pub(crate) fn collapse(&mut self, whatever_it_takes: bool) {
        let first = self.map.len() - self.in_small_pages;
        self.in_small_pages -= collapse(self.map.as_ptr().wrapping_add(first), self.in_small_pages, whatever_it_takes);
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

#[cfg(test)]
mod tests {
    use super::*;

    // SAFETY: a number of zero bits is zero.
    unsafe impl Zero for u64 {}

    #[test]
    fn what_a_table_holds_does_not_depend_on_its_pages() {
        let len = 3 * LARGE_PAGE / size_of::<u64>() + 17;
        let mut table = Zeroed::<u64>::new(len);
        assert_eq!(table.len(), len);
        assert!(table.iter().all(|&number| number == 0));
        advise(table.map.as_ptr(), table.map.len(), Advice::SmallPages);
        table.in_small_pages = len * size_of::<u64>();
        table.iter_mut().zip(0..).for_each(|(element, number)| *element = number);
        assert_eq!(table.bytes_in_small_pages(), len * size_of::<u64>());
        table.collapse(false);
        assert!(table.bytes_in_small_pages() < len * size_of::<u64>(), "it goes on where it ended");
        table.collapse(true);
        assert_eq!(table.bytes_in_small_pages(), 0);
        assert!(table.iter().zip(0..).all(|(&element, number)| element == number));
    }
}
