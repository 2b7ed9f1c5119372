//! Waiting for the answers of people to one approval.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout_at};

use super::listener::Listener;
use super::looks::{ApprovalState, ApprovalView, Found, LookError};
use super::questions::Questions;

/// The longest time after which a state is read again without news, because news may be lost with a connection.
const RENEWAL: Duration = Duration::from_secs(30);

/// The shortest such time: the clock of who answers may be behind.
const SHORTEST: Duration = Duration::from_millis(100);

/// Pause after a reading that had no answer.
const PAUSE: Duration = Duration::from_secs(1);

/// One approval, as an enforcement point follows it.
#[derive(Debug)]
pub(crate) struct ApprovalWatch {
    questions: Arc<Questions>,
    patience: Duration,
    id: String,
    last: Option<ApprovalView>,
}

impl ApprovalWatch {
    /// Prepares to follow an approval; each reading of its state may take this long.
    pub(super) const fn new(questions: Arc<Questions>, patience: Duration, id: String) -> Self {
        Self {
            questions,
            patience,
            id,
            last: None,
        }
    }

    /// Lets each reading of the state take at least this long, for a request that waits anyway: many that begin together
    /// are answered one after the other.
    #[must_use]
    pub(crate) fn patient(mut self, at_least: Duration) -> Self {
        self.patience = self.patience.max(at_least);
        self
    }

    /// Returns true if the last state may change by an answer of people.
    pub(crate) fn is_pending(&self) -> bool {
        let last = self.last.as_ref();
        last.is_none_or(|last| last.state == ApprovalState::Pending)
    }

    /// The state, once it differs from the one that was returned before; `None` if there is no such approval.
    pub(crate) async fn next(&mut self) -> Result<Option<ApprovalView>, LookError> {
        loop {
            let Some(last) = self.last.clone() else {
                let found = self.read().await?;
                return self.keep(found);
            };
            let until = Instant::now() + renewal(&last);
            let found = match self.look(Some(last.clone()), until).await {
                Ok(Some(found)) => Ok(found),
                Ok(None) => self.read().await,
                Err(error) => Err(error),
            };
            match found {
                Ok(Found::Approval(found)) if found == last => {}
                // The state is known: a store that comes back goes on with it.
                Ok(Found::Unavailable) | Err(_) => sleep(PAUSE).await,
                Ok(found) => return self.keep(found),
            }
        }
    }

    /// The state now.
    async fn read(&self) -> Result<Found, LookError> {
        let until = Instant::now() + self.patience;
        self.look(None, until).await?.ok_or(LookError::Unavailable)
    }

    /// The answer to a look; `None` if it has not come by this moment.
    async fn look(&self, known: Option<ApprovalView>, until: Instant) -> Result<Option<Found>, LookError> {
        let (listener, found) = oneshot::channel();
        let look = (known, self.last.is_none());
        let guard = self.questions.look(&self.id, look, Listener::Task(listener))?;
        let found = timeout_at(until.into(), found).await;
        drop(guard);
        match found {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(_)) => Err(LookError::Unavailable),
            Err(_) => Ok(None),
        }
    }

    fn keep(&mut self, found: Found) -> Result<Option<ApprovalView>, LookError> {
        self.last = match found {
            Found::Approval(view) => Some(view),
            Found::Nothing => None,
            Found::Unavailable => return Err(LookError::Unavailable),
        };
        Ok(self.last.clone())
    }
}

/// The time after which a state is read again: its end, which no row of the store tells, or after a while.
fn renewal(last: &ApprovalView) -> Duration {
    let until = UNIX_EPOCH + Duration::from_micros(last.until_us);
    let left = until.duration_since(SystemTime::now()).unwrap_or_default();
    left.clamp(SHORTEST, RENEWAL)
}
