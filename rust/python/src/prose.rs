//! Sentences of tool definitions and the weights of their words.

use callgate_prose::{Score, Scorer, terms, windows};
use pyo3::prelude::*;

/// Weights of words, added up for each two sentences of a text.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct SentenceScorer(Scorer);

#[pymethods]
impl SentenceScorer {
    /// Takes weights as `sentence_terms` writes their terms.
    ///
    /// Args:
    ///     bias: The score of sentences without any of the terms.
    ///     weights: Terms and their weights.
    #[new]
    fn new(bias: f32, weights: Vec<(String, f32)>) -> Self {
        Self(Scorer::new(bias, weights))
    }

    /// Scores a text of one line in lower case.
    ///
    /// Returns:
    ///     The highest score of two sentences that follow each other, and these; None for a text without words.
    fn highest<'text>(&self, py: Python<'_>, text: &'text str) -> Option<(f32, &'text str)> {
        let Score { value, window } = py.detach(|| self.0.highest(text))?;
        Some((value, &text[window]))
    }
}

/// The terms of each two sentences of a text of one line in lower case: words, reduced to what matters, and pairs of
/// them.
#[pyfunction]
pub(crate) fn sentence_terms(text: &str) -> Vec<Vec<String>> {
    windows(text).map(|window| terms(&text[window])).collect()
}
