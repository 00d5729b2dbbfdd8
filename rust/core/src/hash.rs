//! Hashes of short byte strings, for the tables that count words and look them up: most words fit one 128-bit number.

/// Words up to this many bytes fit the number that [`load`] gives.
pub(crate) const INLINE: usize = 16;

/// The first `len` (at most 16) bytes at `start` as a little-endian number, zeros behind them.
#[inline(always)]
pub(crate) fn load(text: &[u8], start: usize, len: usize) -> u128 {
    if let Some(chunk) = text.get(start..).and_then(|rest| rest.first_chunk::<INLINE>()) {
        // Shifting by 128 (len 0) is undefined in hardware; no word is empty but an empty count may be asked for.
        let keep = if len == 0 { 0 } else { u128::MAX >> (8 * (INLINE - len)) };
        return u128::from_le_bytes(*chunk) & keep;
    }
    let mut padded = [0; INLINE];
    padded[..len].copy_from_slice(&text[start..start + len]);
    u128::from_le_bytes(padded)
}

/// What [`load`] gives, as two numbers.
#[inline(always)]
pub(crate) fn load_masked(text: &[u8], start: usize, len: usize) -> [u64; 2] {
    // A table of masks takes fewer instructions than to make one.
    const MASKS: [[u64; 2]; INLINE + 1] = {
        let mut masks = [[0; 2]; INLINE + 1];
        let mut len = 1;
        while len <= INLINE {
            let mask = u128::MAX >> (8 * (INLINE - len));
            masks[len] = [mask as u64, (mask >> 64) as u64];
            len += 1;
        }
        masks
    };
    if start + INLINE <= text.len() {
        // SAFETY: 16 bytes from `start` on are within the text, and the read asks for no alignment.
        let [first, second] = unsafe { text.as_ptr().add(start).cast::<[u64; 2]>().read_unaligned() };
        let [low, high] = MASKS[len];
        return [u64::from_le(first) & low, u64::from_le(second) & high];
    }
    let both = load(text, start, len);
    [both as u64, (both >> 64) as u64]
}

/// Multiply and fold: both halves of the product carry the input's entropy, the XOR keeps it in the low bits that index.
#[inline(always)]
fn multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Hash of two numbers.
#[inline(always)]
pub(crate) fn fold(low: u64, high: u64) -> u64 {
    multiply(low ^ K0, high ^ K1)
}

/// Hash of a word of up to 16 bytes.
#[inline(always)]
pub(crate) fn hash_short(key: u128, len: usize) -> u64 {
    multiply(key as u64 ^ K0, (key >> 64) as u64 ^ K1 ^ len as u64)
}

/// Hash of a word of any length.
pub(crate) fn hash_long(word: &[u8]) -> u64 {
    let mut hash = word.len() as u64;
    for chunk in word.chunks(INLINE) {
        let key = load(chunk, 0, chunk.len());
        hash = multiply(key as u64 ^ K0 ^ hash, (key >> 64) as u64 ^ K1).wrapping_add(hash.rotate_left(23));
    }
    hash
}
