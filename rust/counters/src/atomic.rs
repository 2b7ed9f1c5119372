//! The atomics of the counters: the standard library's, or loom's where a model is checked.

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering, fence},
    thread::yield_now,
};
#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering, fence},
    thread::yield_now,
};

#[cfg(not(loom))]
pub(crate) use callgate_mapped::{Words, prefetch};

/// A model has no cache lines.
#[cfg(loom)]
pub(crate) const fn prefetch<T>(_place: &T) {}

/// Stands between a `SeqCst` write and the `SeqCst` read of another word, where two threads each write one and read
/// the other and at least one of them must see the other's write.
///
/// The standard gives that by the total order of `SeqCst` accesses, so nothing is needed. loom treats such accesses
/// as `AcqRel` and knows the total order of fences alone, so there it is a fence.
pub(crate) fn agree() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
    stall();
}

/// Stands where a thread that is held up meets what others did meanwhile: between a read and the compare-and-swap that
/// relies on it, or between two writes. Tests of contention stall there; otherwise it is nothing.
#[inline]
pub(crate) fn stall() {
    #[cfg(all(test, not(loom)))]
    crate::stall_tests::stall();
}

/// Stands between a note that this thread writes and what it reads afterwards: with [`heavy_barrier`] in another thread,
/// which stands between a write there and the reading of the note, at least one of the two sees the other's write.
///
/// It keeps the compiler from changing the order. The processor is kept from it by the other side.
#[inline]
pub(crate) fn light_barrier() {
    #[cfg(not(loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// The other side of [`light_barrier`]: a full barrier in every thread of the process. Returns false if there was none.
///
/// Takes some microseconds.
pub(crate) fn heavy_barrier() -> bool {
    #[cfg(loom)]
    {
        loom::sync::atomic::fence(Ordering::SeqCst);
        true
    }
    #[cfg(all(not(loom), target_os = "linux"))]
    {
        // The call is a full barrier here as well, and no compiler moves an access over it.
        rustix::thread::membarrier(rustix::thread::MembarrierCommand::PrivateExpedited).is_ok()
    }
    #[cfg(all(not(loom), not(target_os = "linux")))]
    {
        // Nothing relies on it: see `has_heavy_barrier`.
        true
    }
}

/// Returns true if [`heavy_barrier`] can be used in this process, and prepares for it.
#[cfg(not(loom))]
pub(crate) fn has_heavy_barrier() -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{MembarrierCommand, membarrier};
        // Tried, and not only asked for: a sandbox may answer one and forbid the other.
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok() && heavy_barrier()
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// A zeroed run of words.
pub(crate) fn zeroed(words: usize) -> Box<[AtomicU64]> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

/// Atomic words on the heap, with the methods of `callgate_mapped::Words`.
#[cfg(loom)]
#[derive(Clone, Debug)]
pub(crate) struct Words(std::sync::Arc<[AtomicU64]>);

#[cfg(loom)]
impl Words {
    /// A zeroed run.
    pub(crate) fn zeroed(words: usize) -> Self {
        Self(zeroed(words).into())
    }

    /// A model has no pages.
    pub(crate) fn zeroed_in_huge_pages(words: usize) -> Self {
        Self::zeroed(words)
    }

    /// A part is a copy, so no model makes as many blocks as have one.
    pub(crate) fn part(&self, first: usize, len: usize) -> Option<Self> {
        let end = first.checked_add(len)?;
        (end <= self.len()).then(|| Self::zeroed(len))
    }

    /// Zeroes the words.
    pub(crate) fn clear(&self) {
        self.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// The same.
    pub(crate) fn release_pages(&self) {
        self.clear();
    }
}

#[cfg(loom)]
impl std::ops::Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}
