//! One way to the store: an open connection, or the pause before the next attempt (a circuit breaker).

use std::time::Duration;

use tokio::time::Instant;

use crate::error::SharedError;
use crate::link::Link;
use crate::route::Route;

/// The shortest and the longest pause before the next attempt to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The time without an answer after which the shard of a policy is looked at again. In a shorter time no master becomes a
/// replica and a master again, having lost what its replacement did not know.
const UNUSED: Duration = Duration::from_secs(1);

/// One way to the store.
pub(crate) struct Way {
    /// `None` while it connects.
    route: Option<Route>,
    link: Option<Link>,
    pause: Duration,
    retry_at: Instant,
    answered_at: Instant,
    /// The reason why there is no connection; `None` while there is one that works.
    fault: Option<SharedError>,
    /// True if the last failure was that of a call: then a connection alone shows nothing.
    has_call_failed: bool,
}

impl Way {
    /// The next thing to do is to connect.
    pub(crate) fn new(route: Route) -> Self {
        Self {
            route: Some(route),
            link: None,
            pause: PAUSES.0,
            retry_at: Instant::now(),
            answered_at: Instant::now(),
            fault: None,
            has_call_failed: false,
        }
    }

    pub(crate) const fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    pub(crate) const fn fault(&self) -> Option<&SharedError> {
        self.fault.as_ref()
    }

    /// The route, if it is time to connect; [`Self::connected`] gives it back.
    pub(crate) fn begin(&mut self) -> Option<Route> {
        let is_due = self.link.is_none() && Instant::now() >= self.retry_at;
        is_due.then(|| self.route.take()).flatten()
    }

    /// The moment of the next attempt, if there is a pause.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        (self.link.is_none() && self.route.is_some()).then_some(self.retry_at)
    }

    /// The end of an attempt.
    pub(crate) fn connected(&mut self, route: Route, link: Result<Link, SharedError>) {
        self.route = Some(route);
        match link {
            Ok(link) => {
                self.link = Some(link);
                self.answered_at = Instant::now();
                if !self.has_call_failed {
                    self.fault = None;
                }
            }
            Err(error) => {
                self.has_call_failed = false;
                self.failed(error);
            }
        }
    }

    /// A call was answered.
    pub(crate) fn worked(&mut self) {
        self.pause = PAUSES.0;
        self.answered_at = Instant::now();
        self.fault = None;
        self.has_call_failed = false;
    }

    /// A call failed: the next attempt is a new connection, after a pause.
    pub(crate) fn call_failed(&mut self, error: SharedError) {
        self.has_call_failed = true;
        self.failed(error);
    }

    /// Connects anew at once: the server may have another identity by now.
    pub(crate) fn renew(&mut self) {
        self.close();
        self.retry_at = Instant::now();
    }

    /// True if the server must be looked at again before it is asked: another policy has found that this connection does
    /// not serve, or a shard that is to be asked was not for a while, and may have changed its master twice.
    pub(crate) fn is_stale(&self, is_due: bool) -> bool {
        let is_shard = matches!(self.route, Some(Route::Cluster(_)));
        let is_unused = is_shard && is_due && self.answered_at.elapsed() >= UNUSED;
        self.link
            .as_ref()
            .is_some_and(|link| link.is_given_up() || is_unused)
    }

    /// Looks at the server again, over the same connection if that still works.
    pub(crate) fn look_again(&mut self) {
        self.link = None;
        self.retry_at = Instant::now();
    }

    fn failed(&mut self, error: SharedError) {
        self.close();
        self.retry_at = Instant::now() + self.pause + jitter(self.pause);
        self.pause = (2 * self.pause).min(PAUSES.1);
        self.fault = Some(error);
    }

    fn close(&mut self) {
        if let Some(link) = self.link.take() {
            link.give_up();
        }
    }
}

/// Up to half of a pause, so that nodes that lost the store together do not come back together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    let _ = getrandom::fill(&mut byte);
    pause * u32::from(byte[0]) / 512
}
