//! MCP messages, for every door that meets them: read from hostile bytes once, and held against their headers.
//!
//! - [`Message::parse`] reads one JSON-RPC message as MCP sends it, and refuses whatever two readers could take for two
//!   different messages.
//! - [`Headers`] are the fields that mirror a message since MCP 2026-07-28; they must say what the body says.
//!
//! The crate does no I/O and knows no HTTP library: bytes and header fields come in, bytes go out. What is forwarded
//! must be the bytes that were parsed; nothing here makes a message anew.

pub mod headers;
mod keys;
pub mod message;
pub mod refusal;
mod shown;

pub use headers::{Bindings, Headers, Named};
pub use message::{Call, Id, Message, Other};
pub use refusal::{Reason, Refusal};
