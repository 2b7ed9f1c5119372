//! Due times of requests.

use crate::plan::Timeline;

const NS_PER_S: f64 = 1e9;

/// The due times of one connection's requests, in nanoseconds of the run's clock.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// Closed loop: a request is due as soon as there is room.
    Closed,
    /// Open loop: requests are due at fixed times, whatever happened to those before.
    Open(Schedule),
}

/// Fixed due times: the connections take turns, so that their requests together are evenly spaced.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// Requests per second of all connections together.
    rate: f64,
    connections: u64,
    /// The number of this connection.
    connection: u64,
    /// The number of this connection's requests that were already due.
    passed: u64,
    /// The due time of the run's first request.
    start_ns: u64,
    /// The end of the warm-up: what was due in it and is not sent by then is dropped.
    measure_ns: u64,
    /// The end of the schedule: no request is due at this time or later.
    end_ns: u64,
}

impl Schedule {
    pub(crate) const fn new(rate: f64, connections: u64, connection: u64, timeline: Timeline) -> Self {
        Self {
            rate,
            connections,
            connection,
            passed: 0,
            start_ns: timeline.start_ns,
            measure_ns: timeline.measure_ns,
            end_ns: timeline.end_ns,
        }
    }

    /// The due time of the next request; `None` after the end.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        // Computed from the count, not added up: an interval that is not a whole number of nanoseconds must not drift.
        let number = self.passed * self.connections + self.connection;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "exact below 2^53 requests and nanoseconds, which is months"
        )]
        let due_ns = self.start_ns + (number as f64 / self.rate * NS_PER_S) as u64;
        (due_ns < self.end_ns).then_some(due_ns)
    }

    /// Drops the requests that are due before this time.
    fn skip_to(&mut self, from_ns: u64) {
        if self.next_ns().is_none_or(|due_ns| due_ns >= from_ns) {
            return;
        }
        // Computed, not counted: at a billion requests per second, a count up would take as long as the run.
        let elapsed_ns = from_ns.saturating_sub(self.start_ns);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "exact below 2^53 requests and nanoseconds, which is months"
        )]
        let number = (elapsed_ns as f64 / NS_PER_S * self.rate) as u64;
        // The division may round up; starting two before it, the loop finds the exact number.
        let passed = (number.saturating_sub(self.connection) / self.connections.max(1)).saturating_sub(2);
        self.passed = self.passed.max(passed);
        while self.next_ns().is_some_and(|due_ns| due_ns < from_ns) {
            self.passed += 1;
        }
    }

    /// Drops the rest of the warm-up once it is over. Otherwise, far above the target's capacity, the whole measurement
    /// would be spent on requests that were due in the warm-up.
    fn end_warmup(&mut self, now_ns: u64) {
        if now_ns >= self.measure_ns {
            self.skip_to(self.measure_ns);
        }
    }

    /// Takes the next request if it is due.
    fn take(&mut self, now_ns: u64) -> Option<u64> {
        self.end_warmup(now_ns);
        let due_ns = self.next_ns().filter(|due_ns| *due_ns <= now_ns)?;
        self.passed += 1;
        Some(due_ns)
    }
}

