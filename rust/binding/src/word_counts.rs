//! `WordCounts`: how often each pre-token occurs, counted from files, strings or given.

use std::path::PathBuf;

use bloomery_core::Pattern;
use bloomery_core::count::{Limits, Part};
use bloomery_core::input::Utf8Errors;
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::arguments::{Errors, Input, SpecialTokens, Threads, VocabSize, input_options, sources};
use crate::text::{several, text, with_text};
use crate::{call, errors};

/// Strings are handed to the counting threads in batches of about this many bytes.
const BATCH: usize = 4 << 20;

/// The words and counts of `WordCounts.items`.
type Items<'py> = Vec<(Bound<'py, PyBytes>, u64)>;

/// A part of word counts: words end to end, their lengths, their counts.
type Arrays<'py> = (Bound<'py, PyArray1<u8>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u64>>);

/// Counts of pre-tokens, with the pattern and the special tokens that they were made under. Immutable.
#[pyclass(frozen, module = "bloomery._core")]
pub struct WordCounts(bloomery_core::WordCounts);

impl WordCounts {
    pub fn core(&self) -> &bloomery_core::WordCounts {
        &self.0
    }
}

#[pymethods]
impl WordCounts {
    /// Take counts made elsewhere.
    #[new]
    fn new(py: Python<'_>, words: &Bound<'_, PyDict>, pattern: &str, special_tokens: SpecialTokens) -> PyResult<Self> {
        let mut counts = Vec::with_capacity(words.len());
        for (object, count) in words {
            let word = text(&object, Utf8Errors::Strict, None)?.bytes().to_vec();
            counts.push((word, self::count(&object, &count)?));
        }
        let pattern = Pattern::parse(pattern);
        call::detached(py, || bloomery_core::WordCounts::from_words(counts, &pattern, &special_tokens.0))
            .map(WordCounts)
    }

    /// Count files.
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the Python method that wraps it")]
    #[staticmethod]
    #[pyo3(signature = (inputs, *, pattern, special_tokens, errors, field, column, num_threads, max_memory, progress))]
    fn from_files(
        py: Python<'_>,
        inputs: Vec<Input>,
        pattern: &str,
        special_tokens: SpecialTokens,
        errors: Errors,
        field: String,
        column: String,
        num_threads: Threads,
        max_memory: Option<u64>,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (inputs, options, pattern) =
            (sources(inputs), input_options(errors, field, column), Pattern::parse(pattern));
        let count = |control: &bloomery_core::Control| {
            let limits = Limits { threads: num_threads.0, max_memory };
            let special_tokens = &special_tokens.0;
            bloomery_core::WordCounts::from_sources(&inputs, &options, &pattern, special_tokens, limits, control)
        };
        call::watched(py, progress.as_ref(), count).map(WordCounts)
    }

    /// Count an iterable of strings, each a document; a few megabytes of them are held at a time.
    #[staticmethod]
    #[pyo3(signature = (texts, *, pattern, special_tokens, errors, num_threads))]
    fn from_iterable(
        py: Python<'_>,
        texts: &Bound<'_, PyAny>,
        pattern: &str,
        special_tokens: SpecialTokens,
        errors: Errors,
        num_threads: Threads,
    ) -> PyResult<Self> {
        let pattern = Pattern::parse(pattern);
        let mut counts = call::short(py, || bloomery_core::WordCounts::new(&pattern, &special_tokens.0))?;
        let mut batch = Batch::default();
        for (index, object) in several(texts)?.enumerate() {
            with_text(&object?, errors.0, (index, 0), |text| batch.push(text))?;
            if batch.text.len() >= BATCH {
                batch.count(py, &mut counts, num_threads)?;
            }
        }
        batch.count(py, &mut counts, num_threads)?;
        Ok(WordCounts(counts))
    }

