//! The buckets that draw on each count, over all streams: so that one Envoy leaves the others their part.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_counters::CountKey;
use std::collections::HashMap;

/// The numbers of buckets by count.
#[derive(Debug, Default)]
pub(super) struct Interests {
    by_count: Mutex<HashMap<CountKey, Numbers>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    /// Buckets that draw on the count.
    buckets: u64,
    /// Those of them that got fewer tokens than they want.
    waiting: u64,
}

/// The interest of one bucket in its counts.
#[derive(Debug)]
pub(super) struct Interest {
    interests: Arc<Interests>,
    keys: Vec<CountKey>,
    is_waiting: bool,
}

impl Interests {
    fn lock(&self) -> MutexGuard<'_, HashMap<CountKey, Numbers>> {
        // A panic while it was held leaves numbers that are a little off.
        self.by_count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of counts that buckets draw on.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Interest {
    /// A bucket begins to draw on these counts.
    pub(super) fn new(interests: &Arc<Interests>, keys: Vec<CountKey>) -> Self {
        let mut by_count = interests.lock();
        for key in &keys {
            by_count.entry(*key).or_default().buckets += 1;
        }
        drop(by_count);
        Self {
            interests: Arc::clone(interests),
            keys,
            is_waiting: false,
        }
    }

    pub(super) fn keys(&self) -> &[CountKey] {
        &self.keys
    }

    /// Notes whether this bucket got fewer tokens than it wants.
    pub(super) fn wait(&mut self, is_waiting: bool) {
        if self.is_waiting == is_waiting {
            return;
        }
        self.is_waiting = is_waiting;
        let mut by_count = self.interests.lock();
        for key in &self.keys {
            let waiting = &mut by_count.entry(*key).or_default().waiting;
            *waiting = if is_waiting {
                *waiting + 1
            } else {
                waiting.saturating_sub(1)
            };
        }
    }

    /// The number of buckets that share the most wanted of the counts, this one included.
    pub(super) fn buckets(&self) -> u64 {
        let by_count = self.interests.lock();
        let numbers = self.keys.iter().filter_map(|key| by_count.get(key));
        numbers.map(|numbers| numbers.buckets).max().unwrap_or(1).max(1)
    }

    /// True if another bucket waits for tokens of one of the counts.
    pub(super) fn others_wait(&self) -> bool {
        let by_count = self.interests.lock();
        let mut numbers = self.keys.iter().filter_map(|key| by_count.get(key));
        numbers.any(|numbers| numbers.waiting > u64::from(self.is_waiting))
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.wait(false);
        let mut by_count = self.interests.lock();
        for key in &self.keys {
            if let Some(numbers) = by_count.get_mut(key) {
                numbers.buckets = numbers.buckets.saturating_sub(1);
                if numbers.buckets == 0 {
                    by_count.remove(key);
                }
            }
        }
    }
}
