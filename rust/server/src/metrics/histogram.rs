//! The time that decisions take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::parts::Parts;

/// Upper bounds of the buckets in nanoseconds, 100 ns to 10 ms; one more bucket holds what is longer.
const BOUNDS_NS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// Threads share this many parts, so that they seldom write to one cache line.
const PARTS: usize = 16;

/// Upper bounds of [`DurationHistogram::counts`] in nanoseconds, each inclusive; the last count has none.
pub const fn duration_bounds_ns() -> &'static [u64] {
    &BOUNDS_NS
}

/// The time that decisions took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurationHistogram {
    /// Decisions per bucket (not summed up), one more than [`duration_bounds_ns`].
    pub counts: Vec<u64>,
    /// All durations together, in nanoseconds.
    pub sum_ns: u64,
    /// All decisions.
    pub count: u64,
}

#[derive(Debug, Default)]
struct Part {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Histogram {
    parts: Parts<Part, PARTS>,
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|&bound| bound < duration_ns);
        let Some(part) = self.parts.own() else {
            return;
        };
        // Relaxed: counts that publish nothing else.
        if let Some(count) = part.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        part.sum_ns.fetch_add(duration_ns, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> DurationHistogram {
        let counts = (0..BUCKETS).map(|bucket| self.parts.sum(|part| part.counts.get(bucket)));
        let counts: Vec<u64> = counts.collect();
        DurationHistogram {
            sum_ns: self.parts.sum(|part| Some(&part.sum_ns)),
            count: counts.iter().sum(),
            counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_belong_to_their_bucket() {
        let histogram = Histogram::default();
        for nanoseconds in [0, 100, 101, 10_000_000, 10_000_001, u64::MAX] {
            histogram.observe(Duration::from_nanos(nanoseconds));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.counts.len(), duration_bounds_ns().len() + 1);
        assert_eq!((snapshot.counts[0], snapshot.counts[1]), (2, 1));
        assert_eq!((snapshot.counts[15], snapshot.counts[16]), (1, 2));
        assert_eq!(snapshot.count, 6);
    }

    #[test]
    fn threads_add_up() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| histogram.observe(Duration::from_nanos(300))));
            }
        });
        let snapshot = histogram.snapshot();
        assert_eq!(
            (snapshot.count, snapshot.counts[2], snapshot.sum_ns),
            (4_000, 4_000, 1_200_000)
        );
    }
}
