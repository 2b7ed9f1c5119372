//! Sockets and connections: everything below a request.

mod accept;
mod allowance;
mod connection;
mod descriptors;
mod frames;
mod guard;
mod guarded;
mod handshake;
mod head_timer;
mod io;
mod listen;
mod pace;
mod progress;
mod requests;

pub(crate) use accept::Acceptor;
pub use descriptors::descriptor_limit;
pub(crate) use listen::{BoundSocket, bind_socket, bind_tcp};
