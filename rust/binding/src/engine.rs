//! `Engine`: a tokenizer's immutable core as a Python value, shared by copies of a `Tokenizer`. It is built from a
//! vocabulary, a file or training, and pickles as the whole definition.

use std::path::PathBuf;
use std::sync::Arc;

use bloomery_core::{AddedToken, Definition, Error, Merges, Normalizer, Pattern, format};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::arguments::{SpecialTokens, TieBreakName, VocabSize};
use crate::word_counts::WordCounts;
use crate::{call, vocab};

/// content, id, special, lstrip, rstrip, single_word, normalized.
type AddedTokenState = (String, u32, bool, bool, bool, bool, bool);
/// The arguments of `Engine`, as pickle stores them.
type State<'py> = (
    Vec<(Bound<'py, PyBytes>, u32)>,
    Option<Bound<'py, PyList>>,
    Vec<AddedTokenState>,
    String,
    Option<&'static str>,
    bool,
);

/// The immutable core of a tokenizer.
#[pyclass(frozen, module = "bloomery._core")]
pub struct Engine(pub Arc<bloomery_core::Tokenizer>);

impl Engine {
    fn build(py: Python<'_>, definition: impl FnOnce() -> bloomery_core::Result<Definition> + Send) -> PyResult<Self> {
        call::detached(py, || bloomery_core::Tokenizer::new(definition()?)).map(|engine| Engine(Arc::new(engine)))
    }

    fn definition(&self) -> &Definition {
        self.0.definition()
    }
}

#[pymethods]
impl Engine {
    /// Build from a whole definition, as pickling stores it; ``merges`` is None for a vocabulary that merges by rank.
    #[new]
    fn new(
        py: Python<'_>,
        vocab: Vec<(Vec<u8>, u32)>,
        merges: Option<Vec<(Vec<u8>, Vec<u8>)>>,
        added_tokens: Vec<AddedTokenState>,
        pattern: &str,
        normalizer: Option<&str>,
        whole_words: bool,
    ) -> PyResult<Self> {
        let normalizer = match normalizer {
            None => Normalizer::None,
            Some("nfc") => Normalizer::Nfc,
            Some(other) => {
                return Err(PyValueError::new_err(format!("normalizer must be \"nfc\" or None, not {other:?}")));
            }
        };
        let added_tokens = added_tokens.into_iter().map(added_token).collect();
        let merges = merges.map_or(Merges::ByRank, Merges::Listed);
        let pattern = Pattern::parse(pattern);
        Engine::build(py, || Ok(Definition { vocab, merges, added_tokens, pattern, normalizer, whole_words }))
    }

    /// Build from a vocabulary and merges; special tokens that the vocabulary lacks are appended.
    #[staticmethod]
    fn from_vocab(
        py: Python<'_>,
        vocab: &Bound<'_, PyDict>,
        merges: &Bound<'_, PyAny>,
        special_tokens: SpecialTokens,
        pattern: &str,
    ) -> PyResult<Self> {
        let (vocab, merges) = (vocab::entries(vocab)?, vocab::merges(merges)?);
        let pattern = Pattern::parse(pattern);
        Engine::build(py, || format::from_vocab(vocab, merges, &special_tokens.0, pattern))
    }

