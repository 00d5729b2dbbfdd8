//! What [`super::Front`] does for every word of a text, in instructions that most processors have: less than half as many of
//! them. They are what it takes time for: four or five end in each cycle.

use std::arch::asm;
use std::arch::x86_64::{
    _mm_aesenc_si128, _mm_and_si128, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_set_epi64x, _mm_set1_epi32,
    _mm_storeu_si128, _mm256_alignr_epi64, _mm256_broadcastsi128_si256, _mm256_castsi128_si256, _mm256_castsi256_pd,
    _mm256_cmpeq_epi64, _mm256_inserti128_si256, _mm256_loadu_si256, _mm256_min_epu64, _mm256_movemask_pd,
    _mm256_permutevar8x32_epi32, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_shuffle_epi8, _mm256_storeu_si256,
    _mm256_sub_epi64, _mm512_aesenc_epi128, _mm512_broadcast_i32x4, _mm512_castsi256_si512, _mm512_castsi512_si128,
    _mm512_cmplt_epu8_mask, _mm512_inserti64x4, _mm512_loadu_si512, _mm512_mask_mov_epi8, _mm512_maskz_mov_epi8,
    _mm512_permutexvar_epi8, _mm512_permutexvar_epi32, _mm512_storeu_si512,
};
use std::ops::Range;

use super::{ELSEWHERE, INLINE, Key, Line, Packing, Value, WIDTH, Wanted};
use crate::hash;
use crate::memory::prefetch;
use crate::processor::Instructions;

/// The most that can be used here.
pub(super) fn supported() -> Instructions {
    if is_x86_feature_detected!("aes") { Instructions::best() } else { Instructions::Portable }
}

// [`copy_known`] writes twice as many ids for a word at most.
const _: () = assert!(INLINE < 2 * WIDTH);

const SHIFT: u32 = size_of::<Line>().trailing_zeros();

/// Two rounds of AES carry every bit of the key into every other.
const ROUND: [i64; 2] = [0x42b2_ae3d_27d4_eb4f, 0x1e37_79b9_7f4a_7c15];

/// In which line a short word stands: the lowest bits count.
pub(super) fn line(key: Key) -> u64 {
    // SAFETY: called where [`supported`].
    unsafe { place(key) >> SHIFT }
}

/// How many bytes behind the first line that line is: the bits of a whole line count.
#[inline]
#[target_feature(enable = "aes")]
fn place(key: Key) -> u64 {
    let round = _mm_set_epi64x(ROUND[1], ROUND[0]);
    // SAFETY: a key is 16 bytes.
    let key = unsafe { _mm_loadu_si128((&raw const key).cast()) };
    _mm_cvtsi128_si64(_mm_aesenc_si128(_mm_aesenc_si128(key, round), round)) as u64
}

/// # Safety
/// Each word has [`hash::INLINE`] bytes of `text` behind its start, and the processor has the instructions.
#[inline(never)]
#[target_feature(enable = "avx2,aes,bmi1,bmi2")]
pub(super) unsafe fn want_by_avx2(
    table: &[Line],
    wanted: (&mut [Key], &mut [u32]),
    text: &[u8],
    start: usize,
    ends: &[usize],
) {
    // SAFETY: by the contract of the function.
    let load = |start, len| unsafe { hash::load_within(text, start, len) };
    super::want(table, wanted, start, ends, load, |key| place(key) >> SHIFT);
}

/// Words that [`want_by_avx512`] prepares at once: their keys fill a register.
const AT_ONCE: usize = 4;