    /// Read a file that `save` wrote.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        call::detached(py, || bloomery_core::WordCounts::load(&path)).map(WordCounts)
    }

    /// Write a Parquet file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        call::detached(py, || self.0.save(&path))
    }

    /// Add up parts of counts made elsewhere, taken from the iterable one at a time.
    #[staticmethod]
    fn from_parts(
        py: Python<'_>,
        parts: &Bound<'_, PyAny>,
        pattern: &str,
        special_tokens: SpecialTokens,
    ) -> PyResult<Self> {
        let pattern = Pattern::parse(pattern);
        let mut sum = call::short(py, || bloomery_core::WordCounts::new(&pattern, &special_tokens.0))?;
        for part in parts.try_iter()? {
            let part: (PyReadonlyArray1<'_, u8>, PyReadonlyArray1<'_, u32>, PyReadonlyArray1<'_, u64>) =
                part?.extract()?;
            // Copied: another thread may write to the arrays while the GIL is released.
            let (words, lengths, counts) = (part.0.to_vec()?, part.1.to_vec()?, part.2.to_vec()?);
            call::detached(py, || sum.add_part(&Part::of(&words, &lengths, &counts)?))?;
        }
        Ok(WordCounts(sum))
    }

    /// The words in parts by hash.
    fn parts<'py>(&self, py: Python<'py>, parts: usize) -> PyResult<Vec<Arrays<'py>>> {
        let parts = call::detached(py, || self.0.parts(parts))?;
        let arrays = parts.into_iter().map(|part| {
            let (words, lengths, counts) = part.arrays();
            (words.into_pyarray(py), lengths.into_pyarray(py), counts.into_pyarray(py))
        });
        Ok(arrays.collect())
    }

    /// The words that occur at least so often; how many words were left out, and how many occurrences.
    fn at_least(&self, py: Python<'_>, count: u64) -> PyResult<(Self, u64, u128)> {
        let (kept, left_out) = call::detached(py, || self.0.at_least(count))?;
        Ok((WordCounts(kept), left_out.words, left_out.occurrences))
    }

    /// The sum of two counts made under the same rules.
    fn merge(&self, py: Python<'_>, other: PyRef<'_, WordCounts>) -> PyResult<Self> {
        let other = &other.0;
        call::detached(py, || {
            let mut sum = self.0.clone();
            sum.merge(other)?;
            Ok(WordCounts(sum))
        })
    }

    /// The pattern's name, or its regex.
    #[getter]
    fn pattern(&self) -> &str {
        self.0.pattern().name()
    }

    /// The special tokens that text was split at.
    #[getter]
    fn special_tokens(&self) -> Vec<String> {
        self.0.special_tokens().to_vec()
    }

    /// Occurrences of all words.
    #[getter]
    fn total(&self) -> u128 {
        self.0.total()
    }

    /// A bound on the bytes that learning merges from them takes.
    fn training_memory(&self, py: Python<'_>, vocab_size: VocabSize) -> PyResult<u64> {
        call::detached(py, || bloomery_core::training_memory(&self.0, vocab_size.0))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Words and counts, sorted.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Items<'py>> {
        let mut items = Vec::with_capacity(self.0.len());
        let push = |word: &[u8], count| {
            items.push((PyBytes::new(py, word), count));
            Ok(())
        };
        call::short(py, || self.0.try_for_each_sorted(push))?;
        Ok(items)
    }

    fn __eq__(&self, py: Python<'_>, other: PyRef<'_, WordCounts>) -> PyResult<bool> {
        let other = &other.0;
        call::detached(py, || self.0.is_same(other))
    }
}

/// The count of `word`.
fn count(word: &Bound<'_, PyAny>, count: &Bound<'_, PyAny>) -> PyResult<u64> {
    count.extract::<u64>().or_else(|error| {
        if !error.is_instance_of::<PyOverflowError>(count.py()) {
            return Err(error);
        }
        let message = format!("the count of {} must be in 0..2**64, not {count}", word.repr()?);
        Err(errors::exception(count.py(), "ArgumentError", message, []))
    })
}

/// Strings waiting to be counted, end to end.
#[derive(Default)]
struct Batch {
    text: String,
    ends: Vec<usize>,
}

impl Batch {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn count(&mut self, py: Python<'_>, counts: &mut bloomery_core::WordCounts, threads: Threads) -> PyResult<()> {
        let mut start = 0;
        let texts = self.ends.iter().map(|&end| {
            let text = &self.text[start..end];
            start = end;
            text
        });
        let texts: Vec<&str> = texts.collect();
        call::watched(py, None, |control| counts.add_texts(&texts, threads.0, control))?;
        self.text.clear();
        self.ends.clear();
        Ok(())
    }
}
