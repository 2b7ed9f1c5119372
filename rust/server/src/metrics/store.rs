//! The numbers of the counters' file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use callgate_counters::Counters;

use super::DurationHistogram;

/// Upper bounds of the buckets in nanoseconds, 100 us to 10 s: a flush waits for a disk.
const BOUNDS_NS: [u64; 11] = [
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    30_000_000,
    100_000_000,
    300_000_000,
    1_000_000_000,
    3_000_000_000,
    10_000_000_000,
];

/// Upper bounds of the store's [`DurationHistogram::counts`] in nanoseconds, each inclusive; the last count has none.
pub const fn store_duration_bounds_ns() -> &'static [u64] {
    &BOUNDS_NS
}

/// Failures of one operation of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreErrorCount {
    /// The kind of the store: `file`.
    pub store: &'static str,
    /// The failed operation: `flush` or `grow`.
    pub operation: &'static str,
    /// The number of failures.
    pub count: u64,
}

/// Flushes of the file of counters.
#[derive(Debug, Default)]
pub(crate) struct StoreMetrics {
    counts: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
    flush_failures: AtomicU64,
    last_failure: ArcSwapOption<String>,
}

impl StoreMetrics {
    /// Counts a flush, and keeps its error until a flush succeeds.
    pub(crate) fn flushed(&self, took: Duration, failure: Option<&str>) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|&bound| bound < took_ns);
        // Relaxed, here and below: counts that publish nothing else.
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(took_ns, Ordering::Relaxed);
        self.flush_failures
            .fetch_add(failure.is_some().into(), Ordering::Relaxed);
        self.last_failure
            .store(failure.map(|failure| Arc::new(failure.to_owned())));
    }

    /// The error of the last flush; `None` if it succeeded.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.last_failure.load_full().map(Arc::unwrap_or_clone)
    }

    pub(crate) fn errors(&self, counters: &Counters) -> Vec<StoreErrorCount> {
        if !counters.is_durable() {
            return Vec::new();
        }
        let error = |operation, count| StoreErrorCount {
            store: "file",
            operation,
            count,
        };
        vec![
            error("flush", self.flush_failures.load(Ordering::Relaxed)),
            error("grow", counters.growth_failures().0),
        ]
    }

    pub(crate) fn duration(&self) -> DurationHistogram {
        let counts: Vec<u64> = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        DurationHistogram {
            count: counts.iter().sum(),
            counts,
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}
