//! Sentences of tool definitions, scored by their words.
//!
//! A text is cut into windows of two sentences ([`windows`]). A window has terms: its words, reduced to what matters
//! ([`tokens`]), and pairs of words that follow each other. A [`Scorer`] adds up the weights of the terms. Weights are
//! fitted elsewhere, on the same terms: `callgate classify` has those that tell instructions to a model from honest
//! descriptions.
//!
//! [`Patterns`] say which of many patterns a text may match, before these are searched one by one.

mod patterns;
mod scorer;
mod tokens;
mod windows;

pub use patterns::Patterns;
pub use scorer::{Score, Scorer, terms};
pub use tokens::tokens;
pub use windows::windows;
