//! The numbers of calls that can change shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callgate_counters::{Counters, Opener};

/// The numbers of the calls of one process: each is higher than all before, over all policies, and stands in the file of counters
/// before the call is sent. So a file whose number is lower than one that the store has seen is an old copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallNumbers {
    process: u128,
    last: Arc<AtomicU64>,
}

impl CallNumbers {
    /// Nothing was said by the process with this name.
    pub(crate) fn new(process: u128) -> Self {
        Self {
            process,
            last: Arc::default(),
        }
    }

    /// Names the process and its last number in the file.
    pub(crate) fn note(&self, counters: &Counters) {
        counters.set_opener(&Opener {
            name: self.process,
            // One thread speaks for a process.
            said: self.last.load(Ordering::Relaxed),
        });
    }

    /// The number of the next call.
    pub(super) fn next(&self, counters: &Counters) -> u64 {
        let said = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.note(counters);
        said
    }
}
