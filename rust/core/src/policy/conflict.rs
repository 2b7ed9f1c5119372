//! Limits that keep one count must agree on its `max` (`docs/policy.md` section 4).

use std::cmp::Ordering;

use super::ast::{Limit, Path, Scope, Step, Window};
use super::limit::PlacedLimit;
use super::read::{Fault, Position, Read, quoted};

/// Which entry of the policy a limit belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// One of `tools`, by index: no call meets two of them.
    Tool(usize),
    /// A category or `all_tools`.
    Shared,
}

/// Two limits that keep one count must agree on its `max`; the second one is at fault.
pub(super) fn check_conflicts(limits: &[(Entry, PlacedLimit)]) -> Read<()> {
    let mut sorted: Vec<&(Entry, PlacedLimit)> = limits.iter().collect();
    // Stable: limits of one count stay in document order.
    sorted.sort_by(|(_, a), (_, b)| order_of_counts(&a.limit, &b.limit));
    let mut first_fault: Option<Fault> = None;
    for counts in sorted.chunk_by(|(_, a), (_, b)| order_of_counts(&a.limit, &b.limit) == Ordering::Equal) {
        if let Some(fault) = conflict(counts)
            && first_fault
                .as_ref()
                .is_none_or(|first| (fault.at.line, fault.at.column) < (first.at.line, first.at.column))
        {
            first_fault = Some(fault);
        }
    }
    first_fault.map_or(Ok(()), Err)
}

/// The first disagreement among limits on one count, in document order.
fn conflict(limits: &[&(Entry, PlacedLimit)]) -> Option<Fault> {
    let per_tool = limits
        .iter()
        .all(|(_, placed)| placed.limit.scope.contains(&Scope::Tool));
    let shared = limits.iter().any(|(entry, _)| *entry == Entry::Shared);
    // A call meets one entry of `tools` only, so two of them never share a count that is kept per tool, unless an
    // entry that both meet shares it too. Limits of one entry stand together.
    let apart = per_tool && !shared;
    limits
        .chunk_by(|(a, _), (b, _)| !apart || a == b)
        .find_map(|limits| {
            let (_, first) = limits.first()?;
            let (_, other) = limits
                .iter()
                .find(|(_, placed)| placed.limit.max != first.limit.max)?;
            Some(disagreement(first, other))
        })
}

fn disagreement(a: &PlacedLimit, b: &PlacedLimit) -> Fault {
    let place = |at: Position| (at.line, at.column);
    let (first, second) = if place(a.at) <= place(b.at) {
        (a, b)
    } else {
        (b, a)
    };
    Fault::at(
        second.at,
        format!(
            "the counter {} has `max` {} here and {} at line {}, column {}, for the same window and scope; \
             give both one `max`, or name two counters",
            quoted(&second.limit.counter),
            second.limit.max,
            first.limit.max,
            first.at.line,
            first.at.column
        ),
    )
}

/// Equal for limits that keep one count.
fn order_of_counts(a: &Limit, b: &Limit) -> Ordering {
    fn window(limit: &Limit) -> (u8, u64) {
        match limit.window {
            Window::Sliding { window_us } => (0, window_us),
            Window::Calendar(period) => (1, period as u64),
        }
    }
    a.counter
        .cmp(&b.counter)
        .then_with(|| window(a).cmp(&window(b)))
        .then_with(|| a.scope.len().cmp(&b.scope.len()))
        .then_with(|| {
            a.scope
                .iter()
                .zip(&b.scope)
                .map(|(a, b)| order_of_scopes(a, b))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        })
}

/// An order of scopes by what they are: two spellings of one argument path are one scope.
pub(super) fn order_of_scopes(a: &Scope, b: &Scope) -> Ordering {
    fn rank(scope: &Scope) -> u8 {
        match scope {
            Scope::Grant => 0,
            Scope::Session => 1,
            Scope::Tool => 2,
            Scope::Server => 3,
            Scope::Global => 4,
            Scope::Args(_) => 5,
        }
    }
    match (a, b) {
        (Scope::Args(a), Scope::Args(b)) => order_of_paths(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn order_of_paths(a: &Path, b: &Path) -> Ordering {
    fn rank(step: &Step) -> (u8, usize, &str) {
        match step {
            Step::Key(key) => (0, 0, key),
            Step::Index(index) => (1, *index, ""),
            Step::Every => (2, 0, ""),
        }
    }
    a.steps.iter().map(rank).cmp(b.steps.iter().map(rank))
}
