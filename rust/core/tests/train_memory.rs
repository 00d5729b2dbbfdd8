//! The memory of the merge loop against its bound, with an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bloomery_core::{Control, Pattern, TieBreak, WordCounts, train, training_memory};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(by: usize) {
    PEAK.fetch_max(NOW.fetch_add(by, Relaxed) + by, Relaxed);
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may exist for a moment where the memory moves, but large blocks are remapped.
        grow(size);
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Numbers that look random (a linear congruential generator's upper bits).
fn random() -> impl FnMut(usize) -> usize {
    let mut state = 1u64;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

/// Words of syllables, common syllables and words being far more frequent than rare ones.
fn natural(words: usize, syllables: std::ops::Range<usize>) -> Vec<(Vec<u8>, u64)> {
    let mut random = random();
    let stock: Vec<Vec<u8>> =
        (0..4000).map(|_| (0..1 + random(4)).map(|_| b'a' + (random(26) * random(26) / 26) as u8).collect()).collect();
    let mut found = HashMap::new();
    for rank in 1..=words {
        let mut word = vec![b' '];
        for _ in 0..syllables.start + random(syllables.len()) {
            let up_to = 1 + random(stock.len());
            word.extend(&stock[random(up_to)]);
        }
        *found.entry(word).or_default() += 1 + (words / rank) as u64;
    }
    found.into_iter().collect()
}

#[test]
fn the_merge_loop_stays_within_its_bound() {
    let mut random = random();
    let mut noise = |letters: usize, len: usize| -> Vec<(Vec<u8>, u64)> {
        (0..20_000).map(|_| ((0..len).map(|_| random(letters) as u8).collect(), 1)).collect()
    };
    let runs = (1..2000).map(|len| (vec![b'a'; len], 1)).collect();
    // 13 MB are for 65,536 pairs of bytes, which text has not; they weigh on what is small.
    for (name, words, merges, most) in [
        ("words", natural(300_000, 1..5), 8000, 2.5),
        ("paragraphs", natural(10_000, 20..200), 8000, 2.5),
        ("few words", natural(5000, 1..4), 30_000, 6.0),
        ("noise of bytes", noise(256, 20), 2000, 4.0),
        ("noise of two letters", noise(2, 100), 2000, 4.0),
        ("runs", runs, 3000, 4.0),
    ] {
        let counts = WordCounts::from_words(words, &Pattern::Gpt2, &[]).unwrap();
        let bound = training_memory(&counts, 256 + merges).unwrap();
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        let learnt = train(&counts, 256 + merges, TieBreak::Lexicographic, &Control::default()).unwrap();
        let peak = (PEAK.load(Relaxed) - before) as u64;
        let ratio = bound as f64 / peak as f64;
        drop(learnt);
        assert!(ratio >= 1.0 && ratio <= most, "{name}: the peak is {peak} bytes, the bound {bound}, {ratio:.2} times");
    }
}
