//! 64 bytes of text in vector registers, and what is asked of them; once for AVX2 and once for AVX-512.
//!
//! The functions become part of loops that are compiled for these instructions, and use them only there: hence nearly all are
//! `inline(always)`, which functions compiled for more than the rest may not be, and there are no closures, which cannot be.

use std::arch::x86_64::{
    __m256i, __m512i, _mm_bsrli_si128, _mm256_add_epi8, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_set1_epi8, _mm512_add_epi64, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask,
    _mm512_cmple_epu8_mask, _mm512_cmplt_epi8_mask, _mm512_cvtepu8_epi64, _mm512_loadu_si512,
    _mm512_maskz_compress_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi64,
    _mm512_storeu_si512, _mm512_sub_epi8,
};
use std::mem::MaybeUninit;

/// Bytes in a vector.
pub(super) const WIDTH: usize = 64;

/// Each function gives a bit for each byte. The processor has to have the instructions that [`Vector::load`] asks for.
pub(super) trait Vector: Copy {
    /// # Safety
    /// The processor has the instructions.
    unsafe fn load(bytes: &[u8; WIDTH]) -> Self;
    /// Which bytes are `one` or `other`.
    fn is_either(self, one: u8, other: u8) -> u64;
    /// Which are in `first..=last`.
    fn within(self, first: u8, last: u8) -> u64;
    /// Which are letters of ASCII.
    fn letter(self) -> u64;
    /// Which are white space of ASCII, but line feed and carriage return.
    fn blank(self) -> u64;
    /// Which are not ASCII.
    fn beyond_ascii(self) -> u64;
    /// Which are bytes of a character behind its first.
    fn continuation(self) -> u64;

    /// Which are `byte`.
    #[inline(always)]
    fn is(self, byte: u8) -> u64 {
        self.is_either(byte, byte)
    }

    /// Writes the sum of `base` and the place of each bit to `places`, and other numbers behind them.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[inline(always)]
    unsafe fn write_places(base: usize, mut bits: u64, places: &mut [MaybeUninit<usize>; WIDTH]) {
        // Eight are written whether there are so many or not: a loop that stops at the last bit is mispredicted there.
        for eight in places.chunks_exact_mut(8).take((bits.count_ones() as usize).div_ceil(8)) {
            for place in eight {
                place.write(base + bits.trailing_zeros() as usize);
                bits &= bits.wrapping_sub(1);
            }
        }
    }
}

/// Two vectors of 32 bytes.
#[derive(Clone, Copy)]
pub(super) struct Avx2([__m256i; 2]);

/// The sign bits of 64 bytes.
#[inline(always)]
fn bits([left, right]: [__m256i; 2]) -> u64 {
    // SAFETY: there are vectors only where the processor has the instructions.
    unsafe { u64::from(sign_bits(left)) | u64::from(sign_bits(right)) << 32 }
}

/// `_mm256_movemask_epi8`, of which the compiler knows too much: where masks are combined it takes the vectors apart byte by
/// byte, which is several times slower.
#[target_feature(enable = "avx2")]
#[inline]
fn sign_bits(bytes: __m256i) -> u32 {
    let bits: u32;
    // SAFETY: the instruction reads one register and writes another.
    unsafe {
        std::arch::asm!("vpmovmskb {:e}, {}", out(reg) bits, in(ymm_reg) bytes, options(pure, nomem, nostack, preserves_flags));
    }
    bits
}

#[inline(always)]
fn is(bytes: __m256i, byte: u8) -> __m256i {
    // SAFETY: there are vectors only where the processor has the instructions.
    unsafe { _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte as i8)) }
}

/// Which bytes are in `first..=last`.
#[inline(always)]
fn within(bytes: __m256i, first: u8, last: u8) -> __m256i {
    // SAFETY: there are vectors only where the processor has the instructions.
    unsafe {
        // There is only a signed comparison: `first` is moved to the lowest number there is.
        let moved = _mm256_add_epi8(bytes, _mm256_set1_epi8(0x80u8.wrapping_sub(first) as i8));
        _mm256_cmpgt_epi8(_mm256_set1_epi8((0x80 + (last - first) + 1) as i8), moved)
    }
}

#[inline(always)]
fn or(one: __m256i, other: __m256i) -> __m256i {
    // SAFETY: there are vectors only where the processor has the instructions.
    unsafe { _mm256_or_si256(one, other) }
}

#[inline(always)]
fn blank(bytes: __m256i) -> __m256i {
    or(or(is(bytes, b' '), is(bytes, b'\t')), within(bytes, 0x0b, 0x0c))
}

impl Vector for Avx2 {
    #[inline(always)]
    unsafe fn load(bytes: &[u8; WIDTH]) -> Self {
        let (left, right) = bytes.split_at(WIDTH / 2);
        // SAFETY: each half has 32 bytes, the load asks for no alignment, and by the contract the processor has it.
        Avx2(unsafe { [_mm256_loadu_si256(left.as_ptr().cast()), _mm256_loadu_si256(right.as_ptr().cast())] })
    }

