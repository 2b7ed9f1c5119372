//! Counts of one thread and of the whole run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::http2::Failure;
use crate::message::{OUTCOMES, Tally};
use crate::report::ErrorCount;

/// Significant figures of every histogram.
const FIGURES: u8 = 3;

/// The longest time that histograms distinguish, in nanoseconds; longer times count as this one.
const MAX_NS: u64 = 3_600_000_000_000;

/// The counts of a thread since they were last collected, or of the whole run.
#[derive(Debug)]
pub(crate) struct Stats {
    /// Time from a request's due time to its answer, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Time from a request's due time, or from when there was room for it, to its sending, in nanoseconds.
    pub(crate) delay: Histogram<u64>,
    pub(crate) requests: u64,
    pub(crate) outcomes: [u64; OUTCOMES],
    pub(crate) errors: BTreeMap<Cow<'static, str>, ErrorCount>,
    /// Requests that were due but never sent, because too many were in flight.
    pub(crate) unsent: u64,
    pub(crate) reconnects: u64,
    /// Answers in this time, including those to earlier requests.
    pub(crate) answered: u64,
    pub(crate) decided: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            latency: histogram(),
            delay: histogram(),
            requests: 0,
            outcomes: [0; OUTCOMES],
            errors: BTreeMap::new(),
            unsent: 0,
            reconnects: 0,
            answered: 0,
            decided: 0,
            bytes_sent: 0,
            bytes_received: 0,
        }
    }

    /// Counts an answer, with `latency_ns` if its request is measured.
    pub(crate) fn answer(&mut self, tally: &Tally, latency_ns: Option<u64>) {
        self.answered += 1;
        self.decided += tally.iter().map(|count| u64::from(*count)).sum::<u64>();
        if let Some(latency_ns) = latency_ns {
            self.requests += 1;
            for (total, count) in self.outcomes.iter_mut().zip(tally) {
                *total += u64::from(*count);
            }
            self.latency.saturating_record(latency_ns.min(MAX_NS));
        }
    }

    pub(crate) fn delayed(&mut self, delay_ns: u64) {
        self.delay.saturating_record(delay_ns.min(MAX_NS));
    }

    /// Counts a failed request.
    pub(crate) fn error(&mut self, failure: &Failure) {
        self.errors(failure, 1);
    }

    /// Counts several requests that failed for one reason.
    pub(crate) fn errors(&mut self, failure: &Failure, count: u64) {
        if count == 0 {
            return;
        }
        let faults = self.errors.entry(failure.label()).or_default();
        if faults.count == 0 {
            faults.detail = failure.detail();
        }
        faults.count += count;
    }

    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().map(|faults| faults.count).sum()
    }

    /// Adds the counts of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        // Both have the same precision and grow as needed, so adding cannot fail.
        let _ = self.latency.add(&other.latency);
        let _ = self.delay.add(&other.delay);
        self.requests += other.requests;
        for (total, count) in self.outcomes.iter_mut().zip(other.outcomes) {
            *total += count;
        }
        for (label, faults) in &other.errors {
            let total = self.errors.entry(label.clone()).or_default();
            if total.count == 0 {
                total.detail.clone_from(&faults.detail);
            }
            total.count += faults.count;
        }
        self.unsent += other.unsent;
        self.reconnects += other.reconnects;
        self.answered += other.answered;
        self.decided += other.decided;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }

    /// Clears the counts by time of arrival, and keeps those by due time.
    pub(crate) fn forget_throughput(&mut self) {
        (self.answered, self.decided, self.bytes_sent, self.bytes_received) = (0, 0, 0, 0);
    }

    /// Clears all counts and keeps the buffers.
    pub(crate) fn clear(&mut self) {
        self.latency.reset();
        self.delay.reset();
        self.errors.clear();
        self.outcomes = [0; OUTCOMES];
        for count in [
            &mut self.requests,
            &mut self.unsent,
            &mut self.reconnects,
            &mut self.answered,
            &mut self.decided,
            &mut self.bytes_sent,
            &mut self.bytes_received,
        ] {
            *count = 0;
        }
    }
}

#[expect(clippy::expect_used, reason = "constant bounds that are within the crate's")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NS, FIGURES).expect("1 ns to 1 h with 3 figures")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_counts_are_those_of_one() {
        let (mut one, mut left, mut right) = (Stats::new(), Stats::new(), Stats::new());
        for number in 1..=1_000_u64 {
            let part = if number % 3 == 0 { &mut left } else { &mut right };
            for stats in [&mut one, part] {
                stats.answer(&[0, 1, 0, 2, 0], Some(number * 1_000));
                stats.delayed(number);
                stats.error(&Failure::Status(14, format!("try {number}")));
            }
        }
        let mut merged = Stats::new();
        merged.merge(&right);
        merged.merge(&left);
        assert_eq!(merged.latency, one.latency);
        assert_eq!(merged.delay, one.delay);
        assert_eq!(merged.outcomes, [0, 1_000, 0, 2_000, 0]);
        assert_eq!((merged.requests, merged.decided), (1_000, 3_000));
        assert_eq!(merged.errors["UNAVAILABLE"].count, 1_000);
        assert_eq!(merged.errors["UNAVAILABLE"].detail, "try 1");
        merged.clear();
        assert_eq!(
            (merged.latency.len(), merged.requests, merged.error_count()),
            (0, 0, 0)
        );
    }

    #[test]
    fn answers_outside_of_what_is_measured_count_for_throughput_alone() {
        let mut stats = Stats::new();
        stats.answer(&[0, 1, 0, 0, 0], None);
        assert_eq!((stats.answered, stats.requests, stats.latency.len()), (1, 0, 0));
    }

    #[test]
    fn times_beyond_the_histogram_count_as_its_longest() {
        let mut stats = Stats::new();
        stats.answer(&[0, 1, 0, 0, 0], Some(u64::MAX));
        assert!(stats.latency.max() >= MAX_NS);
    }
}