/// # Safety
/// As of [`want_by_avx2`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx2,aes,vaes,bmi1,bmi2")]
pub(super) unsafe fn want_by_avx512(
    table: &[Line],
    (keys, lines): (&mut [Key], &mut [u32]),
    text: &[u8],
    start: usize,
    ends: &[usize],
) {
    let (fours, rest) = ends.as_chunks::<AT_ONCE>();
    let (keys, rest_of_keys) = keys.as_chunks_mut::<AT_ONCE>();
    let (lines, rest_of_lines) = lines.as_chunks_mut::<AT_ONCE>();
    // SAFETY: 64 bytes are read of each.
    let (places, lengths, lowest) = unsafe {
        (
            _mm512_loadu_si512(PLACES.as_ptr().cast()),
            _mm512_loadu_si512(LENGTHS.as_ptr().cast()),
            _mm512_loadu_si512(LOWEST.as_ptr().cast()),
        )
    };
    let round = _mm512_broadcast_i32x4(_mm_set_epi64x(ROUND[1], ROUND[0]));
    let mask = _mm_set1_epi32(((table.len() - 1) << SHIFT) as i32);
    let mut first = start;
    let mut before = _mm256_set1_epi64x(start as i64);
    for ((ends, keys), lines) in fours.iter().zip(keys).zip(lines) {
        // SAFETY: by the contract of the function.
        let word = |start: usize| unsafe { _mm_loadu_si128(text.as_ptr().add(start).cast()) };
        let left = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(word(first)), word(ends[0]));
        let right = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(word(ends[1])), word(ends[2]));
        let words = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(left), right);
        first = ends[3];

        // SAFETY: there are four numbers of 8 bytes.
        let behind = unsafe { _mm256_loadu_si256(ends.as_ptr().cast()) };
        let starts = _mm256_alignr_epi64::<3>(behind, before);
        before = behind;
        let length = _mm256_min_epu64(_mm256_sub_epi64(behind, starts), _mm256_set1_epi64x(INLINE as i64 + 1));
        let length = _mm512_permutexvar_epi8(lengths, _mm512_castsi256_si512(length));
        let words = _mm512_maskz_mov_epi8(_mm512_cmplt_epu8_mask(places, length), words);
        let words = _mm512_mask_mov_epi8(words, TAGS, length);
        // SAFETY: the keys are as many bytes.
        unsafe { _mm512_storeu_si512(keys.as_mut_ptr().cast(), words) };

        let hashes = _mm512_aesenc_epi128(_mm512_aesenc_epi128(words, round), round);
        let hashes = _mm512_castsi512_si128(_mm512_permutexvar_epi32(lowest, hashes));
        // SAFETY: the numbers of lines are as many bytes.
        unsafe { _mm_storeu_si128(lines.as_mut_ptr().cast(), _mm_and_si128(hashes, mask)) };
        for &line in &*lines {
            prefetch(table, line as usize >> SHIFT);
        }
    }
    // SAFETY: by the contract of the function.
    unsafe { want_by_avx2(table, (rest_of_keys, rest_of_lines), text, first, rest) };
}

/// By byte of these keys: its place in the key.
const PLACES: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % size_of::<Key>()) as u8;
        at += 1;
    }
    bytes
};
/// By byte of these keys: where, among numbers of 8 bytes, the length of its word is.
const LENGTHS: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at / size_of::<Key>() * size_of::<usize>()) as u8;
        at += 1;
    }
    bytes
};
/// Where the length of the word stands in these keys: in the last byte of each.
const TAGS: u64 = 0x8000_8000_8000_8000;
/// Where the lowest numbers of 4 bytes of four hashes are.
const LOWEST: [u32; 16] = [0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// By which halves of the two keys of a line are equal: where in the line the value is, or 0.
static VALUES: [u8; 16] = [0, 0, 0, 32, 0, 0, 0, 32, 0, 0, 0, 32, 48, 48, 48, 48];

/// [`super::copy_known`].
///
/// # Safety
/// As there.
#[inline(never)]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) unsafe fn copy_known(
    (table, packing): (&[Line], Packing),
    wanted: &Wanted,
    Range { start: mut nth, end }: Range<usize>,
    to: *mut u32,
    mut count: usize,
) -> (usize, usize) {
    assert!(end <= wanted.keys.len());
    let table = table.as_ptr();
    // SAFETY: it is as many bytes.
    let shuffle = unsafe { _mm256_loadu_si256(packing.shuffle().as_ptr().cast()) };
    while nth < end {
        // SAFETY: `nth` is one of those that are wanted, whose lines are in the table; a line begins with two keys.
        let (line, halves) = unsafe {
            let line = table.byte_add(*wanted.lines.get_unchecked(nth) as usize);
            let key = _mm_loadu_si128(wanted.keys.as_ptr().add(nth).cast());
            let equal = _mm256_cmpeq_epi64(_mm256_broadcastsi128_si256(key), _mm256_loadu_si256(line.cast()));
            (line, _mm256_movemask_pd(_mm256_castsi256_pd(equal)))
        };
        let place = opaque(VALUES[halves as usize % VALUES.len()]);
        // SAFETY: the value lies within the line, or what is read is one of its keys.
        let value = unsafe { line.byte_add(place).cast::<Value>() };
        // SAFETY: as above.
        let (number, packed) = unsafe { ((*value).kind(), _mm_loadu_si128(value.cast())) };
        let ids = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(packed), shuffle);
        // All are written, whatever the count: that costs less than to ask.
        // SAFETY: by the contract of the function.
        unsafe { _mm256_storeu_si256(to.add(count).cast(), ids) };
        if place == 0 || number > WIDTH as u8 {
            if place == 0 || number >= ELSEWHERE {
                break;
            }
            // A word that is its own key has no more ids than twice as many: it is no longer than that.
            let last = _mm256_permutevar8x32_epi32(ids, _mm256_set1_epi32(WIDTH as i32 - 1));
            // SAFETY: as above.
            unsafe { _mm256_storeu_si256(to.add(count + WIDTH).cast(), last) };
        }
        count += usize::from(number);
        nth += 1;
    }
    (nth, count)
}

/// The number, of which the compiler is to know nothing: it would ask by a shift and a mask, and not by the number itself,
/// whether it is 0.
#[inline(always)]
fn opaque(number: u8) -> usize {
    let mut number = usize::from(number);
    // SAFETY: nothing is done.
    unsafe { asm!("/* {0} */", inout(reg) number, options(pure, nomem, nostack, preserves_flags)) };
    number
}
