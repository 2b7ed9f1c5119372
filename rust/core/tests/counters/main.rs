//! What the counters promise (`docs/policy.md` section 4), held against an exact log.

#![expect(
    clippy::unwrap_used,
    reason = "a test helper that cannot go on fails its test"
)]

mod burst;
mod hazards;
mod log;
mod model;
mod reload;
mod shrink;
mod threads;

/// Who reserves in these tests.
const PEP: callgate_core::PepId = callgate_core::PepId(0);
