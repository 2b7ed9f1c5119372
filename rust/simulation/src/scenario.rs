//! The settings of a run.

use serde::Serialize;

use crate::random::Weights;

/// Nodes, their calls, the limits, and the network between nodes and Redis.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Its name in tables.
    pub name: String,
    /// Seed of all random numbers: one seed gives one run.
    pub seed: u64,
    /// Callgates.
    pub nodes: usize,
    /// Policies, each with a lease of its own at every node. Grants are spread over them.
    pub policies: usize,
    /// Grants, each with one count.
    pub grants: usize,
    /// Calls per second over all nodes.
    pub rate: f64,
    /// Exponent of Zipf's law over the grants; 0 for equal shares.
    pub grant_skew: f64,
    /// The way in which calls are spread over nodes.
    pub node_skew: NodeSkew,
    /// Window of each count in microseconds.
    pub window_us: u64,
    /// Part of the calls of the mean grant that `max` admits: below 1 for limits that bind.
    pub max_part: f64,
    /// Length of a lease in microseconds.
    pub lease_us: u64,
    /// The time before figures are taken, in microseconds.
    pub warm_us: u64,
    /// The time of which figures are taken, in microseconds.
    pub measured_us: u64,
    /// The network and the store.
    pub network: Network,
}

/// The way in which calls are spread over nodes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeSkew {
    /// All nodes have the same load.
    Even,
    /// Zipf's law over nodes, with this exponent.
    Zipf(f64),
    /// One node has this part of all calls, the others the same each.
    Busy(f64),
    /// As `Busy`, and after this time in microseconds the next node is the busy one.
    Moving(f64, u64),
}

impl NodeSkew {
    /// The part of all calls that each node gets, after the busy one has moved this many times.
    pub fn weights(self, nodes: usize, moves: u64) -> Weights {
        let busy_at = |busy: usize, part: f64| {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let other = (1.0 - part) / (nodes.max(2) - 1) as f64;
            Weights::new((0..nodes).map(|node| if node == busy { part } else { other }))
        };
        match self {
            Self::Even => Weights::zipf(nodes, 0.0),
            Self::Zipf(exponent) => Weights::zipf(nodes, exponent),
            Self::Busy(part) => busy_at(0, part),
            Self::Moving(part, _) => busy_at(usize::try_from(moves).unwrap_or(0) % nodes.max(1), part),
        }
    }
}

/// The network and the store.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Network {
    /// The shortest time of one way, in microseconds.
    pub least_us: f64,
    /// Mean of what a message takes beyond that (exponentially distributed).
    pub more_us: f64,
    /// Probability that a message is lost, with its connection.
    pub loss: f64,
    /// Time in Redis for each script call, in microseconds.
    pub call_us: f64,
    /// Time in Redis for each command that a script runs, in microseconds.
    pub command_us: f64,
    /// The longest time for which a call waits, in microseconds.
    pub budget_us: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            least_us: 100.0,
            more_us: 50.0,
            loss: 0.0,
            // As `callgate-simulation replay` measures them: see docs/capacity.md.
            call_us: 5.0,
            command_us: 3.2,
            budget_us: 50_000,
        }
    }
}

impl Scenario {
    /// Units that each count admits in a window.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of units far below 2^53"
    )]
    pub fn max_units(&self) -> u64 {
        let of_grant = self.rate / self.grants as f64 * self.window_us as f64 / 1e6;
        ((of_grant * self.max_part).round() as u64).max(1)
    }

    /// The policies as JSON, by the name of the server that each of them serves.
    pub fn policy(&self, number: usize) -> String {
        format!(
            r#"{{"version": "1", "name": "policy-{number}", "default": "allow", "tools": {{"call": {{"limits": [
                {{"counter": "calls", "window": "{}ms", "max": {}, "scope": "grant"}}]}}}}}}"#,
            self.window_us / 1_000,
            self.max_units(),
        )
    }
}
