//! Detection of limits that share a count but disagree on its `max`, or on `at_max` (`docs/policy.md` section 4).

use std::cmp::Ordering;

use callgate_counters::{Sharing, Window};

use super::ast::{Limit, Path, Scope, Step};
use super::limit::PlacedLimit;
use super::read::{DocumentError, Position, quoted};

/// The entry of the policy that contains a limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// An entry of `tools`, by index: only one of them applies to a call.
    Tool(usize),
    /// A category or `all_tools`.
    Shared,
}

/// The faults of limits that share a count but have different `max` or `at_max`, one a count, in document order: each is at the second
/// limit.
pub(super) fn conflicts(limits: &[(Entry, PlacedLimit)]) -> Vec<DocumentError> {
    let mut sorted: Vec<&(Entry, PlacedLimit)> = limits.iter().collect();
    // The sort is stable, so limits of one count stay in document order.
    sorted.sort_by(|(_, a), (_, b)| order_of_counts(&a.limit, &b.limit));
    let mut faults: Vec<DocumentError> = sorted
        .chunk_by(|(_, a), (_, b)| order_of_counts(&a.limit, &b.limit) == Ordering::Equal)
        .filter_map(conflict)
        .collect();
    faults.sort_by_key(|fault| (fault.at.line, fault.at.column));
    faults
}

/// The first disagreement among the limits of one count, in document order.
fn conflict(limits: &[&(Entry, PlacedLimit)]) -> Option<DocumentError> {
    let per_tool = limits
        .iter()
        .all(|(_, placed)| placed.limit.scope.contains(&Scope::Tool));
    let shared = limits.iter().any(|(entry, _)| *entry == Entry::Shared);
    // Only one entry of `tools` applies to a call. Two entries therefore never share a count per tool, unless an entry
    // that applies with both shares it too. The limits of one entry are adjacent.
    let apart = per_tool && !shared;
    limits
        .chunk_by(|(a, _), (b, _)| !apart || a == b)
        .find_map(|limits| {
            let (_, first) = limits.first()?;
            let (_, other) = limits
                .iter()
                .find(|(_, placed)| of_max(&placed.limit) != of_max(&first.limit))?;
            Some(disagreement(first, other))
        })
}

fn disagreement(a: &PlacedLimit, b: &PlacedLimit) -> DocumentError {
    let place = |at: Position| (at.line, at.column);
    let (first, second) = if place(a.at) <= place(b.at) {
        (a, b)
    } else {
        (b, a)
    };
    if first.limit.max == second.limit.max && first.limit.asks_at_max == second.limit.asks_at_max {
        return DocumentError::at(
            second.at,
            format!(
                "the counter {} is shared in one way here and in another at line {}, column {}, for the same window and \
                 scope; give both limits one `shared`, or name two counters",
                quoted(&second.limit.counter),
                first.at.line,
                first.at.column
            ),
        );
    }
    if first.limit.max == second.limit.max {
        let mut answers = ["refuses", "asks for an approval"];
        if second.limit.asks_at_max {
            answers.reverse();
        }
        let [here, there] = answers;
        return DocumentError::at(
            second.at,
            format!(
                "the counter {} {here} at its `max` here and {there} at line {}, column {}, for the same window and scope; \
                 give both limits `at_max` or neither, or name two counters",
                quoted(&second.limit.counter),
                first.at.line,
                first.at.column
            ),
        );
    }
    DocumentError::at(
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

/// The fields that all limits of a count have alike.
const fn of_max(limit: &Limit) -> (u64, bool, Option<Sharing>) {
    (limit.max.0, limit.asks_at_max, limit.shared)
}

/// `Equal` for limits that share a count.
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

/// Orders scopes by meaning: two spellings of one argument path are equal.
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
