//! Sentences of tool definitions, scored by their words.
//!
//! A text is cut into windows of three sentences ([`windows`]). A window has terms: its words, reduced to what matters
//! ([`tokens`]), and words that stand together ([`terms()`]). A [`Scorer`] adds up the weights of the terms. Weights are
//! fitted elsewhere, on the same terms: `callgate classify` has those that tell instructions to a model from honest
//! descriptions.
//!
//! [`Patterns`] say which of many patterns a text may match, before these are searched one by one.

mod patterns;
mod scorer;
mod terms;
mod tokens;
mod windows;

pub use patterns::Patterns;
pub use scorer::{Score, Scorer};
pub use terms::terms;
pub use tokens::tokens;
pub use windows::windows;
