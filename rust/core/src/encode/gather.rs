//! Ids of many pieces of text, made by several threads, end to end in one array.

use std::collections::BTreeMap;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};

use super::id::Id;
use crate::error::Result;
use crate::memory::Pages;
use crate::parallel::on_each_thread;

/// The pages of so many bytes of ids are made at a time.
const AHEAD: usize = 2 << 20;

/// Calls `encode` for each of `items` on `threads` threads, which take the next as they become free; it appends the ids of
/// the item. Returns the ids in the order of the items, in the memory of `ids`, an empty array, and what `encode` returned.
/// Each thread has a state of its own from `state`.
pub(super) fn gather<I: Id, T: Sync, R: Send, S>(
    items: &[T],
    threads: usize,
    (mut ids, pages): (Vec<I>, Pages),
    state: impl Fn() -> S + Sync,
    encode: impl Fn(&T, &mut S, &mut Vec<I>) -> Result<R> + Sync,
) -> Result<(Vec<I>, Vec<R>)> {
    if threads == 1 {
        let ahead = AHEAD / size_of::<I>();
        let mut made = 0;
        let mut state = state();
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            if made < ids.len() + ahead / 2 {
                let end = (ids.len() + ahead).min(ids.capacity());
                pages.make(&ids, ids.len()..end);
                made = ids.len() + ahead;
            }
            results.push(encode(item, &mut state, &mut ids)?);
        }
        return Ok((ids, results));
    }
    let next = AtomicUsize::new(0);
    let output = Output::new(ids, pages);
    let done = on_each_thread(threads, || {
        let mut state = state();
        let mut done = Vec::new();
        let mut ids = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return Ok(done) };
            match encode(item, &mut state, &mut ids) {
                Ok(result) => done.push((index, result)),
                Err(error) => {
                    // The others find no further item.
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
            ids = output.put(index, ids);
        }
    })?;
    let mut results: Vec<(usize, R)> = done.into_iter().flatten().collect();
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok((output.finish(), results.into_iter().map(|(_, result)| result).collect()))
}

/// One array that several threads write the ids of items to, each where it belongs as soon as that is known: an item's ids are
/// then still near, and no memory is used that will not be part of the result.
struct Output<I> {
    queue: Mutex<Queue<I>>,
    room: RwLock<Room<I>>,
}

/// Items whose ids wait for those before them.
struct Queue<I> {
    /// The first item that has no place yet.
    next: usize,
    /// Where its ids will be.
    end: usize,
    waiting: BTreeMap<usize, Vec<I>>,
}

struct Room<I> {
    ids: Vec<MaybeUninit<I>>,
    pages: Pages,
    /// Where they begin. Who holds the lock for reading may write through it to the place of its own items.
    start: *mut MaybeUninit<I>,
}

// SAFETY: the pointer is into memory that the vector beside it owns.
unsafe impl<I: Send> Send for Room<I> {}
// SAFETY: what is written through the pointer by several threads at once does not overlap.
unsafe impl<I: Sync> Sync for Room<I> {}

impl<I> Room<I> {
    fn new(mut ids: Vec<MaybeUninit<I>>, pages: Pages) -> Room<I> {
        // SAFETY: what need not have been written is all there.
        unsafe { ids.set_len(ids.capacity()) };
        let start = ids.as_mut_ptr();
        Room { ids, pages, start }
    }
}

impl<I: Id> Output<I> {
    fn new(ids: Vec<I>, pages: Pages) -> Output<I> {
        let mut ids = ManuallyDrop::new(ids);
        // SAFETY: the memory is that of a vector of elements of the same layout, which does not free it.
        let ids = unsafe { Vec::from_raw_parts(ids.as_mut_ptr().cast(), 0, ids.capacity()) };
        let queue = Queue { next: 0, end: 0, waiting: BTreeMap::new() };
        Output { queue: Mutex::new(queue), room: RwLock::new(Room::new(ids, pages)) }
    }

    /// Takes the ids of item `index`; returns an empty array to go on with.
    fn put(&self, index: usize, ids: Vec<I>) -> Vec<I> {
        let mut ready = Vec::new();
        {
            let mut queue = self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            queue.waiting.insert(index, ids);
            let mut next = queue.next;
            while let Some(ids) = queue.waiting.remove(&next) {
                let end = queue.end + ids.len();
                ready.push((std::mem::replace(&mut queue.end, end), ids));
                next += 1;
            }
            queue.next = next;
        }
        for (at, ids) in &ready {
            while !self.copy(*at, ids) {
                self.grow(at + ids.len());
            }
        }
        let mut ids = ready.pop().map(|(_, ids)| ids).unwrap_or_default();
        ids.clear();
        ids
    }

    /// Copies `ids` to their place; false when there is no room.
    fn copy(&self, at: usize, ids: &[I]) -> bool {
        let room = self.room.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let fits = at + ids.len() <= room.ids.len();
        if fits {
            room.pages.make(&room.ids, at..at + ids.len());
            // SAFETY: the place is within the array, which stays where it is while the lock is held, and no other item's.
            unsafe { room.start.add(at).cast::<I>().copy_from_nonoverlapping(ids.as_ptr(), ids.len()) };
        }
        fits
    }

    /// Makes room for `ids` in all.
    #[cold]
    fn grow(&self, ids: usize) {
        let mut room = self.room.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if room.ids.len() < ids {
            let mut all = std::mem::take(&mut room.ids);
            let before = all.len();
            all.reserve(ids - before);
            let pages = Pages::of(&all, before);
            *room = Room::new(all, pages);
        }
    }

    /// All ids. Every item has to be there.
    fn finish(self) -> Vec<I> {
        let queue = self.queue.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        debug_assert!(queue.waiting.is_empty());
        let mut ids = ManuallyDrop::new(self.room.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).ids);
        // SAFETY: the items lie end to end and were all copied, so as many ids were written; the memory is that of a vector
        // of elements of the same layout, which does not free it.
        unsafe { Vec::from_raw_parts(ids.as_mut_ptr().cast(), queue.end, ids.capacity()) }
    }
}
