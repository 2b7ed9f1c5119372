//! JSON for hostile input: one pass, exact numbers (`docs/policy.md` sections 1 and 3).
//!
//! [`Tape::parse`] checks a whole document in one pass and stores a flat list of its values; [`Value`] walks that list.
//! Nothing is allocated per document once the tape's buffers have grown.

mod canonical;
mod constant;
mod decimal;
mod error;
mod keys;
mod number;
mod parser;
mod position;
#[cfg(test)]
mod properties;
mod special;
mod string;
mod tape;
mod value;
mod write;

pub use constant::Constant;
pub use decimal::Decimal;
pub use error::{JsonError, JsonErrorKind, NumberError};
pub use number::{Scaled, is_abs_at_least_1e308, scaled};
pub use position::line_column;
pub use tape::{Kind, Tape};
pub use value::Value;
pub use write::{ListWriter, ObjectWriter, ValueWriter, write_string};
