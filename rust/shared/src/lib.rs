//! Counts that several nodes share through Redis (`docs/scaling.md`).
//!
//! [`Worker`] is the only part that speaks to Redis, on a thread of its own. For each policy it keeps a [`Lease`]: the lease of
//! this node, and the shares that it has of the policy's counts. That is a machine without clocks and without a network: it
//! says what to ask ([`Lease::plan`]), and is told what was answered ([`Lease::answered`]). The other half of the protocol
//! is the script (`script.lua`), which Redis runs as one step.
//!
//! The promise: no interval of a window holds more than `max` units over all nodes. The reasons for it are in
//! `docs/scaling.md`.

mod call;
mod cluster;
mod config;
mod error;
mod keys;
mod lease;
mod link;
mod mail;
mod record;
mod reply;
mod route;
mod server;
#[doc(hidden)]
pub mod steps;
mod way;
mod worker;

pub use config::{SharedConfig, hash_key};
pub use error::SharedError;
pub use lease::{Lease, Times};
pub use server::Identity;
pub use worker::{Node, State, Worker};
