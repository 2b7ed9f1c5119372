//! Sockets and connections: everything below a request.

mod accept;
mod connection;
mod io;
mod listen;

pub(crate) use accept::{Acceptor, Phase};
pub(crate) use listen::{BoundSocket, bind_socket, bind_tcp};
