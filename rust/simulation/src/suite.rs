//! The runs of `make simulate`.

use crate::scenario::{Network, NodeSkew, Scenario};

const SECOND_US: u64 = 1_000_000;
const WINDOW_US: u64 = 5 * SECOND_US;
const LEASE_US: u64 = 10 * SECOND_US;

/// Sixteen hot counts, of which half of the calls fit, over even nodes.
pub fn base(name: &str, nodes: usize, rate: f64) -> Scenario {
    Scenario {
        name: name.to_owned(),
        seed: 1,
        nodes,
        policies: 1,
        grants: 16,
        rate,
        grant_skew: 0.0,
        node_skew: NodeSkew::Even,
        window_us: WINDOW_US,
        max_part: 0.5,
        lease_us: LEASE_US,
        // Half a lease refuses, then the shares find their sizes within some windows.
        warm_us: LEASE_US / 2 + 2 * WINDOW_US,
        measured_us: WINDOW_US,
        network: Network::default(),
    }
}

/// Ways in which calls are spread over nodes.
const SKEWS: [(&str, NodeSkew); 4] = [
    ("even", NodeSkew::Even),
    ("zipf", NodeSkew::Zipf(1.0)),
    ("one busy", NodeSkew::Busy(0.5)),
    ("moving", NodeSkew::Moving(0.5, WINDOW_US)),
];

/// Limits that bind, for each number of nodes and each skew.
pub fn skewed(numbers: &[usize], rate: f64) -> Vec<Scenario> {
    let of = |nodes: usize| {
        SKEWS.iter().map(move |(name, skew)| Scenario {
            node_skew: *skew,
            grant_skew: 0.5,
            ..base(name, nodes, rate)
        })
    };
    numbers.iter().copied().flat_map(of).collect()
}

/// The same load with limits that do not bind.
pub fn free(numbers: &[usize], rate: f64) -> Vec<Scenario> {
    let of = |&nodes: &usize| Scenario {
        max_part: 2.0,
        ..base("below max", nodes, rate)
    };
    numbers.iter().map(of).collect()
}

/// Messages that are lost, each with its connection.
pub fn lossy(nodes: usize, rate: f64) -> Scenario {
    Scenario {
        network: Network {
            loss: 0.001,
            ..Network::default()
        },
        ..base("lossy", nodes, rate)
    }
}

/// One million decisions per second over a thousand nodes.
pub fn million() -> Vec<Scenario> {
    let rate = 1e6;
    let of = |name: &str, grants, max_part, policies| Scenario {
        policies,
        grants,
        max_part,
        ..base(name, 1_000, rate)
    };
    vec![
        of("million, below max", 64, 2.0, 1),
        of("million, at max", 64, 0.5, 1),
        of("million, 4 policies", 64, 0.5, 4),
    ]
}
