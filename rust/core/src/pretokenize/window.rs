//! 64 bytes of text as bit masks of classes, on which a scheme finds the starts of its pre-tokens by word-wide algebra
//! instead of byte by byte. AVX2 only; elsewhere, and where a window is too intricate, the scanners go byte by byte.
//!
//! A window begins where a pre-token does. No scheme looks back, so it needs to know nothing of what came before, and the
//! last pre-token that starts in it, which may go on behind it, is simply where the next window begins.

use super::Scan;
use super::class::{CASELESS, LOWER, MARK, NUMBER, SPACE, UPPER, class_of_multibyte};
use super::seams::{LEADS, Seams};
use super::vector::{Vector, WIDTH};

/// Bit `i` of a mask speaks of byte `i`; all bytes of a character have its class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) upper: u64,
    pub(super) lower: u64,
    pub(super) caseless: u64,
    pub(super) mark: u64,
    pub(super) number: u64,
    /// The space of ASCII, which schemes join to what follows.
    pub(super) space: u64,
    /// All of `\s` but line feed and carriage return; the space is among it.
    pub(super) blank: u64,
    pub(super) newline: u64,
    pub(super) apostrophe: u64,
    pub(super) slash: u64,
    /// First bytes of letters before which there is a seam.
    pub(super) seams: u64,
    /// Bytes of a character behind its first.
    continuation: u64,
    /// The bytes that count: all whole characters of the window.
    valid: u64,
    /// The text ends with the window.
    pub(super) at_end: bool,
}

/// The characters of a window that are not ASCII.
struct Characters {
    /// The masks of the classes.
    by_class: [u64; 8],
    /// The bytes before the first character that goes on behind the window, which is left to the next.
    whole: u64,
}

impl Characters {
    /// Those that start at `leads` in `bytes`.
    ///
    /// Tried, and slower: masks of the bits of classes, in registers; several masks of each class by turns; the mask of the
    /// class in hand in a register; the class by the first two bytes where they tell it.
    #[inline(never)]
    fn at(bytes: &[u8; WIDTH], mut leads: u64) -> Characters {
        let mut by_class = [0; 8];
        while leads != 0 {
            let at = leads.trailing_zeros() as usize;
            let (class, len) = class_of_multibyte(bytes[at], |nth| bytes[(at + nth) % WIDTH]);
            if at + len > WIDTH {
                return Characters { by_class, whole: low(at) };
            }
            by_class[usize::from(class % 8)] |= low(len) << at;
            leads &= leads - 1;
        }
        Characters { by_class, whole: u64::MAX }
    }
}

/// The first bytes of characters of three bytes, all of them in the window, that are told to be letters without case by the
/// first of them: Chinese from U+5000 to U+9FFF, Korean from U+B000 to U+CFFF. With the kana of Japanese, of which the second
/// byte, and a third that is not that of a mark or of punctuation, tell as much. They need not be looked up one by one.
#[inline(always)]
fn caseless_by_lead<V: Vector>(bytes: V) -> u64 {
    let mut leads = bytes.within(0xe5, 0xe9) | bytes.within(0xeb, 0xec);
    let kana = bytes.is(0xe3);
    if kana != 0 {
        let others = bytes.is_either(0x80, 0xa0) | bytes.within(0x97, 0x9c) | bytes.is(0xbb);
        leads |= kana & bytes.within(0x81, 0x83) >> 1 & !others >> 2;
    }
    leads & low(WIDTH - 2)
}

/// Those of the letters that begin at `leads` in `bytes`, and follow one that is not ASCII, before which there is a seam.
#[inline(always)]
fn seams_before(bytes: &[u8; WIDTH], mut leads: u64, seams: &Seams) -> u64 {
    let mut found = 0;
    while leads != 0 {
        let at = leads.trailing_zeros() as usize;
        found |= u64::from(seams.is_between(bytes[at.wrapping_sub(1) % WIDTH], bytes[at])) << at;
        leads &= leads - 1;
    }
    found
}

/// The lowest `n` bits.
#[inline(always)]
fn low(n: usize) -> u64 {
    if n < 64 { (1 << n) - 1 } else { u64::MAX }
}

