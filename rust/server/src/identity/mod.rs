//! Enforcement points (PEPs), known by a token, a client certificate or the user behind a socket.

pub(crate) mod bearer;
mod certificate;
mod peps;

pub use peps::{PepError, PepSpec};

pub(crate) use certificate::names_in;
pub(crate) use peps::{Asker, Peer, PepRegistry, Peps, UnknownPepError};
