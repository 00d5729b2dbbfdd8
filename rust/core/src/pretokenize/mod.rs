//! Cutting text into pre-tokens: the named schemes by hand-written scanners, any other regex by an engine.

mod batch;
mod cl100k;
mod class;
mod contraction;
mod cut;
mod gpt2;
mod o200k;
mod regex;
mod seams;
#[cfg(target_arch = "x86_64")]
mod vector;
mod white;
#[cfg(target_arch = "x86_64")]
mod window;

use std::fmt;

use crate::error::Result;
use crate::processor::Instructions;
use batch::Batch;
pub use cut::Cutter;
use regex::RegexScanner;
pub(crate) use seams::Seams;

/// `gpt2` as tiktoken publishes it.
pub const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// `cl100k` as tiktoken publishes it.
pub const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
/// `o200k` as tiktoken publishes it.
pub const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Qwen's: the older cl100k with digits one by one.
pub const QWEN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A pre-tokenization pattern. Two patterns are equal when their regexes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// [`GPT2`], also r50k and p50k.
    Gpt2,
    /// [`CL100K`].
    Cl100k,
    /// [`O200K`].
    O200k,
    /// [`QWEN`].
    Qwen,
    /// Any other regex (fancy-regex syntax).
    Custom(String),
}

impl Pattern {
    /// From a scheme name (`gpt2`, `cl100k`, `o200k`, `qwen`) or a regex; a regex that spells a named scheme becomes it.
    pub fn parse(text: &str) -> Pattern {
        match text {
            "gpt2" | GPT2 => Pattern::Gpt2,
            "cl100k" | CL100K => Pattern::Cl100k,
            "o200k" | O200K => Pattern::O200k,
            "qwen" | QWEN => Pattern::Qwen,
            other => Pattern::Custom(other.to_owned()),
        }
    }

    /// The scheme's name, or the regex itself.
    pub fn name(&self) -> &str {
        match self {
            Pattern::Gpt2 => "gpt2",
            Pattern::Cl100k => "cl100k",
            Pattern::O200k => "o200k",
            Pattern::Qwen => "qwen",
            Pattern::Custom(regex) => regex,
        }
    }