impl Window {
    /// The window at `at`, a character boundary before the end of `text`.
    ///
    /// Without [`Scan::BY_CASE`] all letters of ASCII are said to be `lower`, and `slash` is not known: schemes that do not
    /// ask are spared the work. (A function for each scheme, so that each has one caller, becomes part of it, and the masks
    /// stay in registers: to hand them on through memory took a tenth of encoding.)
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    #[inline(always)]
    pub(super) unsafe fn at<S: Scan, V: Vector>(text: &[u8], at: usize, seams: &Seams) -> Window {
        let rest = &text[at..];
        let mut padded = [0; WIDTH];
        let chunk = rest.first_chunk::<WIDTH>().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            &padded
        });
        // SAFETY: by the contract of the function.
        let bytes = unsafe { V::load(chunk) };
        let (upper, lower) =
            if S::BY_CASE { (bytes.within(b'A', b'Z'), bytes.within(b'a', b'z')) } else { (0, bytes.letter()) };
        let beyond_ascii = bytes.beyond_ascii();
        let mut window = Window {
            upper,
            lower,
            caseless: 0,
            mark: 0,
            number: bytes.within(b'0', b'9'),
            space: bytes.is(b' '),
            blank: bytes.blank(),
            newline: bytes.is_either(b'\n', b'\r'),
            apostrophe: bytes.is(b'\''),
            slash: if S::BY_CASE { bytes.is(b'/') } else { 0 },
            seams: 0,
            continuation: 0,
            valid: low(rest.len()),
            at_end: rest.len() <= WIDTH,
        };
        if beyond_ascii != 0 {
            window.continuation = bytes.continuation();
            let caseless = caseless_by_lead(bytes);
            let Characters { by_class, whole } = Characters::at(chunk, beyond_ascii & !window.continuation & !caseless);
            window.caseless |= caseless | caseless << 1 | caseless << 2;
            let of = |class: u8| by_class[usize::from(class)];
            window.upper |= of(UPPER);
            window.lower |= of(LOWER);
            window.caseless |= of(CASELESS);
            window.mark |= of(MARK);
            window.number |= of(NUMBER);
            window.blank |= of(SPACE);
            window.valid &= whole;
            if S::LETTERS_GO_ON && seams.any() {
                let letters = bytes.within(*LEADS.start(), *LEADS.end()) & window.caseless & window.caseless << 1;
                window.seams = seams_before(chunk, letters, seams);
            }
        }
        window
    }

    /// `\p{L}`.
    #[inline(always)]
    pub(super) fn letter(&self) -> u64 {
        self.upper | self.lower | self.caseless
    }

    /// `\s`.
    #[inline(always)]
    pub(super) fn white(&self) -> u64 {
        self.blank | self.newline
    }

    /// `[^\s\p{L}\p{N}]`.
    #[inline(always)]
    pub(super) fn symbol(&self) -> u64 {
        self.valid & !(self.letter() | self.number | self.white())
    }

    /// The first bytes of the characters behind those that start at `leads`.
    #[inline(always)]
    pub(super) fn next(&self, leads: u64) -> u64 {
        // The sum carries over the continuation bytes.
        (leads << 1).wrapping_add(self.continuation) & !self.continuation
    }

    /// `starts`, as far as they are bytes that count.
    #[inline(always)]
    pub(super) fn valid(&self, starts: u64) -> u64 {
        starts & self.valid
    }

    /// Bytes that count.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.valid.trailing_ones() as usize
    }

    /// The starts of the characters whose last bytes are `lasts`.
    #[inline(always)]
    fn leads(&self, mut lasts: u64) -> u64 {
        while lasts & self.continuation != 0 {
            let inside = lasts & self.continuation;
            lasts = (lasts & !inside) | inside >> 1;
        }
        lasts
    }

    /// The bytes before the white space at the end of the window.
    #[inline(always)]
    fn before_last_run(&self) -> u64 {
        let run = self.white() | !self.valid;
        low(WIDTH - (!run).leading_zeros() as usize)
    }

    /// Starts in white space under `\s+(?!\S)|\s+`: of each run, and of its last character where more than white space
    /// follows.
    #[inline(always)]
    pub(super) fn white_starts(&self) -> u64 {
        let white = self.white();
        let first = white & !(white << 1);
        let last = self.leads(white & !(white >> 1));
        // At the end of the text the run stays whole; at the end of the window nothing is known yet.
        first | last & self.before_last_run()
    }

    /// Starts in white space under `\s*[\r\n]+|\s+(?!\S)|\s+` (newlines `attached` to something before them aside), with
    /// `\s++$` before these if `final_run_whole`.
    #[inline(always)]
    pub(super) fn white_starts_by_line(&self, attached: u64, final_run_whole: bool) -> u64 {
        let blank = self.blank;
        let newline = self.newline & !attached;
        let white = blank | newline;
        let first = white & !(white << 1);
        let last = self.leads(white & !(white >> 1) & blank);
        // What is left behind the last newline of a run.
        let mut rest = blank & !(blank << 1) & newline << 1;
        if rest != 0 {
            rest &= !filled_down(blank & newline >> 1, blank);
        }
        let before = self.before_last_run();
        let rest_stays = if self.at_end && !final_run_whole { u64::MAX } else { before };
        first | last & before | rest & rest_stays
    }

    /// Starts in runs of numbers, of which `MAX` at most make a pre-token.
    #[inline(always)]
    pub(super) fn number_starts<const MAX: usize>(&self) -> u64 {
        let mut group = self.number & !(self.number << 1);
        let mut starts = group;
        while group != 0 {
            for _ in 0..MAX {
                group = self.next(group) & self.number;
            }
            starts |= group;
        }
        starts
    }
}

