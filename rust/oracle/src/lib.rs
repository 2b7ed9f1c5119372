//! A slow, plain reading of `docs/policy.md`, written from that page alone, so that the engine can be held to it.
//!
//! [`Oracle`] says what may be answered to a call. It looks for no faults in documents: those that the engine refuses
//! never come here. [`compare`] runs both over a [`Case`] and says where they part; [`generate`] makes cases of bytes.

mod call;
mod case;
pub mod compare;
mod condition;
mod count;
mod decide;
pub mod decimal;
mod demand;
pub mod fuzz;
pub mod generate;
pub mod json;
mod net;
mod operators;
mod oracle;
mod path;
mod pattern;
mod policy;
mod truth;
mod verdict;
mod window;

pub use call::Call;
pub use case::Case;
pub use oracle::Oracle;
pub use verdict::{Answer, Bounds, CountState, Verdict};
