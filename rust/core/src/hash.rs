//! Hashes of short byte strings, for the tables that count words and look them up: most words fit one 128-bit number.

/// Words up to this many bytes fit the number that [`load`] gives.
pub(crate) const INLINE: usize = 16;

/// By length, which bits of the first [`INLINE`] bytes belong to a word: a look-up takes less than to shift by a number that
/// is not known.
const MASKS: [u128; INLINE + 1] = {
    let mut masks = [0; INLINE + 1];
    let mut len = 1;
    while len <= INLINE {
        masks[len] = u128::MAX >> (8 * (INLINE - len));
        len += 1;
    }
    masks
};

/// The first `len` (at most 16) bytes at `start` as a little-endian number, zeros behind them.
#[inline(always)]
pub(crate) fn load(text: &[u8], start: usize, len: usize) -> u128 {
    // Slicing would make two comparisons, in what runs for every word of a text (4 % of encoding); of these the first is the
    // same for all of them.
    if text.len() >= INLINE && start <= text.len() - INLINE {
        // SAFETY: 16 bytes from `start` on are within the text.
        return unsafe { load_within(text, start, len) };
    }
    let mut padded = [0; INLINE];
    padded[..len].copy_from_slice(&text[start..start + len]);
    u128::from_le_bytes(padded)
}

/// [`load`] where the text is known to go on.
///
/// # Safety
/// [`INLINE`] bytes from `start` on are within the text.
#[inline(always)]
pub(crate) unsafe fn load_within(text: &[u8], start: usize, len: usize) -> u128 {
    // SAFETY: by the contract of the function, and the read asks for no alignment.
    let bytes = unsafe { text.as_ptr().add(start).cast::<[u8; INLINE]>().read_unaligned() };
    u128::from_le_bytes(bytes) & MASKS[len]
}

const K1: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Hash of 128 bits. Multiply and fold: both halves of the product carry the input's entropy, the XOR keeps it in the low
/// bits that index.
#[inline(always)]
pub(crate) fn hash_short(key: u128) -> u64 {
    let product = u128::from(key as u64) * u128::from((key >> 64) as u64 ^ K1);
    product as u64 ^ (product >> 64) as u64
}

/// Hash of a word of any length.
pub(crate) fn hash_long(word: &[u8]) -> u64 {
    let mut hash = word.len() as u64;
    for chunk in word.chunks(INLINE) {
        let key = load(chunk, 0, chunk.len()) ^ u128::from(hash);
        hash = hash_short(key).wrapping_add(hash.rotate_left(23));
    }
    hash
}
