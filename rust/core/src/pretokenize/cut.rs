//! Where a text can be cut so that the parts, pre-tokenized apart, give the pre-tokens of the whole.
//!
//! Two things make a place unsafe: a pre-token or a special token across it, and look-ahead that would see the end of
//! the text there (`\s+(?!\S)`, `\s++$`). The two kinds of place below are free of both in every named scheme; the
//! tests hold them to the regexes. Under a custom regex only special tokens are safe.

use super::Pattern;
use super::class::{DIGIT, LETTER, MARK, WHITE, class_at, class_before};
use memchr::memmem;

/// Bytes of the longest character.
const CHARACTER: usize = 4;

/// Finds safe cuts for one pattern and one set of special tokens.
#[derive(Debug, Clone)]
pub struct Cutter {
    named: bool,
    special_tokens: Vec<Vec<u8>>,
    longest: usize,
}

impl Cutter {
    /// For texts pre-tokenized by `pattern` after splitting at `special_tokens`.
    pub fn new<S: AsRef<str>>(pattern: &Pattern, special_tokens: &[S]) -> Cutter {
        let special_tokens: Vec<Vec<u8>> = special_tokens.iter().map(|token| token.as_ref().into()).collect();
        let longest = special_tokens.iter().map(Vec::len).max().unwrap_or(0);
        Cutter { named: !matches!(pattern, Pattern::Custom(_)), special_tokens, longest }
    }

    /// For texts that must stay whole.
    pub fn none() -> Cutter {
        Cutter { named: false, special_tokens: Vec::new(), longest: 0 }
    }

    /// The last safe cut `p` in `text` (`0 < p < text.len()`), which starts at a safe cut or the start of the whole and
    /// may be followed by more; `None` when there is none. Bytes that are not UTF-8 are allowed and never cut beside.
    pub fn last_cut(&self, text: &[u8]) -> Option<usize> {
        // A special token that starts before the cut must be visible whole, to know that none lies across it.
        let limit = text.len().checked_sub(self.longest.max(1))?;
        if self.named {
            let candidates = memchr_white(&text[..=limit.min(text.len() - 1)]);
            let mut safe = candidates.flat_map(|white| [white + 1, white]);
            if let Some(cut) = safe.find(|&p| p > 0 && p <= limit && self.is_safe(text, p) && !self.is_across(text, p))
            {
                return Some(cut);
            }
        }
        let starts = self.special_tokens.iter().filter_map(|token| {
            let mut starts = memmem::rfind_iter(&text[..(limit + token.len()).min(text.len())], token);
            starts.find(|&p| p > 0 && p <= limit && !self.is_across(text, p))
        });
        starts.max()
    }

    /// Whether there are any safe cuts: none is, where the text must stay whole.
    pub fn cuts(&self) -> bool {
        self.named || !self.special_tokens.is_empty()
    }

    /// Where to part a text at `window`, which starts anywhere in it, even within a character or a special token, and may be
    /// followed by more: behind the last special token that can be told, so that documents stay whole, else at the last safe
    /// cut. A large text is parted so without reading all of it.
    pub fn part_at(&self, window: &[u8], is_start: bool) -> Option<usize> {
        // What starts before the window is not seen, and could lie across the first bytes.
        let unseen = if is_start { 0 } else { self.longest + CHARACTER };
        let behind_token = self.last_token_end(window).filter(|&p| p > unseen);
        behind_token.or_else(|| self.last_cut(window).filter(|&p| p > unseen))
    }

    /// The end of the last special token that no other can overlap, nor a mark change that follows.
    fn last_token_end(&self, text: &[u8]) -> Option<usize> {
        let limit = text.len().checked_sub(self.longest.max(CHARACTER))?;
        let is_alone = |start: usize, end: usize| {
            let followed = class_at(text, end).0 != MARK;
            start >= self.longest && followed && !self.is_across(text, start) && !self.is_across(text, end)
        };
        let ends = self.special_tokens.iter().filter_map(|token| {
            let ends = memmem::rfind_iter(&text[..limit], token).map(|start| (start, start + token.len()));
            ends.filter(|&(start, end)| is_alone(start, end)).map(|(_, end)| end).next()
        });
        ends.max()
    }

    /// Whether the pre-tokens on both sides of `p` are those of the whole, special tokens aside.
    fn is_safe(&self, text: &[u8], p: usize) -> bool {
        let Some(before) = class_before(text, p) else { return false };
        let here = text[p];
        // Behind a letter or number and before white space: such a pre-token ends there in every scheme, and the text
        // on the left ends without white space, so its look-ahead sees the same with and without what follows.
        if here.is_ascii_whitespace() {
            return LETTER.has(before) || DIGIT.has(before);
        }
        // Behind a single line feed, before a letter: the line feed is a pre-token of its own or the end of one of
        // symbols, at the end of the text as before a letter.
        text[p - 1] == b'\n'
            && class_before(text, p - 1).is_some_and(|class| !WHITE.has(class))
            && std::str::from_utf8(&text[p..text.len().min(p + class_at(text, p).1)]).is_ok()
            && LETTER.has(class_at(text, p).0)
    }

    /// Whether an occurrence of a special token starts before `p` and ends behind it, or might once invalid bytes around
    /// `p` are dropped or replaced.
    fn is_across(&self, text: &[u8], p: usize) -> bool {
        self.special_tokens.iter().any(|token| {
            let from = p.saturating_sub(token.len() - 1);
            let to = text.len().min(p + token.len() - 1);
            memmem::find(&text[from..to], token).is_some() || !is_utf8_but_for_its_ends(&text[from..to])
        })
    }
}

/// Whether `text` is UTF-8 but for a character cut off at either end.
fn is_utf8_but_for_its_ends(text: &[u8]) -> bool {
    let start = text.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
    std::str::from_utf8(&text[start..]).map_or_else(|error| error.error_len().is_none(), |_| true)
}

/// Positions of ASCII white space that cuts are sought at, last first.
fn memchr_white(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memchr::memrchr3_iter(b' ', b'\n', b'\r', text)
}
