//! Counts in parts, one for each of a few threads: those that count seldom write to the same cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts that threads share in so many parts, each with cache lines of its own.
#[derive(Debug)]
pub(super) struct Parts<T, const PARTS: usize>([Part<T>; PARTS]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Part<T>(T);

impl<T: Default, const PARTS: usize> Default for Parts<T, PARTS> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Part::default()))
    }
}

impl<T, const PARTS: usize> Parts<T, PARTS> {
    /// The part of this thread.
    pub(super) fn own(&self) -> Option<&T> {
        self.0.get(thread_number() % PARTS).map(|part| &part.0)
    }

    /// The sum of one count over all parts.
    pub(super) fn sum(&self, count: impl Fn(&T) -> Option<&AtomicU64>) -> u64 {
        let counts = self.0.iter().filter_map(|part| count(&part.0));
        // Relaxed: a count that publishes nothing else. Sums of times may pass the end of the range.
        counts.fold(0, |sum, count| sum.wrapping_add(count.load(Ordering::Relaxed)))
    }
}

/// A number of this thread, counted from the first that asked for one.
fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            // Relaxed: only the number is wanted.
            number.set(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}
