//! Between a client and a server that speak over pipes: one JSON-RPC message a line (MCP's stdio transport).
//!
//! The client's lines are held as wholes and judged; the server's go by as they come, however long they are. Only while
//! the client waits for a list of tools is a reply held until it is known whether it is that list.

mod child;
mod downward;
mod ending;
mod fault;
mod judging;
mod open;
mod response;
mod returns;
mod shared;
#[cfg(test)]
mod tests;
mod upward;
mod wrap;

pub use child::{ServerCommand, SpawnError};
pub use fault::LineError;
pub use judging::{Forward, Judged, Judging, Looks};
pub use wrap::{WrapError, WrapSettings, wrap};
