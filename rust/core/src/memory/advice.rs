//! What the system is told of memory, and what it was seen to do then.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Bytes of a large page.
pub(super) const LARGE_PAGE: usize = 2 << 20;
/// A large page that took longer took longer than as much in small ones.
const TOO_LONG: Duration = Duration::from_micros(800);
/// Two that took too long end it, or one that took this many times too long: one that took a little too long may have been
/// interrupted, and the first of a process, for which the system makes preparations, takes up to twice too long anyway.
const MUCH: u32 = 3;
const ENOUGH: u32 = 2;
/// So many large pages' worth of small ones are made then, before large ones are tried again: it bounds the time that is lost
/// on trying.
const PAUSE: u32 = 16;

/// How many large pages took too long, since the last that did not.
static SLOW: AtomicU32 = AtomicU32::new(0);
/// How many large pages' worth are still to be made in small ones.
///
/// Large pages come in a fifth to a half of the time of small ones where memory is at hand. In a virtual machine whose host
/// takes back what is unused for some seconds they take ten times as long (5 ms were seen), until they have been used again: so
/// what was seen once does not hold for long.
static PAUSED: AtomicU32 = AtomicU32::new(0);

/// Whether new memory is to have large pages, as far as is known.
pub(super) fn large_pages_pay() -> bool {
    PAUSED.load(Ordering::Relaxed) == 0
}

/// What the system can be told of memory. Nothing of it changes what memory holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Advice {
    LargePages,
    SmallPages,
    /// To make the pages now.
    Populate,
    /// To put large pages in place of small ones now.
    Collapse,
}

/// Makes the pages of these bytes, and takes notice if large ones take too long.
pub(super) fn populate(start: *const u8, bytes: usize, are_large: bool) {
    let pages = bytes.div_ceil(LARGE_PAGE) as u32;
    let begin = Instant::now();
    advise(start, bytes, Advice::Populate);
    if !are_large {
        let _ = PAUSED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(pages)));
        return;
    }
    let allowed = TOO_LONG * pages;
    match begin.elapsed() {
        taken if taken <= allowed => SLOW.store(0, Ordering::Relaxed),
        taken if taken > allowed * MUCH || SLOW.fetch_add(1, Ordering::Relaxed) + 1 >= ENOUGH => {
            SLOW.store(0, Ordering::Relaxed);
            PAUSED.store(PAUSE, Ordering::Relaxed);
        }
        _ => {}
    }
}

/// Puts large pages in place of the small ones of these bytes, or of the first of them until one takes too long; returns how
/// many bytes those are.
pub(super) fn collapse(start: *const u8, bytes: usize, whatever_it_takes: bool) -> usize {
    advise(start, bytes, Advice::LargePages);
    let mut done = 0;
    while done < bytes {
        let begin = Instant::now();
        let from = start.wrapping_add(done);
        // To the end of a large page, of which nothing is known where there are only parts of it.
        let next = (LARGE_PAGE - from.addr() % LARGE_PAGE).min(bytes - done);
        advise(from, next, Advice::Collapse);
        done += next;
        if !whatever_it_takes && begin.elapsed() > TOO_LONG * MUCH {
            break;
        }
    }
    done
}

/// Advises the system of all small pages in which `bytes` bytes from `start` on lie.
pub(super) fn advise(start: *const u8, bytes: usize, advice: Advice) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4 << 10;
        let before = start.addr() % PAGE;
        let advice = match advice {
            Advice::LargePages => libc::MADV_HUGEPAGE,
            Advice::SmallPages => libc::MADV_NOHUGEPAGE,
            Advice::Populate => libc::MADV_POPULATE_WRITE,
            // libc does not have it for every C library.
            Advice::Collapse => 25,
        };
        let start = start.cast_mut().wrapping_sub(before).cast();
        // SAFETY: none of the four changes what memory holds, neither that of the array nor what else lies in its first and
        // last page. A refusal costs nothing but time.
        let _ = unsafe { libc::madvise(start, (before + bytes).next_multiple_of(PAGE), advice) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes, advice);
}
