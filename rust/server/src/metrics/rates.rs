//! Answers of the rate limit service, by domain.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use callgate_core::State;
use callgate_core::rate::{RateAnswer, RateError};

use super::labels::count;

/// Answers to requests about one domain, with one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitCount {
    /// A configured domain, or `(unknown)`.
    pub domain: String,
    /// `ok`, `over_limit`, `shadow` (a limit in shadow mode would have refused), `capacity`, `unavailable`,
    /// `internal_error` (refused because limits could not be counted), or `unknown_domain`.
    pub outcome: &'static str,
    /// The number.
    pub count: u64,
}

/// `domain` of domains that nobody configured: their names are the callers'.
const UNKNOWN: &str = "(unknown)";

const OUTCOMES: [&str; 7] = [
    "ok",
    "over_limit",
    "shadow",
    "capacity",
    "unavailable",
    "internal_error",
    "unknown_domain",
];
const UNKNOWN_DOMAIN: usize = OUTCOMES.len() - 1;

/// By [`OUTCOMES`].
type Cells = [AtomicU64; OUTCOMES.len()];

/// Every cell there ever was, by domain.
#[derive(Debug, Default)]
pub(super) struct RateMetrics {
    known: Mutex<BTreeMap<String, Arc<Cells>>>,
    unknown: Cells,
}

/// The cells of one compiled state's domains, by `RateAnswer::domain_index`.
#[derive(Debug)]
pub(super) struct Domains(Vec<Arc<Cells>>);

impl RateMetrics {
    /// The cells of a state's domains: those that are known go on counting.
    pub(super) fn domains(&self, state: &State) -> Domains {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let names = state.rate_limits().names().iter();
        let cells = names.map(|name| Arc::clone(known.entry(name.clone()).or_default()));
        Domains(cells.collect())
    }

    pub(super) fn unknown_domain(&self) {
        count(&self.unknown[UNKNOWN_DOMAIN]);
    }

    pub(super) fn snapshot(&self) -> Vec<RateLimitCount> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let named = known.iter().map(|(domain, cells)| (domain.as_str(), &**cells));
        let mut counts = Vec::new();
        for (domain, cells) in named.chain([(UNKNOWN, &self.unknown)]) {
            for (outcome, cell) in OUTCOMES.into_iter().zip(cells) {
                // Relaxed: a count that publishes nothing else.
                let count = cell.load(Ordering::Relaxed);
                if count > 0 {
                    counts.push(RateLimitCount {
                        domain: domain.to_owned(),
                        outcome,
                        count,
                    });
                }
            }
        }
        counts
    }
}

impl Domains {
    /// Counts one answer.
    pub(super) fn count(&self, answer: &RateAnswer<'_>) {
        let index = usize::try_from(answer.domain_index).ok();
        if let Some(cells) = index.and_then(|index| self.0.get(index)) {
            count(&cells[outcome(answer)]);
        }
    }
}

/// Place among [`OUTCOMES`].
fn outcome(answer: &RateAnswer<'_>) -> usize {
    match answer.error {
        Some(RateError::Capacity) => 3,
        Some(RateError::Unavailable) => 4,
        Some(RateError::Internal) => 5,
        None if answer.over_limit => 1,
        None => {
            let shadow = answer.statuses.iter().any(|status| status.shadow_over_limit);
            if shadow { 2 } else { 0 }
        }
    }
}
