//! The operand of an operator: a value of the arguments, or a fact about the call.

use crate::json::{Constant, Kind, Value};
use std::cmp::Ordering;

/// One present value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand<'t> {
    /// A string.
    Text(&'t str),
    /// A number, as JSON text.
    Number(&'t str),
    /// Null, a boolean, a list or an object.
    Other(Value<'t>),
}

impl<'t> Operand<'t> {
    /// A value of the arguments.
    pub(super) fn of(value: Value<'t>) -> Self {
        if let Some(text) = value.as_str() {
            return Self::Text(text);
        }
        value.as_number().map_or(Self::Other(value), Self::Number)
    }

    /// Returns the type of the operand, with an article.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Text(_) => type_words(Kind::String),
            Self::Number(_) => type_words(Kind::Number),
            Self::Other(value) => type_words(value.kind()),
        }
    }

    /// Compares by `eq` of the contract.
    pub(super) fn equals(self, constant: &Constant) -> bool {
        match (self, constant) {
            (Self::Text(text), Constant::String(wanted)) => text == wanted,
            (Self::Number(text), Constant::Number(wanted)) => wanted.cmp_text(text) == Ordering::Equal,
            (Self::Other(value), wanted) => wanted.matches(value),
            (Self::Text(_) | Self::Number(_), _) => false,
        }
    }
}

/// Returns the name of a type in messages.
pub(super) const fn type_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "a boolean",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "a list",
        Kind::Object => "an object",
    }
}
