//! An engine beside another one, for policies that decide nothing.

use callgate_counters::ReservationLimits;

use super::{Engine, EngineConfig, State};

/// The bounds that an engine was created with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    counter_capacity: usize,
    counters_per_grant: usize,
    reservation_ttl_ms: u64,
    reservations: ReservationLimits,
}

impl From<&EngineConfig> for Sizes {
    fn from(config: &EngineConfig) -> Self {
        Self {
            counter_capacity: config.counter_capacity,
            counters_per_grant: config.counters_per_grant,
            reservation_ttl_ms: config.reservation_ttl_ms,
            reservations: config.reservations,
        }
    }
}

impl Engine {
    /// Creates an engine for another state with the bounds of this one, and counters and reservations of its own in memory.
    #[must_use]
    pub fn beside(&self, state: State) -> Self {
        let Sizes {
            counter_capacity,
            counters_per_grant,
            reservation_ttl_ms,
            reservations,
        } = self.sizes;
        let config = EngineConfig {
            counter_capacity,
            counters_per_grant,
            reservation_ttl_ms,
            reservations,
            hash_key: self.hash_key,
        };
        Self::new(state, config)
    }
}
