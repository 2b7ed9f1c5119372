//! Bodies of requests and responses, and the bounds of what a server holds of them; no protocol's own.

mod call_count;
mod drain;
mod memory;
mod request;
mod response;

pub(crate) use drain::DrainedBody;
pub(crate) use memory::{ConnectionShare, HeldBytes, MessageMemory};
pub(crate) use request::{Kind, RequestBody};
pub(crate) use response::ResponseBody;
