//! The state and the gate of unit tests.

use std::sync::Arc;

use callgate_core::engine::Policies;
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{Engine, EngineConfig, State};

use crate::clock::{Clock, ManualClock};
use crate::gate::Gate;
use crate::in_force::Parts;

/// Makes a state with this policy for every server.
pub(crate) fn state(policy: &str) -> State {
    let source = Source {
        name: "<policy>",
        stem: "policy",
        format: Format::Json,
        bytes: policy.as_bytes(),
    };
    let policies = Policies::EveryServer(parse(&source).unwrap());
    State::build(policies, Catalogue::default()).unwrap()
}

/// Makes a gate that anybody may ask, with this policy for every server and this capacity of counters.
pub(crate) fn gate(policy: &str, counter_capacity: usize, clock: &ManualClock) -> Gate {
    gate_of(state(policy), counter_capacity, clock)
}

/// Makes a gate that anybody may ask, with this state.
pub(crate) fn gate_of(state: State, counter_capacity: usize, clock: &ManualClock) -> Gate {
    let config = EngineConfig {
        counter_capacity,
        counters_per_grant: counter_capacity,
        reservation_ttl_ms: 30_000,
        reservations: callgate_counters::ReservationLimits::in_all(100),
        hash_key: [7; 16],
    };
    let engine = Engine::new(state, config);
    Gate::new(Arc::new(engine), Clock::Manual(clock.clone()), Parts::default())
}
