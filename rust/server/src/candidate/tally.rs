//! The counts of one candidate at one server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use callgate_core::Outcome;

use super::report::{CandidateChange, CandidateExample, CandidateReport};
use crate::events::shown;

/// Kinds of changes that are told apart: callers choose names of tools.
const MOST_CHANGES: usize = 1_000;
/// Calls of one kind that are kept as examples.
const MOST_EXAMPLES: usize = 3;

const OUTCOMES: usize = Outcome::ALL.len();

/// A call that the candidate decides otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) tool: &'a str,
    pub(super) grant: &'a str,
    pub(super) live: (Outcome, &'a str),
    pub(super) candidate: (Outcome, &'a str),
    pub(super) decided_at_us: u64,
}

/// The calls that change alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ChangeKey {
    tool: String,
    live: (Outcome, String),
    candidate: (Outcome, String),
}

#[derive(Debug, Default)]
struct Changes {
    by_key: HashMap<ChangeKey, (u64, Vec<CandidateExample>)>,
    /// Calls of further kinds.
    others: u64,
}

/// Counts since a moment.
#[derive(Debug)]
pub(super) struct Tally {
    since_us: u64,
    /// By live outcome and then by the candidate's, in the order of [`Outcome::ALL`].
    counts: [[AtomicU64; OUTCOMES]; OUTCOMES],
    changes: Mutex<Changes>,
}

impl Tally {
    pub(super) fn new(since: SystemTime) -> Self {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            since_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            counts: Default::default(),
            changes: Mutex::default(),
        }
    }

    pub(super) fn count(&self, live: Outcome, candidate: Outcome) {
        let row = self.counts.get(live as usize);
        if let Some(cell) = row.and_then(|row| row.get(candidate as usize)) {
            // Relaxed, here and below: a count that publishes nothing else.
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Keeps what a change is about, within bounds.
    pub(super) fn note(&self, change: Change<'_>) {
        let key = ChangeKey {
            tool: shown(change.tool),
            live: (change.live.0, change.live.1.to_owned()),
            candidate: (change.candidate.0, change.candidate.1.to_owned()),
        };
        let mut changes = self.lock();
        if changes.by_key.len() >= MOST_CHANGES && !changes.by_key.contains_key(&key) {
            changes.others += 1;
            return;
        }
        let (count, examples) = changes.by_key.entry(key).or_default();
        *count += 1;
        if examples.len() < MOST_EXAMPLES {
            examples.push(CandidateExample {
                decided_at_us: change.decided_at_us,
                grant: shown(change.grant),
            });
        }
    }

    /// Decisions by the outcome that was answered and by that of the candidate; only those that were met.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Outcome, Outcome, u64)> {
        let pairs = Outcome::ALL
            .into_iter()
            .zip(&self.counts)
            .flat_map(|(live, row)| {
                let cells = Outcome::ALL.into_iter().zip(row);
                cells.map(move |(candidate, cell)| (live, candidate, cell.load(Ordering::Relaxed)))
            });
        pairs.filter(|(.., count)| *count > 0)
    }

    pub(super) fn report(&self, server: &str, policy: &str, version: &str) -> CandidateReport {
        let changes = self.lock();
        let mut list: Vec<CandidateChange> = changes
            .by_key
            .iter()
            .map(|(key, (count, examples))| CandidateChange {
                tool: key.tool.clone(),
                live: key.live.clone(),
                candidate: key.candidate.clone(),
                count: *count,
                examples: examples.clone(),
            })
            .collect();
        let other_changes = changes.others;
        drop(changes);
        list.sort_by(|one, other| {
            other
                .count
                .cmp(&one.count)
                .then_with(|| one.tool.cmp(&other.tool))
        });
        CandidateReport {
            server: server.to_owned(),
            policy: policy.to_owned(),
            version: version.to_owned(),
            since_us: self.since_us,
            counts: self.counts().collect(),
            changes: list,
            other_changes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        // A panic while it was held leaves counts of which at worst one is too low.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
