//! What the system is told of memory, and what it was seen to do then.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Bytes of a large page.
pub(super) const LARGE_PAGE: usize = 2 << 20;
/// A large page that took longer took longer than as much in small ones.
const TOO_LONG: Duration = Duration::from_micros(800);
/// So many in a row that took too long end it: one that took a little too long may have been interrupted, and the first of a
/// process, for which the system makes preparations, takes up to twice too long anyway.
const ENOUGH: u32 = 2;
/// One ends it that took so many times too long.
const MUCH: u32 = 3;
/// So many large pages' worth of small ones are made then, before large ones are tried again: it bounds the time that is lost
/// on trying.
const PAUSE: u32 = 16;

/// What is known of large pages.
///
/// They come in a fifth to a half of the time of small ones where memory is at hand. In a virtual machine whose host takes back
/// what is unused for some seconds they take ten times as long (5 ms were seen), until they have been used again: so what was
/// seen once does not hold for long.
static SEEN: Seen = Seen::nothing();

struct Seen {
    /// How many large pages took too long, since the last that did not.
    slow: AtomicU32,
    /// How many large pages' worth are still to be made in small ones.
    paused: AtomicU32,
}

impl Seen {
    const fn nothing() -> Seen {
        Seen { slow: AtomicU32::new(0), paused: AtomicU32::new(0) }
    }

    fn large_pages_pay(&self) -> bool {
        self.paused.load(Ordering::Relaxed) == 0
    }

    /// Takes notice of so many large pages that took so long.
    fn large(&self, pages: u32, taken: Duration) {
        let allowed = TOO_LONG * pages;
        if taken <= allowed {
            self.slow.store(0, Ordering::Relaxed);
        } else if taken > allowed * MUCH || self.slow.fetch_add(1, Ordering::Relaxed) + 1 >= ENOUGH {
            self.slow.store(0, Ordering::Relaxed);
            self.paused.store(PAUSE, Ordering::Relaxed);
        }
    }

    /// Takes notice of as many small pages as so many large ones.
    fn small(&self, pages: u32) {
        let less = |left: u32| Some(left.saturating_sub(pages));
        let _ = self.paused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// Whether new memory is to have large pages, as far as is known.
pub(super) fn large_pages_pay() -> bool {
    SEEN.large_pages_pay()
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

/// Makes the pages of these bytes, and takes notice of what that takes.
pub(super) fn populate(start: *const u8, bytes: usize, are_large: bool) {
    let begin = Instant::now();
    advise(start, bytes, Advice::Populate);
    match (begun(start.addr(), bytes), are_large) {
        (0, _) => {}
        (pages, true) => SEEN.large(pages, begin.elapsed()),
        (pages, false) => SEEN.small(pages),
    }
}

/// How many large pages begin in these bytes. Who populates memory little by little makes a whole one when its first bytes are
/// touched, and none until the next.
fn begun(start: usize, bytes: usize) -> u32 {
    ((start + bytes).div_ceil(LARGE_PAGE) - start.div_ceil(LARGE_PAGE)) as u32
}

/// Puts large pages in place of the small ones of these bytes, or of the first of them until one takes much too long. Returns
/// of how many bytes this was asked: the system may not have it, and has it not for parts of a large page.
pub(super) fn collapse(start: *const u8, bytes: usize, whatever_it_takes: bool) -> usize {
    advise(start, bytes, Advice::LargePages);
    let mut done = 0;
    while done < bytes {
        let begin = Instant::now();
        let from = start.wrapping_add(done);
        // To the end of the large page that it is in.
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
        // SAFETY: none of the four changes what memory holds, neither these bytes nor what else lies in their first and last
        // page. A refusal costs nothing but time.
        let _ = unsafe { libc::madvise(start, (before + bytes).next_multiple_of(PAGE), advice) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes, advice);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pages_that_are_slow_are_tried_again_after_a_while() {
        let (fast, slow, cold) = (TOO_LONG, TOO_LONG * 2, TOO_LONG * MUCH + Duration::from_nanos(1));
        let seen = Seen::nothing();
        for taken in [slow, fast, slow, fast] {
            seen.large(1, taken);
            assert!(seen.large_pages_pay(), "one that took a little too long is no verdict");
        }
        seen.large(4, fast * 4);
        assert!(seen.large_pages_pay());
        seen.large(1, cold);
        assert!(!seen.large_pages_pay());
        seen.small(PAUSE - 1);
        assert!(!seen.large_pages_pay());
        seen.small(3);
        assert!(seen.large_pages_pay());
        seen.large(1, slow);
        seen.large(1, slow);
        assert!(!seen.large_pages_pay(), "two in a row are");
    }

    #[test]
    fn a_large_page_counts_once_however_it_is_made() {
        for start in [0, 1, 4096, LARGE_PAGE - 1, LARGE_PAGE, 3 * LARGE_PAGE + 5] {
            assert_eq!(begun(start, 0), 0);
            for step in [1000, 1 << 20, LARGE_PAGE, 3 * LARGE_PAGE] {
                let end = start + 12 * LARGE_PAGE;
                let made: u32 = (start..end).step_by(step).map(|at| begun(at, step.min(end - at))).sum();
                assert_eq!(made, 12, "from {start} on, {step} at a time");
            }
        }
    }
}
