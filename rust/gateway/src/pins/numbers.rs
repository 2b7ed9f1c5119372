//! Counts of a server's tools, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::observation::ToolChange;
use super::state::State;

/// Counts of a server's tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The number of tools in each state.
    pub tools: Vec<(State, usize)>,
    /// The number of times that a list has made a tool changed or new, since this process began.
    pub changes: Vec<(State, u64)>,
}

/// States that a list can bring a tool to.
const CHANGES: [State; 2] = [State::Changed, State::New];

/// The number of times that lists have made tools changed or new.
#[derive(Debug, Default)]
pub(super) struct Changes([AtomicU64; CHANGES.len()]);

impl Changes {
    pub(super) fn add(&self, changes: &[ToolChange]) {
        for (state, count) in CHANGES.iter().zip(&self.0) {
            let more = changes.iter().filter(|change| change.state == *state).count();
            // Relaxed, as below: a count that publishes nothing else.
            count.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> Vec<(State, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        CHANGES.into_iter().zip(counts).collect()
    }
}
