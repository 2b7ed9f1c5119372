//! The atomics of the counters: the standard library's, or loom's where a model is checked.

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
    thread::yield_now,
};
#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
    thread::yield_now,
};

#[cfg(not(loom))]
pub(crate) use callgate_mapped::Words;

/// Stands between a `SeqCst` write and the `SeqCst` read of another word, where two threads each write one and read
/// the other and at least one of them must see the other's write.
///
/// The standard gives that by the total order of `SeqCst` accesses, so nothing is needed. loom treats such accesses
/// as `AcqRel` and knows the total order of fences alone, so there it is a fence.
pub(crate) fn agree() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
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

    /// Zeroes the words.
    pub(crate) fn release_pages(&self) {
        self.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

#[cfg(loom)]
impl std::ops::Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}
