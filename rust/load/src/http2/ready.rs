//! Places whose answers have news: one waker for each place, made once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The places with news, in the order of the news.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<Vec<usize>>);

/// The side of one place that `h2` wakes.
#[derive(Debug)]
pub(super) struct Bell {
    place: usize,
    /// True if it is listed already: an answer's head, message and end often arrive together.
    is_listed: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    /// The bell of a place.
    pub(super) fn bell(self: &Arc<Self>, place: usize) -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell {
            place,
            is_listed: AtomicBool::new(false),
            ready: Arc::clone(self),
        });
        (Arc::clone(&bell), Waker::from(bell))
    }

    /// Moves the list into an empty one.
    pub(super) fn take_into(&self, empty: &mut Vec<usize>) {
        std::mem::swap(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), empty);
    }
}

impl Bell {
    /// Lets the place be listed again; called before its news are looked at.
    pub(super) fn heard(&self) {
        // Relaxed, as in `wake_by_ref`: the list itself is behind a lock.
        self.is_listed.store(false, Ordering::Relaxed);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_listed.swap(true, Ordering::Relaxed) {
            let mut list = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner);
            list.push(self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_listed_once_until_it_is_heard() {
        let ready = Arc::new(Ready::default());
        let ((one, wakes_one), (_two, wakes_two)) = (ready.bell(1), ready.bell(2));
        let taken = || {
            let mut list = Vec::new();
            ready.take_into(&mut list);
            list
        };
        wakes_two.wake_by_ref();
        wakes_one.wake_by_ref();
        wakes_two.wake_by_ref();
        assert_eq!(taken(), [2, 1]);
        wakes_one.wake_by_ref();
        assert!(taken().is_empty());
        one.heard();
        wakes_one.wake();
        assert_eq!(taken(), [1]);
    }
}
