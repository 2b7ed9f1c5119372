//! The other side of the gateway: MCP servers over HTTP, and what becomes of their replies.
//!
//! - [`Upstream`] is one MCP server: where it is, how it is reached, and what may take how long.
//! - [`fields`] says which header fields go on, there and back.
//! - [`reply`] cuts tools out of the lists in replies, whether they come as JSON or as a stream of events, and passes on
//!   everything else as it comes.
//! - [`pins`] holds what servers say of their tools against what was accepted.
//! - [`oauth`] makes callers out by the tokens of an issuer.
//! - [`Webhook`] is one receiver of messages.
//!
//! Calls are authorised before they reach this crate: it knows no policy and no counters.

pub mod fields;
pub mod oauth;
pub mod pins;
mod pool;
pub mod reply;
pub mod upstream;
mod webhook;

pub use upstream::{
    Failure, FailureKind, ProbeError, ProbeNews, Tally, Upstream, UpstreamConfig, UpstreamError,
};
pub use webhook::{Webhook, WebhookReply};
