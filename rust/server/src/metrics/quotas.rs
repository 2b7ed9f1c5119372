//! Assignments of the quota service, and the tokens in them.

use std::sync::atomic::{AtomicU64, Ordering};

/// The kind of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuotaAssignment {
    Tokens,
    Extension,
    AllowAll,
    DenyAll,
    Abandon,
}

/// Values of the label `assignment`, in the order of [`QuotaAssignment`].
const ASSIGNMENTS: [&str; 5] = ["tokens", "extension", "allow_all", "deny_all", "abandon"];

/// Values of the label `event`.
const EVENTS: [&str; 4] = ["leased", "used", "returned", "unexpected"];

/// The numbers of all streams.
#[derive(Debug, Default)]
pub(super) struct QuotaMetrics {
    assignments: [AtomicU64; ASSIGNMENTS.len()],
    tokens: [AtomicU64; EVENTS.len()],
}

impl QuotaMetrics {
    pub(super) fn assigned(&self, assignment: QuotaAssignment) {
        if let Some(cell) = self.assignments.get(assignment as usize) {
            // Relaxed, here and below: counts that publish nothing else.
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds numbers of tokens, in the order of [`EVENTS`].
    pub(super) fn tokens(&self, numbers: [u64; EVENTS.len()]) {
        for (cell, number) in self.tokens.iter().zip(numbers) {
            if number > 0 {
                cell.fetch_add(number, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn assignments(&self) -> Vec<(&'static str, u64)> {
        numbers(&ASSIGNMENTS, &self.assignments)
    }

    pub(super) fn events(&self) -> Vec<(&'static str, u64)> {
        numbers(&EVENTS, &self.tokens)
    }
}

fn numbers(names: &[&'static str], cells: &[AtomicU64]) -> Vec<(&'static str, u64)> {
    let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
    names.iter().copied().zip(cells.iter().map(read)).collect()
}
