//! `Cutter`: where a text too large for one piece can be cut.

use bloomery_core::Pattern;
use bloomery_core::pretokenize;
use pyo3::prelude::*;

use crate::arguments::SpecialTokens;

/// Finds places in a text where it can be cut, so that the parts give the pre-tokens, and the ids, of the whole.
#[pyclass(frozen, module = "bloomery._core")]
pub struct Cutter(pub pretokenize::Cutter);

#[pymethods]
impl Cutter {
    /// For text that is pre-tokenized by a pattern after splitting at special tokens.
    #[new]
    fn new(pattern: &str, special_tokens: SpecialTokens) -> Self {
        Cutter(pretokenize::Cutter::new(&Pattern::parse(pattern), &special_tokens.0))
    }

    /// Whether there are such places: False where a text must stay whole.
    #[getter]
    fn cuts(&self) -> bool {
        self.0.cuts()
    }

    /// The last good place in a window of the text, behind a special token where there is one, or None.
    fn part_at(&self, window: &[u8], is_start: bool) -> Option<usize> {
        self.0.part_at(window, is_start)
    }
}