    /// Read a vocabulary file or folder, recognised by its content.
    #[staticmethod]
    #[pyo3(signature = (path, pattern=None, special_tokens=None))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        pattern: Option<&str>,
        special_tokens: Option<SpecialTokens>,
    ) -> PyResult<Self> {
        let pattern = pattern.map(Pattern::parse);
        Engine::build(py, || format::load(&path, pattern, special_tokens.map(|tokens| tokens.0)))
    }

    /// Read GPT-2's vocab.json and merges.txt.
    #[staticmethod]
    fn from_files(
        py: Python<'_>,
        vocab_path: PathBuf,
        merges_path: PathBuf,
        special_tokens: Option<SpecialTokens>,
        pattern: &str,
    ) -> PyResult<Self> {
        let pattern = Pattern::parse(pattern);
        Engine::build(py, || {
            let vocab = std::fs::read(&vocab_path).map_err(Error::io(&vocab_path))?;
            let merges = std::fs::read(&merges_path).map_err(Error::io(&merges_path))?;
            let (vocab_name, merges_name) = (vocab_path.display().to_string(), merges_path.display().to_string());
            format::gpt2::read(
                &vocab,
                &merges,
                (&vocab_name, &merges_name),
                special_tokens.map(|tokens| tokens.0),
                pattern,
            )
        })
    }

    /// Learn merges from word counts; fewer than asked for when no pair is left.
    #[staticmethod]
    #[pyo3(signature = (counts, vocab_size, tie_break, progress=None))]
    fn train(
        py: Python<'_>,
        counts: PyRef<'_, WordCounts>,
        vocab_size: VocabSize,
        tie_break: TieBreakName,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (counts, tie_break) = (counts.core(), tie_break.0);
        let engine = call::watched(py, progress.as_ref(), |control| {
            bloomery_core::Tokenizer::new(bloomery_core::train(counts, vocab_size.0, tie_break, control)?)
        })?;
        Ok(Engine(Arc::new(engine)))
    }

    /// Write to a file or folder; the name decides the format.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        call::detached(py, || format::save(self.definition(), &path))
    }

    /// The same merges up to a smaller vocabulary size.
    fn truncate(&self, py: Python<'_>, vocab_size: VocabSize) -> PyResult<Self> {
        Engine::build(py, || self.0.truncate(vocab_size.0))
    }

    /// Highest id + 1.
    #[getter]
    fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }

    /// Every token by id, added tokens too.
    #[getter]
    fn vocab<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let vocab = PyDict::new(py);
        for (id, token) in self.0.tokens() {
            vocab.set_item(id, PyBytes::new(py, token))?;
        }
        Ok(vocab)
    }

    /// Pairs in order of rank.
    #[getter]
    fn merges<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        vocab::pairs(py, &self.0.merges())
    }

    /// The number of merges; None for a vocabulary that merges by rank, whose merges have to be derived.
    #[getter]
    fn merge_count(&self) -> Option<usize> {
        match &self.definition().merges {
            Merges::Listed(merges) => Some(merges.len()),
            Merges::ByRank => None,
        }
    }

    /// The added tokens in order of id.
    #[getter]
    fn added_tokens(&self) -> Vec<AddedTokenState> {
        self.definition().added_tokens.iter().map(added_token_state).collect()
    }

    /// The pattern's name, or its regex.
    #[getter]
    fn pattern(&self) -> &str {
        self.definition().pattern.name()
    }

    /// "nfc" or None.
    #[getter]
    fn normalizer(&self) -> Option<&'static str> {
        match self.definition().normalizer {
            Normalizer::None => None,
            Normalizer::Nfc => Some("nfc"),
        }
    }

    fn __eq__(&self, other: PyRef<'_, Engine>) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.definition() == other.definition()
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        let definition = self.definition();
        (self.0.vocab_size(), &definition.pattern, definition.added_tokens.len()).hash(&mut hasher);
        hasher.finish()
    }

    /// Immutable, so a copy is the value itself.
    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, State<'py>)> {
        let py = slf.py();
        let engine = slf.get();
        let Definition { vocab, merges, pattern, whole_words, .. } = engine.definition();
        let vocab = vocab.iter().map(|(token, id)| (PyBytes::new(py, token), *id)).collect();
        let merges = match merges {
            Merges::Listed(merges) => Some(vocab::pairs(py, merges)?),
            Merges::ByRank => None,
        };
        let state =
            (vocab, merges, engine.added_tokens(), pattern.name().to_owned(), engine.normalizer(), *whole_words);
        Ok((slf.get_type().into_any(), state))
    }
}

fn added_token((content, id, special, lstrip, rstrip, single_word, normalized): AddedTokenState) -> AddedToken {
    AddedToken { content, id, special, lstrip, rstrip, single_word, normalized }
}

fn added_token_state(token: &AddedToken) -> AddedTokenState {
    let AddedToken { content, id, special, lstrip, rstrip, single_word, normalized } = token.clone();
    (content, id, special, lstrip, rstrip, single_word, normalized)
}