    /// The regex that defines it.
    pub fn regex(&self) -> &str {
        match self {
            Pattern::Gpt2 => GPT2,
            Pattern::Cl100k => CL100K,
            Pattern::O200k => O200K,
            Pattern::Qwen => QWEN,
            Pattern::Custom(regex) => regex,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hand-written scanner of a named scheme.
trait Scan {
    /// End of the pre-token that starts at `start`, a character boundary before the end of the valid UTF-8 `text`.
    fn end(text: &[u8], start: usize) -> usize;

    /// Whether [`Scan::starts`] needs to know upper case from lower case, and slashes.
    #[cfg(target_arch = "x86_64")]
    const BY_CASE: bool = false;

    /// Whether a pre-token that was cut between two letters goes on behind the cut as if it began there.
    const LETTERS_GO_ON: bool = true;

    /// Where pre-tokens start in `window`, which is the one at `at` in `text`, where a pre-token starts: all of them but
    /// for those that depend on what follows the window. `None` where [`Scan::end`] has to find them.
    #[cfg(target_arch = "x86_64")]
    fn starts(text: &[u8], at: usize, window: &window::Window) -> Option<u64>;
}

/// What to do with pre-tokens.
pub trait Visit {
    /// Called with consecutive pre-tokens, some hundreds at a time: the first begins at `start`, each of the others where
    /// the one before it ends. None is empty. The whole text is handed on so that a pre-token can be read a vector at a
    /// time, past its end.
    ///
    /// # Errors
    /// Whatever ends the scan early; [`crate::Error::Cancelled`], by convention.
    fn visit(&mut self, text: &[u8], start: usize, ends: &[usize]) -> Result<()>;
}

/// A closure is called with the text and the byte range of each pre-token.
impl<F: FnMut(&[u8], usize, usize)> Visit for F {
    #[inline]
    fn visit(&mut self, text: &[u8], mut start: usize, ends: &[usize]) -> Result<()> {
        for &end in ends {
            self(text, start, end);
            start = end;
        }
        Ok(())
    }
}

/// A pattern made ready for scanning.
#[derive(Debug, Clone)]
pub struct PreTokenizer {
    pattern: Pattern,
    custom: Option<RegexScanner>,
    instructions: Instructions,
    seams: Seams,
}

impl PreTokenizer {
    /// # Errors
    /// [`crate::Error::Pattern`] when a custom regex does not compile.
    pub fn new(pattern: &Pattern) -> Result<PreTokenizer> {
        let custom = match pattern {
            Pattern::Custom(regex) => Some(RegexScanner::new(regex)?),
            _ => None,
        };
        Ok(PreTokenizer { pattern: pattern.clone(), custom, instructions: Instructions::best(), seams: Seams::NONE })
    }

    /// The same with no instructions beyond `most`. Results must not depend on it; tests use it to show that they do not.
    #[must_use]
    pub fn limited_to(self, most: Instructions) -> PreTokenizer {
        PreTokenizer { instructions: self.instructions.min(most), ..self }
    }

    /// The same that cuts words at some of the `seams` in addition, as if pre-tokens ended there: for who joins the tokens of what
    /// is visited, not for who counts it.
    pub(crate) fn with_seams(self, seams: Seams) -> PreTokenizer {
        PreTokenizer { seams, ..self }
    }

    /// The pattern.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Visits the pre-tokens of `text` in order; they cover it without gaps. The end of `text` is the end of the text
    /// for look-ahead: callers pass what lies between special tokens.
    ///
    /// # Errors
    /// [`crate::Error::PatternLimit`] when a custom regex backtracks beyond its engine's limit, and what
    /// [`Visit::visit`] returns; named schemes have no errors of their own.
    #[inline]
    pub fn for_each(&self, text: &str, visit: &mut impl Visit) -> Result<()> {
        let bytes = text.as_bytes();
        match &self.pattern {
            Pattern::Gpt2 => self.scan::<gpt2::Gpt2>(bytes, visit),
            Pattern::Cl100k => self.scan::<cl100k::Cl100k<3, true>>(bytes, visit),
            Pattern::Qwen => self.scan::<cl100k::Cl100k<1, false>>(bytes, visit),
            Pattern::O200k => self.scan::<o200k::O200k>(bytes, visit),
            Pattern::Custom(_) => self.custom.as_ref().map_or(Ok(()), |scanner| scanner.for_each(text, visit)),
        }
    }

    /// Visits the pre-tokens at the start of `text` that stay what they are whatever text, or end of text, follows;
    /// returns where the undecided rest begins. Named schemes only: a custom regex decides nothing before the end.
    ///
    /// More text can change at most the last two pre-tokens. The last one may grow or split; the one before it may
    /// take the last one's place in a contraction (`x`, `'`, then `s`), or join it in a run of white space whose
    /// newline was the last so far, or in an o200k word whose lower-case end was still to come.
    /// Words that are cut at seams change nothing: where one lies in a run of letters does not depend on what follows it, and
    /// of the last run only the last part may grow.
    pub fn for_each_decided(&self, text: &str, visit: &mut impl Visit) -> Result<usize> {
        if self.custom.is_some() {
            return Ok(0);
        }
        let mut held = Held { inner: visit, start: 0, ends: Vec::new() };
        self.for_each(text, &mut held)?;
        Ok(held.start)
    }

    fn scan<S: Scan>(&self, text: &[u8], visit: &mut impl Visit) -> Result<()> {
        match self.instructions {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has what the function needs.
            Instructions::Avx512 => unsafe { scan_by_avx512::<S>(text, &self.seams, visit) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has what the function needs.
            Instructions::Avx2 => unsafe { scan_by_avx2::<S>(text, &self.seams, visit) },
            _ => scan_bytes::<S>(text, &self.seams, visit),
        }
    }
}

/// Hands on all pre-tokens but the last two.
struct Held<'a, V> {
    inner: &'a mut V,
    /// Where the first that was not handed on starts.
    start: usize,
    ends: Vec<usize>,
}

impl<V: Visit> Visit for Held<'_, V> {
    fn visit(&mut self, text: &[u8], _: usize, ends: &[usize]) -> Result<()> {
        self.ends.extend_from_slice(ends);
        let decided = self.ends.len().saturating_sub(2);
        if decided > 0 {
            self.inner.visit(text, self.start, &self.ends[..decided])?;
            self.start = self.ends[decided - 1];
            self.ends.drain(..decided);
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn scan_by_avx2<S: Scan>(text: &[u8], seams: &Seams, visit: &mut impl Visit) -> Result<()> {
    // SAFETY: the processor has what this function is compiled for.
    unsafe { scan_windows::<S, vector::Avx2>(text, seams, visit) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn scan_by_avx512<S: Scan>(text: &[u8], seams: &Seams, visit: &mut impl Visit) -> Result<()> {
    // SAFETY: the processor has what this function is compiled for.
    unsafe { scan_windows::<S, vector::Avx512>(text, seams, visit) }
}

fn scan_bytes<S: Scan>(text: &[u8], seams: &Seams, visit: &mut impl Visit) -> Result<()> {
    let mut batch = Batch::new();
    let mut at = 0;
    while at < text.len() {
        let end = S::end(text, at);
        if S::LETTERS_GO_ON && seams.any() {
            for seam in seams.within(text, at..end) {
                batch.push(seam);
                if batch.is_full() {
                    batch.flush(text, visit)?;
                }
            }
        }
        batch.push(end);
        if batch.is_full() {
            batch.flush(text, visit)?;
        }
        at = end;
    }
    batch.flush(text, visit)
}

/// How far ahead of a window its text is asked for: processors do not foresee reads beyond the end of a page.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 2 << 10;

/// What [`scan_bytes`] does, a window at a time.
///
/// # Safety
/// The processor has the instructions of `V`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn scan_windows<S: Scan, V: vector::Vector>(text: &[u8], seams: &Seams, visit: &mut impl Visit) -> Result<()> {
    use vector::WIDTH;
    use window::Window;
    let mut batch = Batch::new();
    let mut at = 0;
    while at < text.len() {
        crate::memory::prefetch(text, at + AHEAD);
        // SAFETY: by the contract of the function.
        let window = unsafe { Window::at::<S, V>(text, at, seams) };
        let ends = S::starts(text, at, &window).map(|starts| window.valid(starts | window.seams) & !1);
        match ends {
            Some(ends) if window.at_end => {
                // SAFETY: by the contract of the function.
                unsafe { batch.push_bits::<V>(at, ends) };
                at = text.len();
                batch.push(at);
            }
            Some(ends) if ends != 0 => {
                // SAFETY: by the contract of the function.
                unsafe { batch.push_bits::<V>(at, ends) };
                at += WIDTH - 1 - ends.leading_zeros() as usize;
            }
            // Intricate, or a pre-token longer than the window.
            _ => {
                let behind = at + window.len();
                while at < behind {
                    at = S::end(text, at);
                    batch.push(at);
                }
            }
        }
        if batch.is_full() {
            batch.flush(text, visit)?;
        }
    }
    batch.flush(text, visit)
}
