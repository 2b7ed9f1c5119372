//! MCP messages, for every door that meets them: read from hostile bytes once, held against their headers, answered.
//!
//! - [`Message::parse`] reads one JSON-RPC message as MCP sends it, and refuses whatever two readers could take for two
//!   different messages.
//! - [`Parts::parse`] reads as much of one as a gateway hands over that has read the envelope itself.
//! - [`Headers`] are the fields that mirror a message since MCP 2026-07-28; they must say what the body says.
//! - [`Methods`] says which messages that call no tool may pass.
//! - [`reply`] builds the answers to what may not.
//! - [`list`] takes tools out of the answers to `tools/list`, and reads what they say of each tool.
//! - [`Media`] says what such an answer is in.
//! - [`sse`] takes a stream of events apart, each of which may hold such an answer.
//! - [`LineBreaks`] escapes what ends a line for some readers alone.
//!
//! The crate does no I/O and knows no HTTP library: bytes and header fields come in, bytes go out. What is forwarded
//! must be the bytes that were parsed; nothing here makes a message anew.

pub mod headers;
mod keys;
mod line_breaks;
pub mod list;
mod media;
pub mod message;
pub mod methods;
pub mod refusal;
pub mod reply;
mod shown;
pub mod sse;

pub use headers::{FIRST_MIRRORING_VERSION, Headers, Named};
pub use keys::same_but_for_case;
pub use line_breaks::LineBreaks;
pub use media::Media;
pub use message::{Answer, Call, Id, Message, Other, Parts};
pub use methods::{Methods, MethodsError};
pub use refusal::{Reason, Refusal};
pub use shown::Shown;
