//! MCP over pipes: messages as lines on the standard input and output of a program.
//!
//! - [`stdio`] stands between a client and a server that it starts, and that speak over pipes.
//! - [`connect`] leads a client that speaks over pipes to a server that speaks HTTP.
//!
//! Servers over HTTP and the pins of tools come from `callgate-gateway`. Policies and counters are unknown here: whoever
//! uses the crate judges each message.

mod client;
pub mod connect;
mod failed;
mod glance;
mod id;
mod lines;
mod signals;
pub mod stdio;

pub use id::RequestId;
