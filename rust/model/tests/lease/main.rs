//! The lease protocol, checked exhaustively over small bounds.

mod holds;
mod limits;
mod mutations;
mod support;
