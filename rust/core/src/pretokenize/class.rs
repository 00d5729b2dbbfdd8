//! Character classes, as fine as the named schemes need them: a two-level table over all of Unicode, made by `build.rs`.

include!(concat!(env!("OUT_DIR"), "/class_table.rs"));

/// Everything else: punctuation, symbols, controls, unassigned.
pub(super) const OTHER: u8 = 0;
/// `\p{Lu}` and `\p{Lt}`.
pub(super) const UPPER: u8 = 1;
/// `\p{Ll}`.
pub(super) const LOWER: u8 = 2;
/// `\p{Lm}` and `\p{Lo}`.
pub(super) const CASELESS: u8 = 3;
/// `\p{M}`.
pub(super) const MARK: u8 = 4;
/// `\p{N}`.
pub(super) const NUMBER: u8 = 5;
/// `\s` other than carriage return and line feed.
pub(super) const SPACE: u8 = 6;
/// Carriage return and line feed.
pub(super) const NEWLINE: u8 = 7;
/// What [`class_at`] says past the end of the text; in no set.
pub(super) const END: u8 = 8;

/// A set of classes as bits.
#[derive(Clone, Copy)]
pub(super) struct Set(u16);

impl Set {
    pub(super) const fn of(classes: &[u8]) -> Set {
        let mut bits = 0;
        let mut i = 0;
        while i < classes.len() {
            bits |= 1 << classes[i];
            i += 1;
        }
        Set(bits)
    }

    #[inline(always)]
    pub(super) const fn has(self, class: u8) -> bool {
        self.0 >> class & 1 != 0
    }
}

/// `\p{L}`.
pub(super) const LETTER: Set = Set::of(&[UPPER, LOWER, CASELESS]);
/// `\p{N}`.
pub(super) const DIGIT: Set = Set::of(&[NUMBER]);
/// `\s`.
pub(super) const WHITE: Set = Set::of(&[SPACE, NEWLINE]);
/// `[^\s\p{L}\p{N}]`.
pub(super) const SYMBOL: Set = Set::of(&[OTHER, MARK]);

/// Class of the character that starts at `at`, and its length in bytes; `(END, 0)` at the end of the text.
///
/// `text` is valid UTF-8 and `at` a character boundary; anything else gives some class and a length that stays inside.
#[inline(always)]
pub(super) fn class_at(text: &[u8], at: usize) -> (u8, usize) {
    match text.get(at) {
        None => (END, 0),
        Some(&byte) if byte < 0x80 => (BLOCKS[BLOCK_OF[usize::from(byte >> 6)] as usize][usize::from(byte & 0x3f)], 1),
        Some(&byte) => {
            let behind = |nth: usize| text.get(at + nth).copied().unwrap_or_default();
            let (class, len) = class_of_multibyte(byte, behind);
            (class, len.min(text.len() - at))
        }
    }
}

/// Class of a character that is not ASCII, and its length: of its first byte and those behind it.
///
/// All but the last byte say in which block of characters it is, and the last where in the block.
#[inline(always)]
pub(super) fn class_of_multibyte(lead: u8, behind: impl Fn(usize) -> u8) -> (u8, usize) {
    let bits = |nth: usize| usize::from(behind(nth) & 0x3f);
    let lead = usize::from(lead);
    let (block, last, len) = match lead {
        0xf0.. => ((lead & 0x07) << 12 | bits(1) << 6 | bits(2), bits(3), 4),
        0xe0.. => ((lead & 0x0f) << 6 | bits(1), bits(2), 3),
        _ => (lead & 0x1f, bits(1), 2),
    };
    let block = BLOCK_OF.get(block).map_or(0, |&block| block as usize);
    (BLOCKS[block][last], len)
}

/// Class of the character that ends at `end`, or `None` where no valid character does.
pub(super) fn class_before(text: &[u8], end: usize) -> Option<u8> {
    let start = (1..=4.min(end)).map(|back| end - back).find(|&start| text[start] & 0xc0 != 0x80)?;
    std::str::from_utf8(&text[start..end]).ok().map(|_| class_at(text, start).0)
}

/// End of the run of characters of `set` that starts at `at` (which may be empty).
#[inline(always)]
pub(super) fn run(text: &[u8], mut at: usize, set: Set) -> usize {
    loop {
        let (class, len) = class_at(text, at);
        if !set.has(class) {
            return at;
        }
        at += len;
    }
}
