//! A slow, plain implementation of `docs/policy.md`, written from that page alone, as the reference for the engine.
//!
//! [`Oracle`] returns the allowed answers to a call. It does not look for faults in documents: it receives only those
//! that the engine accepts. [`compare`] runs both over a [`Case`] and reports differences; [`generate`] makes cases
//! from bytes.

mod call;
mod case;
pub mod compare;
mod condition;
mod count;
mod decide;
pub mod decimal;
mod demand;
mod freeze;
pub mod fuzz;
pub mod generate;
pub mod json;
mod net;
mod operators;
mod oracle;
mod path;
mod pattern;
mod policy;
mod reply;
mod settle;
mod truth;
mod verdict;
mod window;

pub use call::Call;
pub use case::Case;
pub use freeze::Freeze;
pub use oracle::Oracle;
pub use reply::{Reply, ReplyKind};
pub use verdict::{Answer, Bounds, CountState, Verdict};