impl Pace {
    /// The due time of a request that can be sent now; `None` if there is none.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<u64> {
        match self {
            Self::Closed => Some(now_ns),
            Self::Open(schedule) => schedule.take(now_ns),
        }
    }

    /// The due time of the next request; `None` in a closed loop.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        match self {
            Self::Closed => None,
            Self::Open(schedule) => schedule.next_ns(),
        }
    }

    /// Drops the requests that are due by now; returns the number of those that were due after the warm-up.
    pub(crate) fn drop_due(&mut self, now_ns: u64) -> u64 {
        let Self::Open(schedule) = self else { return 0 };
        let until_ns = now_ns.saturating_add(1).min(schedule.end_ns);
        schedule.skip_to(until_ns.min(schedule.measure_ns));
        let passed = schedule.passed;
        schedule.skip_to(until_ns);
        schedule.passed - passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn schedule(rate: f64, connections: u64, connection: u64, start_ns: u64, warmup_ns: u64) -> Schedule {
        let timeline = Timeline {
            start_ns,
            measure_ns: start_ns + warmup_ns,
            end_ns: start_ns + warmup_ns + SECOND_NS,
        };
        Schedule::new(rate, connections, connection, timeline)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times within a second or two"
    )]
    fn expected(rate: f64, start_ns: u64, end_ns: u64) -> Vec<u64> {
        (0..4_000_u32)
            .map(|number| start_ns + (f64::from(number) / rate * 1e9) as u64)
            .take_while(|due_ns| *due_ns < end_ns)
            .collect()
    }

    const RATES: [(f64, u64); 7] = [
        (1_000.0, 1),
        (1_000.0, 4),
        (7.0, 3),
        (3.0, 8),
        (0.5, 2),
        (999.9, 7),
        (1.0 / 3.0, 1),
    ];

    #[test]
    fn connections_together_are_evenly_spaced() {
        for (rate, connections) in RATES {
            let mut times = Vec::new();
            for connection in 0..connections {
                let mut pace = Pace::Open(schedule(rate, connections, connection, 5, 0));
                times.extend(std::iter::from_fn(|| pace.take(u64::MAX)));
            }
            times.sort_unstable();
            assert_eq!(
                times,
                expected(rate, 5, 5 + SECOND_NS),
                "{rate} over {connections}"
            );
        }
    }

    #[test]
    fn nothing_is_due_early_and_nothing_is_forgotten() {
        let mut pace = Pace::Open(schedule(1_000.0, 1, 0, 0, 0));
        assert_eq!(pace.take(0), Some(0));
        assert_eq!(pace.take(999_999), None);
        assert_eq!(pace.next_ns(), Some(1_000_000));
        // Late by four intervals: each keeps its own due time.
        let late: Vec<u64> = std::iter::from_fn(|| pace.take(4_500_000)).collect();
        assert_eq!(late, [1_000_000, 2_000_000, 3_000_000, 4_000_000]);
    }

    #[test]
    fn the_rest_of_the_warm_up_is_dropped_at_its_end() {
        for (rate, connections) in RATES {
            let mut times = Vec::new();
            for connection in 0..connections {
                let mut pace = Pace::Open(schedule(rate, connections, connection, 5, SECOND_NS));
                // In the warm-up everything is sent in its turn, however late.
                let first = pace.take(SECOND_NS);
                assert!(first.is_none_or(|due_ns| due_ns < 5 + SECOND_NS), "{first:?}");
                times.extend(std::iter::from_fn(|| pace.take(u64::MAX)));
            }
            times.sort_unstable();
            let measured: Vec<u64> = expected(rate, 5, 5 + 2 * SECOND_NS)
                .into_iter()
                .filter(|due_ns| *due_ns >= 5 + SECOND_NS)
                .collect();
            assert_eq!(times, measured, "{rate} over {connections}");
        }
    }

    #[test]
    fn dropped_requests_are_counted_after_the_warm_up_alone() {
        for (rate, connections) in RATES {
            for until_ns in [
                0,
                4,
                5,
                17_000_000,
                SECOND_NS + 4,
                SECOND_NS + 5,
                1_500_000_000,
                u64::MAX,
            ] {
                let mut dropped = 0;
                for connection in 0..connections {
                    let mut pace = Pace::Open(schedule(rate, connections, connection, 5, SECOND_NS));
                    dropped += pace.drop_due(until_ns);
                    assert!(pace.next_ns().is_none_or(|due_ns| due_ns > until_ns));
                    assert_eq!(pace.drop_due(until_ns), 0);
                }
                let measured = expected(rate, 5, 5 + 2 * SECOND_NS)
                    .into_iter()
                    .filter(|due_ns| (5 + SECOND_NS..=until_ns).contains(due_ns));
                assert_eq!(
                    dropped,
                    measured.count() as u64,
                    "{rate} over {connections} until {until_ns}"
                );
            }
        }
    }

    #[test]
    fn the_highest_rate_is_dropped_at_once() {
        let mut pace = Pace::Open(schedule(1e9, 1, 0, 0, SECOND_NS));
        assert_eq!(pace.drop_due(u64::MAX), SECOND_NS);
        assert_eq!(pace.next_ns(), None);
        assert_eq!(Pace::Closed.drop_due(u64::MAX), 0);
    }

    #[test]
    fn a_closed_loop_is_always_due() {
        assert_eq!(Pace::Closed.take(17), Some(17));
        assert_eq!(Pace::Closed.next_ns(), None);
    }
}
