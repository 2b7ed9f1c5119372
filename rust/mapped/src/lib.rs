//! Runs of atomic words, on the heap or in a file mapping: the memory of the counters, and early requests for it.
//!
//! This is the only crate of the workspace with `unsafe` code. Its interface is safe: [`Words`] is a slice of atomics
//! that keeps its memory alive. A [`MappedFile`] hands out words of a file that is locked against other processes and
//! whose disk space is reserved before it is mapped, so that a full disk is an error value and never a signal.

mod file;
mod owner;
mod prefetch;
mod words;

pub use file::{LockError, MappedFile};
pub use owner::Owner;
pub use prefetch::prefetch;
pub use words::Words;
