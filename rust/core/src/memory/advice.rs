//! What the system is told of memory, and what it was seen to do then.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Bytes of a large page.
pub(super) const LARGE_PAGE: usize = 2 << 20;
/// A large page that took longer took longer than as much in small ones.
const TOO_LONG: Duration = Duration::from_micros(800);
/// When they have taken too long so many times over, there are to be no more: one that took a little too long may have been
/// interrupted.
const ENOUGH: u32 = 2;

/// How many times over large pages took too long.
///
/// Large pages come twice as fast as small ones where memory is at hand. In a virtual machine whose host gives it memory only
/// when it is touched they take ten times as long (5 ms were seen), unless they were used a moment ago.
static SLOW: AtomicU32 = AtomicU32::new(0);

/// Whether new memory is to have large pages, as far as is known.
pub(super) fn large_pages_pay() -> bool {
    SLOW.load(Ordering::Relaxed) < ENOUGH
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
pub(super) fn populate(start: *const u8, bytes: usize) {
    let is_known = !large_pages_pay();
    let begin = Instant::now();
    advise(start, bytes, Advice::Populate);
    if !is_known {
        let allowed = TOO_LONG * bytes.div_ceil(LARGE_PAGE) as u32;
        SLOW.fetch_add((begin.elapsed().as_nanos() / allowed.as_nanos()).min(ENOUGH.into()) as u32, Ordering::Relaxed);
    }
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
