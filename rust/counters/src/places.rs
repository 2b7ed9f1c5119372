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
pub(crate) use threads::{any_note, are_used, own};

/// The places of all threads.
#[cfg(not(loom))]
mod threads {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::sync::{Mutex, MutexGuard, TryLockError};

    use super::Place;
    use crate::atomic::{has_heavy_barrier, yield_now};

    /// The places of the process. Nobody waits for the lock: in a forked child it may be held by a thread of the parent, for
    /// ever.
    static PLACES: Mutex<Places> = Mutex::new(Places {
        all: Vec::new(),
        free: Vec::new(),
    });

    /// The state of the barrier that places need: one of the three below.
    static ARE_USED: AtomicU8 = AtomicU8::new(UNKNOWN);
    const UNKNOWN: u8 = 0;
    const USED: u8 = 1;
    const UNUSED: u8 = 2;

    /// Attempts of a call to lock the places; without one it is counted in another way.
    const FEW: usize = 16;
    /// Attempts of others to lock the places.
    const MANY: usize = 1_000;

    struct Places {
        all: Vec<&'static Place>,
        /// Those of threads that have ended.
        free: Vec<&'static Place>,
    }

    /// A place, for as long as its thread lasts; `None` until it has got one.
    struct Lease(Cell<Option<&'static Place>>);

    impl Lease {
        #[cold]
        fn take(&self) -> Option<&'static Place> {
            if !are_used() {
                return None;
            }
            let mut places = try_lock(FEW)?;
            let place = places.free.pop().unwrap_or_else(|| {
                let new: &Place = Box::leak(Box::new(Place::new()));
                places.all.push(new);
                new
            });
            self.0.set(Some(place));
            Some(place)
        }
    }

    impl Drop for Lease {
        fn drop(&mut self) {
            // With a note, a call lasts beyond its thread: the place is lost, so that the note stays true.
            let Some(place) = self.0.take().filter(|place| place.note() == 0) else {
                return;
            };
            if let Some(mut places) = try_lock(MANY) {
                places.free.push(place);
            }
        }
    }

    thread_local! {
        static OWN: Lease = const { Lease(Cell::new(None)) };
    }

    /// Returns true if there are places, and prepares for them: the first time may take milliseconds.
    pub(crate) fn are_used() -> bool {
        // Relaxed, in both: whoever finds nothing finds the same out once more, which does no harm.
        match ARE_USED.load(Ordering::Relaxed) {
            UNKNOWN => {
                let has_barrier = has_heavy_barrier();
                ARE_USED.store(if has_barrier { USED } else { UNUSED }, Ordering::Relaxed);
                has_barrier
            }
            known => known == USED,
        }
    }

    /// Returns the place of this thread; `None` if it can get none now.
    #[inline]
    pub(crate) fn own() -> Option<&'static Place> {
        OWN.try_with(|lease| lease.0.get().or_else(|| lease.take()))
            .ok()
            .flatten()
    }

    /// True if a thread has a note that `is_meant`, or if that cannot be known now.
    pub(crate) fn any_note(is_meant: impl Fn(u64) -> bool) -> bool {
        try_lock(MANY).is_none_or(|places| places.all.iter().any(|place| is_meant(place.note())))
    }

    fn try_lock(attempts: usize) -> Option<MutexGuard<'static, Places>> {
        for _ in 0..attempts {
            match PLACES.try_lock() {
                Ok(places) => return Some(places),
                // No holder panics but for want of memory, and then both lists are as they were.
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => yield_now(),
            }
        }
        None
    }

    #[cfg(test)]
    mod tests {
        use std::thread;

        use super::*;

        #[test]
        fn places_are_no_more_than_threads_at_one_time() {
            if !are_used() {
                return;
            }
            let own_number = || std::ptr::from_ref(own().unwrap()) as usize;
            assert_eq!(own_number(), own_number());
            assert_eq!(own_number() % 128, 0);
            let others = || try_lock(MANY).unwrap().all.len();
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
