//! The capacity model: messages to Redis and its load, from the number of nodes, policies and hot counts, and the length of a
//! lease.
//!
//! ```text
//! renewals/s         = 20 × nodes × policies / lease
//! most script calls/s = renewals/s + 10 × nodes × asked counts
//! ```
//!
//! Below `max`, a node asks Redis with its renewals alone once its shares have found their sizes. An asked count is one of which
//! calls want more than `max`, or of which a node makes few calls: it asks again a tenth of a second after a refusal, or less
//! often, units that others give back go round, and shares of few units grow and shrink with each call.

use serde::Serialize;

use crate::random::Weights;
use crate::scenario::Scenario;

/// Script calls of one node and policy within a lease: `RENEWALS` in `rust/shared/src/lease.rs`.
const RENEWALS: f64 = 20.0;
/// Script calls per second of one node for a hot count at most: one in `REFUSED_US` of `rust/shared/src/lease/answers.rs`.
const ASKS_PER_SECOND: f64 = 10.0;
/// Calls per second of one node on a count, below which its share has few units and changes with each of them.
const FEW_CALLS: f64 = 10.0;
/// Redis commands that the script runs in a call at most, on average: as the simulation finds.
const COMMANDS: f64 = 16.0;

/// The bounds of the model for a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// Counts of which calls want more than `max`, or each node few units.
    pub asked_counts: usize,
    /// Script calls per second by renewals: all, if no count is asked for beside them.
    pub renewals_per_second: f64,
    /// The most script calls per second.
    pub most_calls_per_second: f64,
    /// The most that Redis uses, as a part of one core.
    pub most_redis_part: f64,
}

impl Forecast {
    /// The forecast.
    #[expect(clippy::cast_precision_loss, reason = "units and microseconds below 2^53")]
    pub fn new(scenario: &Scenario) -> Self {
        let lease_s = scenario.lease_us as f64 / 1e6;
        let window_s = scenario.window_us as f64 / 1e6;
        let by_grant = Weights::zipf(scenario.grants, scenario.grant_skew);
        let max_per_second = scenario.max_units() as f64 / window_s;
        let asked_counts = (0..scenario.grants)
            .map(|grant| scenario.rate * by_grant.part(grant))
            .filter(|rate| *rate > max_per_second || *rate < FEW_CALLS * scenario.nodes as f64)
            .count();
        let renewals_per_second = RENEWALS * (scenario.nodes * scenario.policies) as f64 / lease_s;
        let most_calls_per_second =
            renewals_per_second + ASKS_PER_SECOND * (scenario.nodes * asked_counts) as f64;
        let network = scenario.network;
        let call_us = network.call_us + COMMANDS * network.command_us;
        Self {
            asked_counts,
            renewals_per_second,
            most_calls_per_second,
            most_redis_part: call_us * most_calls_per_second / 1e6,
        }
    }
}
