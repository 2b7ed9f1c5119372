//! A client that speaks over pipes, and a server that speaks streamable HTTP.
//!
//! Each line of the client becomes a request, and each message of a reply a line. What a session needs is kept here: its id,
//! the protocol version that was agreed on, the server's own stream, and where to go on with a stream that has broken.

mod ask;
mod bridge;
mod events;
mod exchange;
mod fields;
mod listen;
mod mend;
mod output;
mod relist;
mod renew;
mod replies;
mod run;
mod session;
mod tools;

pub use run::{ConnectSettings, connect};
