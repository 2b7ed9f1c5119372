//! Counters that several processes share.

#![cfg(not(loom))]
#![expect(
    clippy::unwrap_used,
    reason = "a test helper that cannot go on fails its test"
)]

mod ends;
mod equality;
mod faults;
mod support;