/// `starts` with one pre-token from `start` to `end`, which may lie behind the window.
#[inline(always)]
pub(super) fn with_pre_token(starts: u64, start: usize, end: usize) -> u64 {
    starts & (low(start) | !low(end)) | 1 << start | 1u64.checked_shl(end as u32).unwrap_or(0)
}

/// `starts` with the contractions that begin at those of `apostrophes` for which `contraction` gives a length.
#[inline(always)]
pub(super) fn with_contractions(mut starts: u64, mut apostrophes: u64, contraction: impl Fn(usize) -> usize) -> u64 {
    while apostrophes != 0 {
        let start = apostrophes.trailing_zeros() as usize;
        let len = contraction(start);
        if len > 0 {
            starts = with_pre_token(starts, start, start + len);
        }
        apostrophes &= apostrophes - 1;
    }
    starts
}

/// `from`, and all bits of `within` that follow below without a gap.
#[inline(always)]
fn filled_down(mut from: u64, mut within: u64) -> u64 {
    for step in [1, 2, 4, 8, 16, 32] {
        from |= within & from >> step;
        within &= within >> step;
    }
    from
}

#[cfg(test)]
mod tests {
    use super::super::gpt2::Gpt2;
    use super::super::vector::Avx2;
    use super::*;
    use crate::processor::Instructions;

    #[test]
    fn every_character_has_its_class_wherever_it_stands() {
        if Instructions::best() < Instructions::Avx2 {
            return;
        }
        for character in '\u{80}'..=char::MAX {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            let (class, len) = class_of_multibyte(bytes[0], |nth| bytes[nth]);
            assert_eq!(len, bytes.len());
            for before in [0, 7, WIDTH - len, WIDTH - len + 1] {
                let text = [&b"1".repeat(before), bytes, &b"1".repeat(WIDTH)].concat();
                // SAFETY: the processor has the instructions.
                let window = unsafe { Window::at::<Gpt2, Avx2>(&text, 0, &Seams::NONE) };
                let (whole, place) = (before + len <= WIDTH, low(len) << before);
                let expected = |of: u8| if whole && class == of { place } else { 0 };
                let found = [window.upper, window.lower, window.caseless, window.mark, window.blank];
                let classes = [UPPER, LOWER, CASELESS, MARK, SPACE].map(expected);
                assert_eq!(found, classes, "{character:?} behind {before}");
                assert_eq!(window.number, low(WIDTH) & !place | expected(NUMBER), "{character:?} behind {before}");
                assert_eq!(window.len(), if whole { WIDTH } else { before });
            }
        }
    }
}
