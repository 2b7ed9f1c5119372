//! Due times of requests.

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
    /// Nothing is due at or after this time.
    end_ns: u64,
}

impl Schedule {
    pub(crate) const fn new(
        rate: f64,
        connections: u64,
        connection: u64,
        start_ns: u64,
        end_ns: u64,
    ) -> Self {
        Self {
            rate,
            connections,
            connection,
            passed: 0,
            start_ns,
            end_ns,
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

    /// Takes the next request if it is due.
    fn take(&mut self, now_ns: u64) -> Option<u64> {
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

    /// Passes to `missed` the due time of each request that was due by now and could not be sent.
    pub(crate) fn missed(&mut self, now_ns: u64, mut missed: impl FnMut(u64)) {
        if let Self::Open(schedule) = self {
            while let Some(due_ns) = schedule.take(now_ns) {
                missed(due_ns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn times(rate: f64, connections: u64) -> Vec<u64> {
        let mut all = Vec::new();
        for connection in 0..connections {
            let mut pace = Pace::Open(Schedule::new(rate, connections, connection, 5, 5 + SECOND_NS));
            pace.missed(u64::MAX, |due_ns| all.push(due_ns));
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn connections_together_are_evenly_spaced() {
        for (rate, connections) in [(1_000.0, 1), (1_000.0, 4), (7.0, 3), (3.0, 8), (0.5, 2)] {
            let times = times(rate, connections);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "times within a second or two"
            )]
            let due_ns = |number: u32| 5 + (f64::from(number) / rate * 1e9) as u64;
            let expected: Vec<u64> = (0..2_000)
                .map(due_ns)
                .take_while(|due_ns| *due_ns < 5 + SECOND_NS)
                .collect();
            assert_eq!(times, expected, "{rate} over {connections}");
        }
    }

    #[test]
    fn nothing_is_due_early_and_nothing_is_forgotten() {
        let mut pace = Pace::Open(Schedule::new(1_000.0, 1, 0, 0, SECOND_NS));
        assert_eq!(pace.take(0), Some(0));
        assert_eq!(pace.take(999_999), None);
        assert_eq!(pace.next_ns(), Some(1_000_000));
        // Late by four intervals: each keeps its own due time.
        let late: Vec<u64> = std::iter::from_fn(|| pace.take(4_500_000)).collect();
        assert_eq!(late, [1_000_000, 2_000_000, 3_000_000, 4_000_000]);
    }

    #[test]
    fn a_closed_loop_is_always_due() {
        assert_eq!(Pace::Closed.take(17), Some(17));
        assert_eq!(Pace::Closed.next_ns(), None);
    }
}
