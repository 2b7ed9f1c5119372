//! Units that a node has counted alone so far, and that go to the store.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::{Ask, Shared, SharedPolicy};
use crate::{CountKey, CountShape, Micros};

/// A count, and units that go to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroughtCount {
    /// Its identity at the store.
    pub key: CountKey,
    /// Its shape.
    pub shape: CountShape,
    /// The units, each with the microseconds until they expire.
    pub units: Vec<(u64, Micros)>,
}

/// The numbers of counts of an ask that were added, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Counts whose units were added.
    pub added: usize,
    /// Counts whose units were added before, from the same source.
    pub known: usize,
}

/// Units that did not all come to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BringError {
    /// The store could not be asked.
    #[error("the store of shared counters cannot be reached, so they were not moved")]
    Away,
    /// The store was asked, and did not answer.
    #[error(
        "the store of shared counters was asked and gave no answer, so it is not known which were moved; run the command again, \
         which moves none twice"
    )]
    Unanswered,
}

/// Counts of one policy whose units go to the store.
pub struct BringAsk {
    /// The policy.
    pub policy: Arc<SharedPolicy>,
    /// A word for where the units were counted: those of one source are added once.
    pub source: String,
    /// The counts that are left.
    pub counts: Vec<BroughtCount>,
    /// The outcome of the others.
    pub brought: Brought,
    answer: mpsc::Sender<Result<Brought, BringError>>,
}

impl BringAsk {
    /// Says what has become of it.
    pub fn answer(self, outcome: Result<Brought, BringError>) {
        // Who waits no more knows that it is not known.
        let _ = self.answer.send(outcome);
    }

    /// Says that the store cannot be asked; what was added before was added.
    pub fn refuse(self) {
        let error = if self.brought == Brought::default() {
            BringError::Away
        } else {
            BringError::Unanswered
        };
        self.answer(Err(error));
    }
}

impl Shared {
    /// Adds units to shared counts of a policy that `source` has counted so far, each count once. Blocks, at most for this time.
    pub fn bring(
        &self,
        policy: &Arc<SharedPolicy>,
        source: &str,
        counts: Vec<BroughtCount>,
        patience: Duration,
    ) -> Result<Brought, BringError> {
        let (answer, answered) = mpsc::channel();
        self.ask(Ask::Bring(BringAsk {
            policy: Arc::clone(policy),
            source: source.to_owned(),
            counts,
            brought: Brought::default(),
            answer,
        }));
        answered
            .recv_timeout(patience)
            .unwrap_or(Err(BringError::Unanswered))
    }
}

impl fmt::Debug for BringAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BringAsk")
            .field("policy", &self.policy.name)
            .field("source", &self.source)
            .field("counts", &self.counts.len())
            .finish_non_exhaustive()
    }
}
