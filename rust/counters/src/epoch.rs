//! Epochs: how the store learns that no call can be reading a block any more.
//!
//! Calls find and use cells without a lock, so a block whose counters are gone may not serve another layout while a
//! call that found one of them is still at work. Each call therefore holds the epoch in which it began. When blocks
//! are taken out of use a new epoch begins; once everybody has let go of the ended one, every call that could have
//! found those blocks has returned.
//!
//! A call holds its epoch by a note in the place of its thread (`places`), which costs it two plain writes. Where that
//! cannot be, it holds a share of an `Arc`.

use std::marker::PhantomData;
#[cfg(not(loom))]
use std::sync::atomic;

#[cfg(loom)]
use loom::sync::{Arc, Mutex};
#[cfg(not(loom))]
use std::sync::Arc;

#[cfg(not(loom))]
use arc_swap::{ArcSwap, Guard};

use crate::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use crate::places;
use crate::places::{Place, settle};

#[cfg(not(loom))]
type Current = ArcSwap<()>;
#[cfg(loom)]
type Current = Mutex<Arc<()>>;

#[cfg(not(loom))]
type Share = Guard<Arc<()>>;
#[cfg(loom)]
type Share = Arc<()>;

/// Bits of a note for the number of the epoch; those above tell stores apart.
const NUMBER_BITS: u32 = 40;

/// The epoch that lasts now.
#[derive(Debug)]
pub(crate) struct Epochs {
    /// The note of a call that begins now: the store above, the number of the epoch, from 1, below.
    note: AtomicU64,
    current: Current,
}

/// A call's share of the epoch in which it began. As long as it is held, no block that the call can find serves another
/// layout.
#[derive(Debug)]
pub(crate) struct Reading(Held);

#[derive(Debug)]
enum Held {
    /// In the place of this thread, and so bound to it.
    #[cfg_attr(loom, expect(dead_code, reason = "threads of a model have no places"))]
    Noted(&'static Place, PhantomData<*const ()>),
    Shared {
        _epoch: Share,
    },
}

/// An epoch that has ended. Calls that began in it may still be at work.
#[derive(Debug)]
pub(crate) struct EndedEpoch {
    /// The note of its last calls.
    #[cfg_attr(loom, expect(dead_code, reason = "threads of a model have no places"))]
    note: u64,
    shared: Arc<()>,
    /// True once the notes of all calls that began in it can be seen.
    is_settled: bool,
}

impl Epochs {
    /// The first epoch.
    pub(crate) fn new() -> Self {
        // Now and not in the first call, which would wait for it.
        #[cfg(not(loom))]
        places::are_used();
        Self {
            note: AtomicU64::new(store_number() << NUMBER_BITS | 1),
            current: Current::new(Arc::new(())),
        }
    }

    /// A share of the epoch that lasts.
    #[inline]
    pub(crate) fn read(&self) -> Reading {
        #[cfg(not(loom))]
        {
            // Acquire: a call that notes an epoch sees what was removed before that epoch began.
            let note = self.note.load(Ordering::Acquire);
            if let Some(place) = places::own()
                && place.enter(note)
            {
                return Reading(Held::Noted(place, PhantomData));
            }
        }
        self.share()
    }

    #[cold]
    fn share(&self) -> Reading {
        #[cfg(not(loom))]
        let epoch = self.current.load();
        #[cfg(loom)]
        let epoch = Arc::clone(&self.current.lock().unwrap());
        Reading(Held::Shared { _epoch: epoch })
    }

    /// Ends the epoch and begins another.
    pub(crate) fn turn(&self) -> EndedEpoch {
        let next = Arc::new(());
        #[cfg(not(loom))]
        let shared = self.current.swap(next);
        #[cfg(loom)]
        let shared = std::mem::replace(&mut *self.current.lock().unwrap(), next);
        EndedEpoch {
            // Release: see `read`. In 2^40 epochs, of a second each, the number does not reach the store's.
            note: self.note.fetch_add(1, Ordering::AcqRel),
            shared,
            is_settled: settle(),
        }
    }
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        if let Held::Noted(place, _) = self.0 {
            place.leave();
        }
    }
}

impl EndedEpoch {
    /// True once every call that began in it has returned. An ended epoch gets no further shares.
    pub(crate) fn is_over(&mut self) -> bool {
        // What holders of shares did before they let go is acquired by `get_mut`, or, of holders that let go before the
        // epoch ended, was acquired by the swap that ended it: it looks through all debts of `ArcSwap`, in one order
        // with their holders.
        if Arc::get_mut(&mut self.shared).is_none() {
            return false;
        }
        self.is_settled = self.is_settled || settle();
        self.is_settled && !self.is_noted()
    }

    /// True if a call that began in this epoch, or in an earlier one of the store, is at work. A call that read the
    /// number of this epoch and notes it only after it was asked for finds nothing that was removed before it ended.
    fn is_noted(&self) -> bool {
        #[cfg(not(loom))]
        return places::any_note(|note| {
            note >> NUMBER_BITS == self.note >> NUMBER_BITS && note <= self.note && note != 0
        });
        #[cfg(loom)]
        false
    }
}

/// A number for a store. After 2^24 stores they repeat; two that have the same only wait for each other's calls.
fn store_number() -> u64 {
    #[cfg(not(loom))]
    {
        static NEXT: atomic::AtomicU64 = atomic::AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % (1 << (u64::BITS - NUMBER_BITS))
    }
    #[cfg(loom)]
    0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_over_when_its_last_share_is_dropped() {
        let epochs = Epochs::new();
        // The second is of a call within a call, which has no place of its own.
        let (first, second) = (epochs.read(), epochs.read());
        assert!(matches!(second.0, Held::Shared { .. }));
        let mut ended = epochs.turn();
        let later = epochs.read();
        drop(first);
        assert!(!ended.is_over());
        drop(second);
        assert!(ended.is_over(), "shares of the new epoch do not count");
        drop(later);
        assert!(epochs.turn().is_over(), "nobody has a share");
    }

    #[test]
    fn a_call_on_another_thread_holds_the_epochs_of_its_own_store_alone() {
        let (epochs, others) = (Epochs::new(), Epochs::new());
        let (begun, may_end) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let reading = epochs.read();
                begun.wait();
                may_end.wait();
                drop(reading);
                may_end.wait();
            });
            begun.wait();
            let (mut ended, mut next) = (epochs.turn(), epochs.turn());
            assert!(others.turn().is_over());
            assert!(!ended.is_over() && !next.is_over());
            may_end.wait();
            may_end.wait();
            assert!(ended.is_over() && next.is_over());
        });
    }
}
