//! Memory for ids: a large array that is not needed any more is written to again.

use std::sync::Mutex;

use super::id::Id;
use crate::memory::Pages;

/// Less room than this is not worth it, and more than that is not kept: bytes.
const LEAST: usize = 4 << 20;
const MOST: usize = 256 << 20;
/// Room is not given to ids that take less than this part of it: they would keep all of it from others.
const PART: usize = 4;

/// Memory of ids that were let go. In new memory, whose pages have to be made, a text takes a quarter longer to encode.
///
/// It is only ever tried, as [`super::ScratchPool`] is. (Tried: to let the system have it when it needs some, with `MADV_FREE`.
/// That costs a third of what is gained.)
#[derive(Debug, Default)]
pub(crate) struct Recycled {
    kept: Mutex<Kept>,
}

/// One array, of ids of either type.
#[derive(Debug)]
pub enum Kept {
    U16(Vec<u16>),
    U32(Vec<u32>),
}

impl Default for Kept {
    fn default() -> Self {
        Kept::U16(Vec::new())
    }
}

impl Recycled {
    /// An empty array with room for `ids`.
    pub(crate) fn take<I: Id>(&self, ids: usize) -> (Vec<I>, Pages) {
        if ids >= LEAST / size_of::<I>()
            && let Ok(mut kept) = self.kept.try_lock()
            && let Some(kept) = I::kept(&mut kept)
            && (ids..=ids * PART).contains(&kept.capacity())
        {
            let ids = std::mem::take(kept);
            let pages = Pages::of(&ids, ids.capacity());
            return (ids, pages);
        }
        let ids = Vec::with_capacity(ids);
        let pages = Pages::of(&ids, 0);
        (ids, pages)
    }

    /// Keeps the memory of `ids` if it is much, and not too much.
    pub(crate) fn give<I: Id>(&self, mut ids: Vec<I>) {
        if (LEAST..=MOST).contains(&(ids.capacity() * size_of::<I>()))
            && let Ok(mut kept) = self.kept.try_lock()
        {
            ids.clear();
            *kept = I::keep(ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_go_is_used_again() {
        let recycled = Recycled::default();
        let (mut ids, _) = recycled.take::<u32>(3 << 20);
        ids.resize(3 << 20, 7);
        let start = ids.as_ptr();
        recycled.give(ids);
        assert_ne!(recycled.take::<u32>(1 << 10).0.as_ptr(), start, "a few ids do not get it");
        assert_ne!(recycled.take::<u32>(4 << 20).0.as_ptr(), start, "nor do more than fit");
        let (mut ids, _) = recycled.take::<u32>(2 << 20);
        assert_eq!((ids.as_ptr(), ids.len()), (start, 0));
        assert_ne!(recycled.take::<u32>(2 << 20).0.as_ptr(), start, "nor does anyone get it twice");
        ids.resize(3 << 20, 8);
        assert!(ids.iter().all(|&id| id == 8));
        recycled.give(ids);
        recycled.give(recycled.take::<u16>(4 << 20).0);
        assert_ne!(recycled.take::<u32>(2 << 20).0.as_ptr(), start, "one array is kept, of either type");
    }
}
