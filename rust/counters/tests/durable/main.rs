//! Counters in a file: what survives a restart, a kill at any moment, a power failure, and damage.

#![cfg(not(loom))]
#![expect(
    clippy::unwrap_used,
    reason = "a test helper that cannot go on fails its test"
)]

mod clock;
mod damage;
mod disk;
mod flips;
mod heritage;
mod kill;
mod resets;
mod restart;
mod support;
