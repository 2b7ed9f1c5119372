//! The tree of a log and the signatures over it: RFC 6962 hashes, and the C2SP formats `signed-note` and
//! `tlog-checkpoint`. No file, no clock, no network.
//!
//! A log is a list of entries. [`Frontier`] keeps the few hashes by which the tree of all entries grows, and gives its root.
//! A [`Checkpoint`] states the number of entries and the root; a [`SigningKey`] signs it as a note.

mod checkpoint;
mod note;
mod tree;

pub use checkpoint::Checkpoint;
pub use note::{KeyError, PublicKey, SigningKey};
pub use tree::{Frontier, Hash, leaf_hash};
