//! Texts of tool definitions: the weights of their words, and the patterns that they may match.

use callgate_prose::{Patterns, Score, Scorer, terms, windows};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

/// Weights of words, added up for each three sentences of a text.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct SentenceScorer(Scorer);

#[pymethods]
impl SentenceScorer {
    /// Takes weights as `sentence_terms` writes their terms.
    ///
    /// Args:
    ///     bias: The score of sentences without any of the terms.
    ///     weights: Terms and their weights.
    ///
    /// Raises:
    ///     ValueError: A text is not a term.
    #[new]
    fn new(bias: f32, weights: Vec<(String, f32)>) -> PyResult<Self> {
        Scorer::new(bias, weights)
            .map(Self)
            .map_err(|text| PyValueError::new_err(format!("`{text}` is not a term")))
    }

    /// Scores a text of one line in lower case.
    ///
    /// Returns:
    ///     The highest score of three sentences that follow each other, and these; None for a text without words.
    fn highest<'text>(&self, py: Python<'_>, text: &'text str) -> Option<(f32, &'text str)> {
        let Score { value, window } = py.detach(|| self.0.highest(text))?;
        Some((value, &text[window]))
    }
}

/// The terms of each three sentences of a text: words, reduced to what matters, and words that stand together.
///
/// Args:
///     text: One line in lower case.
#[pyfunction]
pub(crate) fn sentence_terms(text: &str) -> Vec<Vec<String>> {
    windows(text).map(|window| terms(&text[window])).collect()
}

/// Many patterns of Python's `re`, for a quick look before they are searched.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct TextPatterns(Patterns);

#[pymethods]
impl TextPatterns {
    /// Reads patterns; what looks ahead or behind is left out of them.
    ///
    /// Args:
    ///     patterns: Their sources, without flags.
    ///
    /// Raises:
    ///     ValueError: A pattern is not in the syntax that `re` shares with Rust's `regex`.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the list")]
    fn new(patterns: Vec<PyBackedStr>) -> PyResult<Self> {
        Patterns::new(patterns.iter().map(|pattern| &**pattern))
            .map(Self)
            .map_err(|(number, error)| PyValueError::new_err(format!("pattern {number}: {error}")))
    }

    /// The numbers of the patterns that may match somewhere in a text of one line.
    fn candidates(&self, py: Python<'_>, text: &str) -> Vec<usize> {
        py.detach(|| self.0.candidates(text))
    }
}
