//! MCP messages, for every protocol that carries them: parsed once from hostile bytes, checked against their headers,
//! answered.
//!
//! - [`Message::parse`] reads one JSON-RPC message as MCP defines it, and refuses any that two readers could understand
//!   differently.
//! - [`Parts::parse`] reads a method and its `params`, for gateways that read the envelope themselves.
//! - [`Headers`] are the fields that mirror a message since MCP 2026-07-28; they must agree with the body.
//! - [`Methods`] decides which messages other than tool calls may pass.
//! - [`reply`] builds the answers to messages that may not pass.
//! - [`list`] removes tools from the answers to `tools/list`, and reads the tools of such an answer.
//! - [`Media`] is the media type of such an answer.
//! - [`sse`] splits an event stream into events, each of which may hold such an answer.
//! - [`Scanner`] finds the outer keys of messages that pass in pieces.
//! - [`TraceContext`] is the W3C trace context of a message.
//! - [`LineBreaks`] escapes characters that only some readers take for a line end.
//!
//! The crate does no I/O and uses no HTTP library: bytes and header fields come in, bytes go out. The bytes that are
//! forwarded must be the bytes that were parsed; nothing here serialises a message again.

pub mod error;
pub mod headers;
mod keys;
mod line_breaks;
pub mod list;
mod media;
pub mod message;
pub mod methods;
mod quoted;
pub mod reply;
mod scanner;
pub mod sse;
mod trace;

pub use error::{MessageError, Reason};
pub use headers::{FIRST_MIRRORING_VERSION, Headers, MessageTarget};
pub use keys::same_but_for_case;
pub use line_breaks::LineBreaks;
pub use media::Media;
pub use message::{Answer, Id, Message, Other, Parts, ToolCall};
pub use methods::{Methods, MethodsError};
pub use quoted::Quoted;
pub use scanner::{Scanner, Token};
pub use trace::{TraceContext, TraceParent};
