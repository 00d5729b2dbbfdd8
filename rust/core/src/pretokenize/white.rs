//! Runs of white space, on which the schemes differ.

use super::class::{NEWLINE, WHITE, class_at};

/// A run of white space and the places in it where a scheme may end a pre-token.
pub(super) struct WhiteRun {
    /// Where it ends.
    pub(super) end: usize,
    /// Where its last character starts.
    pub(super) last: usize,
    /// Just behind its last line feed or carriage return; `None` without one.
    pub(super) newline_end: Option<usize>,
}

impl WhiteRun {
    #[inline]
    pub(super) fn at(text: &[u8], start: usize) -> WhiteRun {
        let mut run = WhiteRun { end: start, last: start, newline_end: None };
        loop {
            let (class, len) = class_at(text, run.end);
            if !WHITE.has(class) {
                return run;
            }
            run.last = run.end;
            run.end += len;
            if class == NEWLINE {
                run.newline_end = Some(run.end);
            }
        }
    }

    /// End of `\s+(?!\S)|\s+` at `start`: at the end of the text the whole run, else all but its last character.
    #[inline]
    pub(super) fn without_last(&self, text: &[u8], start: usize) -> usize {
        if self.end == text.len() || self.last == start { self.end } else { self.last }
    }
}
