//! The pace of what calls tell the worker without waiting: once in a while for each count.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::index::low;
use crate::{CountKey, Now};

/// Places for counts; two that have the same place share its pace.
const PLACES: usize = 1 << 10;
/// Time between two messages of one place.
const PAUSE_US: u64 = 10_000;

/// The boot time of the last message of each place.
#[derive(Debug)]
pub(super) struct Early(Box<[AtomicU64]>);

impl Default for Early {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Early {
    /// True if a message about this count may be sent now.
    pub(super) fn admits(&self, key: CountKey, now: Now) -> bool {
        let index = usize::try_from(low(key)).unwrap_or(0) % PLACES;
        let Some(place) = self.0.get(index) else {
            return false;
        };
        let (last, now_us) = (place.load(Ordering::Relaxed), now.look_us());
        // Of several threads one sends.
        (last == 0 || now_us >= last.saturating_add(PAUSE_US))
            && place
                .compare_exchange(last, now_us.max(1), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
