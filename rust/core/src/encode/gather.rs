//! Ids of many pieces of text, made by several threads, end to end in one array.

use std::mem::MaybeUninit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::memory::advise_huge;
use crate::parallel::on_each_thread;

/// Room is made for an id in so many bytes of text: about what English has.
pub(super) const BYTES_PER_ID: usize = 4;

/// Where ids belong, and the ids.
type Copy<'a> = (&'a mut [MaybeUninit<u32>], &'a [u32]);

/// Calls `encode` for each of `items` on `threads` threads, which take the next as they become free; it appends the ids of
/// the item. Returns the ids in the order of the items, and what `encode` returned. Each thread has a state of its own from
/// `state`. All items together have `bytes` bytes of text.
pub(super) fn gather<I: Sync, T: Send, S>(
    items: &[I],
    threads: usize,
    bytes: usize,
    state: impl Fn() -> S + Sync,
    encode: impl Fn(&I, &mut S, &mut Vec<u32>) -> Result<T> + Sync,
) -> Result<(Vec<u32>, Vec<T>)> {
    if threads == 1 {
        let mut ids = with_room(bytes / BYTES_PER_ID);
        let mut state = state();
        let results = items.iter().map(|item| encode(item, &mut state, &mut ids)).collect::<Result<_>>()?;
        return Ok((ids, results));
    }
    let next = AtomicUsize::new(0);
    let parts = on_each_thread(threads, || {
        // One array a thread, not one an item: memory that was never used before costs more than to write to it.
        let mut ids = with_room(bytes / BYTES_PER_ID / threads);
        let mut state = state();
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return Ok((ids, done)) };
            let start = ids.len();
            match encode(item, &mut state, &mut ids) {
                Ok(result) => done.push((index, start..ids.len(), result)),
                Err(error) => {
                    // The others find no further item.
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    })?;
    let total = parts.iter().map(|(ids, _)| ids.len()).sum();
    let mut all = with_room(total);
    let mut order = Vec::with_capacity(items.len());
    for (thread, (ids, done)) in parts.iter().enumerate() {
        order.extend(done.iter().map(|(index, range, _)| (*index, thread, &ids[range.clone()])));
    }
    order.sort_unstable_by_key(|(index, _, _)| *index);
    let mut copies: Vec<Vec<Copy<'_>>> = parts.iter().map(|_| Vec::new()).collect();
    let mut room = &mut all.spare_capacity_mut()[..total];
    for (_, thread, ids) in order {
        let (here, rest) = room.split_at_mut(ids.len());
        copies[thread].push((here, ids));
        room = rest;
    }
    let copies = Mutex::new(copies);
    on_each_thread(threads, || {
        let take = || copies.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        while let Some(copies) = take() {
            for (to, from) in copies {
                to.iter_mut().zip(from).for_each(|(to, &id)| {
                    to.write(id);
                });
            }
        }
        Ok(())
    })?;
    // SAFETY: all copies were made; they lie end to end and have `total` ids together.
    unsafe { all.set_len(total) };
    let mut results: Vec<(usize, T)> = Vec::with_capacity(items.len());
    for (_, done) in parts {
        results.extend(done.into_iter().map(|(index, _, result)| (index, result)));
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok((all, results.into_iter().map(|(_, result)| result).collect()))
}

fn with_room(ids: usize) -> Vec<u32> {
    let mut room = Vec::with_capacity(ids);
    advise_huge(&mut room);
    room
}
