//! Places of threads: where a thread notes that it reads, so that whoever frees memory can see it.
//!
//! A call writes its note and reads the index at once, with no barrier of its own: the barrier between the two is made
//! for it, in every thread of the process, by the one who frees (`membarrier`, once in a while). Of the note and what
//! the one who frees has removed before, at least one is seen by the other. Where the system has no such barrier there
//! are no places, and calls are counted in another way (`epoch`).
//!
//! A thread has one place, of 128 bytes, which the next thread takes over when it ends. So there are as many places as
//! there ever were threads with calls at one time, however many come and go.

use crate::atomic::{AtomicU64, Ordering, heavy_barrier, light_barrier};

/// The note of one thread. A line and its neighbour, which processors fetch together, belong to it alone.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Place {
    /// The note: 0 if the thread reads nothing.
    note: AtomicU64,
}

impl Place {
    /// A place with no note.
    pub(crate) fn new() -> Self {
        Self {
            note: AtomicU64::new(0),
        }
    }

    /// Writes a note, which is not 0. Returns false if there is one already: a call of this thread that began a call.
    #[inline]
    pub(crate) fn enter(&self, note: u64) -> bool {
        // Relaxed: written by this thread alone.
        if self.note.load(Ordering::Relaxed) != 0 {
            return false;
        }
        // Release: whoever sees this note instead of an older one sees what the older call did, as with `leave`.
        self.note.store(note, Ordering::Release);
        light_barrier();
        true
    }

    /// Removes the note.
    #[inline]
    pub(crate) fn leave(&self) {
        // Release: whoever sees that the note is gone sees what the call did.
        self.note.store(0, Ordering::Release);
    }

    /// Returns the note, 0 if there is none. To be asked after a [`heavy_barrier`].
    pub(crate) fn note(&self) -> u64 {
        self.note.load(Ordering::Acquire)
    }
}

/// Makes every thread of the process see what was written before, and every note that is not seen after this come
/// before no read of what was written. False if that failed; then no note that is absent proves anything.
pub(crate) fn settle() -> bool {
    heavy_barrier()
}

#[cfg(not(loom))]
pub(crate) use threads::{any_note, own};

/// The places of all threads.
#[cfg(not(loom))]
mod threads {
    use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

    use super::Place;
    use crate::atomic::has_heavy_barrier;

    static PLACES: Mutex<Places> = Mutex::new(Places {
        all: Vec::new(),
        free: Vec::new(),
    });

    /// True if there are places at all.
    static ARE_USED: LazyLock<bool> = LazyLock::new(has_heavy_barrier);

    struct Places {
        all: Vec<&'static Place>,
        /// Those of threads that have ended.
        free: Vec<&'static Place>,
    }

    /// A place, for as long as its thread lasts.
    struct Lease(Option<&'static Place>);

    impl Lease {
        fn new() -> Self {
            if !*ARE_USED {
                return Self(None);
            }
            let mut places = lock();
            let place = places.free.pop().unwrap_or_else(|| {
                let new: &Place = Box::leak(Box::new(Place::new()));
                places.all.push(new);
                new
            });
            Self(Some(place))
        }
    }

    impl Drop for Lease {
        fn drop(&mut self) {
            // With a note, a call lasts beyond its thread: the place is lost, so that the note stays true.
            if let Some(place) = self.0.filter(|place| place.note() == 0) {
                lock().free.push(place);
            }
        }
    }

    thread_local! {
        static OWN: Lease = Lease::new();
    }

    /// Returns the place of this thread; `None` while the thread ends, or if there are no places.
    #[inline]
    pub(crate) fn own() -> Option<&'static Place> {
        OWN.try_with(|lease| lease.0).ok().flatten()
    }

    /// True if a thread has a note that `is_meant`.
    pub(crate) fn any_note(is_meant: impl Fn(u64) -> bool) -> bool {
        lock().all.iter().any(|place| is_meant(place.note()))
    }

    fn lock() -> MutexGuard<'static, Places> {
        // No holder panics but for want of memory, and then both lists are as they were.
        PLACES.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    mod tests {
        use std::thread;

        use super::*;

        #[test]
        fn places_are_no_more_than_threads_at_one_time() {
            if !*ARE_USED {
                return;
            }
            let own_number = || std::ptr::from_ref(own().unwrap()) as usize;
            assert_eq!(own_number(), own_number());
            assert_eq!(own_number() % 128, 0);
            let others = || lock().all.len();
            thread::spawn(own_number).join().unwrap();
            let before = others();
            for _ in 0..1_000 {
                assert_ne!(thread::spawn(own_number).join().unwrap(), own_number());
            }
            // Tests beside this one have threads as well, but not a thousand.
            assert!(others() < before + 200, "{before} {}", others());
        }

        #[test]
        fn a_note_is_seen_while_it_is_there() {
            let Some(place) = own() else { return };
            let is_mine = |note| note == u64::MAX;
            assert!(!any_note(is_mine));
            assert!(place.enter(u64::MAX) && !place.enter(1));
            assert!(any_note(is_mine));
            place.leave();
            assert!(!any_note(is_mine));
        }
    }
}