    #[inline(always)]
    fn is_either(self, one: u8, other: u8) -> u64 {
        let [left, right] = self.0;
        bits([or(is(left, one), is(left, other)), or(is(right, one), is(right, other))])
    }

    #[inline(always)]
    fn within(self, first: u8, last: u8) -> u64 {
        let [left, right] = self.0;
        bits([within(left, first, last), within(right, first, last)])
    }

    #[inline(always)]
    fn letter(self) -> u64 {
        // SAFETY: there are vectors only where the processor has the instructions.
        let in_lower_case = unsafe { _mm256_set1_epi8(0x20) };
        let [left, right] = self.0;
        bits([within(or(left, in_lower_case), b'a', b'z'), within(or(right, in_lower_case), b'a', b'z')])
    }

    #[inline(always)]
    fn blank(self) -> u64 {
        let [left, right] = self.0;
        bits([blank(left), blank(right)])
    }

    #[inline(always)]
    fn beyond_ascii(self) -> u64 {
        bits(self.0)
    }

    #[inline(always)]
    fn continuation(self) -> u64 {
        let [left, right] = self.0;
        // SAFETY: there are vectors only where the processor has the instructions. 0x80 to 0xbf are the lowest of the signed
        // bytes.
        unsafe {
            let first = _mm256_set1_epi8(-0x40);
            bits([_mm256_cmpgt_epi8(first, left), _mm256_cmpgt_epi8(first, right)])
        }
    }
}

/// One vector, whose comparisons give masks at once.
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512i);

impl Vector for Avx512 {
    #[inline(always)]
    unsafe fn load(bytes: &[u8; WIDTH]) -> Self {
        // SAFETY: there are 64 bytes, the load asks for no alignment, and by the contract the processor has it.
        Avx512(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
    }

    #[inline(always)]
    fn is_either(self, one: u8, other: u8) -> u64 {
        // SAFETY: there are vectors only where the processor has the instructions.
        unsafe {
            _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(one as i8))
                | _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(other as i8))
        }
    }

    #[inline(always)]
    fn within(self, first: u8, last: u8) -> u64 {
        // SAFETY: there are vectors only where the processor has the instructions.
        unsafe {
            let moved = _mm512_sub_epi8(self.0, _mm512_set1_epi8(first as i8));
            _mm512_cmple_epu8_mask(moved, _mm512_set1_epi8((last - first) as i8))
        }
    }

    #[inline(always)]
    fn letter(self) -> u64 {
        // SAFETY: there are vectors only where the processor has the instructions.
        Avx512(unsafe { _mm512_or_si512(self.0, _mm512_set1_epi8(0x20)) }).within(b'a', b'z')
    }

    #[inline(always)]
    fn blank(self) -> u64 {
        self.is_either(b' ', b'\t') | self.within(0x0b, 0x0c)
    }

    #[inline(always)]
    fn beyond_ascii(self) -> u64 {
        // SAFETY: there are vectors only where the processor has the instructions.
        unsafe { _mm512_movepi8_mask(self.0) }
    }

    #[inline(always)]
    fn continuation(self) -> u64 {
        // SAFETY: as above.
        unsafe { _mm512_cmplt_epi8_mask(self.0, _mm512_set1_epi8(-0x40)) }
    }

    #[inline(always)]
    unsafe fn write_places(base: usize, bits: u64, places: &mut [MaybeUninit<usize>; WIDTH]) {
        // SAFETY: by the contract the processor has the instructions, and eight numbers are 64 bytes.
        unsafe {
            let bases = _mm512_set1_epi64(base as i64);
            let packed = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(NUMBERS.as_ptr().cast()));
            let mut some = _mm512_castsi512_si128(packed);
            let (first, rest) = places.split_at_mut(16);
            for eight in first.chunks_exact_mut(8) {
                let places = _mm512_add_epi64(bases, _mm512_cvtepu8_epi64(some));
                _mm512_storeu_si512(eight.as_mut_ptr().cast(), places);
                some = _mm_bsrli_si128::<8>(some);
            }
            // More are rare.
            if bits.count_ones() > 16 {
                let mut numbers = [0u8; WIDTH];
                _mm512_storeu_si512(numbers.as_mut_ptr().cast(), packed);
                for (place, number) in rest.iter_mut().zip(&numbers[16..]) {
                    place.write(base + usize::from(*number));
                }
            }
        }
    }
}

/// 0 to 63.
static NUMBERS: [u8; WIDTH] = {
    let mut numbers = [0; WIDTH];
    let mut number = 0;
    while number < WIDTH {
        numbers[number] = number as u8;
        number += 1;
    }
    numbers
};
