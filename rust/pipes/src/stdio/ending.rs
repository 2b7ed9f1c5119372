//! The steps by which a server is stopped: it may finish, is asked to end, and is killed.

use std::time::Duration;

use tokio::time::Instant;

/// The time that a server whose input has ended may run on while requests wait for replies.
const ANSWERING: Duration = Duration::from_secs(30);

/// The next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Terminate,
    Kill,
}

/// The current step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Running,
    /// The server's input has ended, so it should end by itself.
    Closed,
    /// The server was asked to end.
    Terminated,
    Killed,
}

/// The end of one server.
#[derive(Debug)]
pub(super) struct Ending {
    /// The time that each step may take.
    grace: Duration,
    step: Step,
    /// The time of the next step.
    due: Option<Instant>,
}

impl Ending {
    pub(super) const fn new(grace: Duration) -> Self {
        Self {
            grace,
            step: Step::Running,
            due: None,
        }
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Notes that the client's input has ended. `is_waited_for` is true if the client still waits for replies.
    pub(super) fn close(&mut self, now: Instant, is_waited_for: bool) {
        if self.step == Step::Running {
            self.step = Step::Closed;
            let patience = if is_waited_for {
                ANSWERING.max(self.grace)
            } else {
                self.grace
            };
            self.due = Some(now + patience);
        }
    }

    /// Shortens the time to the next step, because the client waits for no more replies.
    pub(super) fn hurry(&mut self, now: Instant) {
        if self.step == Step::Closed {
            let soon = now + self.grace;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
    }

    /// Notes that a signal to this process has asked the server to end.
    pub(super) fn terminated(&mut self, now: Instant) {
        if self.step < Step::Terminated {
            self.step = Step::Terminated;
            self.due = Some(now + self.grace);
        }
    }

    /// The time that was due has come.
    pub(super) fn escalate(&mut self, now: Instant) -> Option<Next> {
        match self.step {
            Step::Running => None,
            Step::Closed => {
                self.terminated(now);
                Some(Next::Terminate)
            }
            Step::Terminated | Step::Killed => {
                self.step = Step::Killed;
                self.due = None;
                Some(Next::Kill)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_millis(1_500);

    #[tokio::test]
    async fn each_step_has_its_time() {
        let begin = Instant::now();
        let mut ending = Ending::new(GRACE);
        assert_eq!((ending.due(), ending.escalate(begin)), (None, None));
        ending.close(begin, false);
        assert_eq!(ending.due(), Some(begin + GRACE));
        assert_eq!(ending.escalate(begin + GRACE), Some(Next::Terminate));
        assert_eq!(ending.due(), Some(begin + 2 * GRACE));
        assert_eq!(ending.escalate(begin + 2 * GRACE), Some(Next::Kill));
        assert_eq!(ending.due(), None);
    }

    #[tokio::test]
    async fn replies_are_waited_for_and_no_longer_than_that() {
        let begin = Instant::now();
        let mut ending = Ending::new(GRACE);
        ending.hurry(begin);
        assert_eq!(ending.due(), None, "the input goes on");
        ending.close(begin, true);
        assert_eq!(ending.due(), Some(begin + ANSWERING));
        ending.hurry(begin + GRACE);
        assert_eq!(ending.due(), Some(begin + 2 * GRACE));
        ending.hurry(begin + ANSWERING);
        assert_eq!(ending.due(), Some(begin + 2 * GRACE));
    }

    #[tokio::test]
    async fn a_signal_goes_before_the_rest() {
        let begin = Instant::now();
        let mut ending = Ending::new(GRACE);
        ending.terminated(begin);
        ending.close(begin, true);
        ending.terminated(begin + GRACE);
        assert_eq!(ending.due(), Some(begin + GRACE));
        assert_eq!(ending.escalate(begin + GRACE), Some(Next::Kill));
    }
}
