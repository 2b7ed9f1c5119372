//! callgate's core: policies compiled to matchers, and [`Engine::decide`] over the counters of `callgate-counters`.
//!
//! The crate uses no Python, no network, no clock, no environment and no logging: time and randomness are arguments, so
//! that its tests neither sleep nor mock. The meaning of a policy is defined in `docs/policy.md`.

pub mod address;
pub mod approval;
pub mod bindings;
mod compile;
pub mod decision;
pub mod engine;
mod eval;
pub mod freeze;
pub mod grant;
pub mod hex;
pub mod json;
pub mod nearest;
pub mod policy;
pub mod rate;
pub mod request;
mod reset;
mod state;

pub use callgate_counters::{Now, PepId, ReservationId};
pub use decision::{Decision, Fingerprint, LimitState, Outcome, Shadow};
pub use engine::{Engine, EngineConfig, Looked, Scratch, State};
pub use eval::replay;
pub use request::{Args, Caller, Pep, PinnedTools, Request};
