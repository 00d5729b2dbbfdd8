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
        Some(&byte) if byte < 0x80 => (BLOCKS[BLOCK_OF[0] as usize][byte as usize], 1),
        Some(&byte) => class_of_multibyte(text, at, byte),
    }
}

#[inline]
fn class_of_multibyte(text: &[u8], at: usize, lead: u8) -> (u8, usize) {
    let next = |i: usize| text.get(at + i).map_or(0, |&byte| u32::from(byte & 0x3f));
    let (code_point, len) = match lead {
        0xf0.. => ((u32::from(lead) & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4),
        0xe0.. => ((u32::from(lead) & 0x0f) << 12 | next(1) << 6 | next(2), 3),
        _ => ((u32::from(lead) & 0x1f) << 6 | next(1), 2),
    };
    let block = BLOCK_OF.get((code_point >> 7) as usize).map_or(0, |&block| block as usize);
    (BLOCKS[block][(code_point & 0x7f) as usize], len.min(text.len() - at))
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
