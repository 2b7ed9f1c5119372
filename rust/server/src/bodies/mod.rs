//! Bodies of requests and responses, and the bounds of what a server holds of them; no protocol's own.

mod call_count;
mod drain;
mod memory;
mod request;
mod response;

pub(crate) use drain::Lingering;
pub(crate) use memory::{Held, Share, Unfinished};
pub(crate) use request::{Arriving, Kind};
pub(crate) use response::Leaving;
