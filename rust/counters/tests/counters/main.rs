//! The guarantees of the counters (`docs/policy.md` section 4), compared with an exact log.

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

/// The enforcement point that reserves in these tests.
const PEP: callgate_counters::PepId = callgate_counters::PepId(0);
