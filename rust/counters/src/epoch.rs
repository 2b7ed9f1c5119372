//! Epochs: how the store learns that no call can be reading a block any more.
//!
//! Calls find and use cells without a lock, so a block whose counters are gone may not serve another layout while a
//! call that found one of them is still at work. Each call therefore holds the epoch in which it began. When blocks
//! are taken out of use a new epoch begins; once everybody has let go of the ended one, every call that could have
//! found those blocks has returned.

#[cfg(loom)]
use loom::sync::{Arc, Mutex};
#[cfg(not(loom))]
use std::sync::Arc;

#[cfg(not(loom))]
use arc_swap::{ArcSwap, Guard};

#[cfg(not(loom))]
type Current = ArcSwap<()>;
#[cfg(loom)]
type Current = Mutex<Arc<()>>;

#[cfg(not(loom))]
type Share = Guard<Arc<()>>;
#[cfg(loom)]
type Share = Arc<()>;

/// The epoch that lasts now.
#[derive(Debug)]
pub(crate) struct Epochs {
    current: Current,
}

/// A call's share of the epoch in which it began. As long as it is held, no block that the call can find serves another
/// layout.
#[derive(Debug)]
pub(crate) struct Reading {
    _epoch: Share,
}

/// An epoch that has ended. Calls that began in it may still be at work.
#[derive(Debug)]
pub(crate) struct EndedEpoch(Arc<()>);

impl Epochs {
    /// The first epoch.
    pub(crate) fn new() -> Self {
        Self {
            current: Current::new(Arc::new(())),
        }
    }

    /// A share of the epoch that lasts.
    #[inline]
    pub(crate) fn read(&self) -> Reading {
        #[cfg(not(loom))]
        let epoch = self.current.load();
        #[cfg(loom)]
        let epoch = Arc::clone(&self.current.lock().unwrap());
        Reading { _epoch: epoch }
    }

    /// Ends the epoch and begins another.
    pub(crate) fn turn(&self) -> EndedEpoch {
        let next = Arc::new(());
        #[cfg(not(loom))]
        let ended = self.current.swap(next);
        #[cfg(loom)]
        let ended = std::mem::replace(&mut *self.current.lock().unwrap(), next);
        EndedEpoch(ended)
    }
}

impl EndedEpoch {
    /// True once every call that began in it has returned. An ended epoch gets no further shares.
    pub(crate) fn is_over(&mut self) -> bool {
        // What holders did before they let go is acquired by `get_mut`, or, of holders that let go before the epoch ended, was
        // acquired by the swap that ended it: it looks through all debts of `ArcSwap`, in one order with their holders.
        Arc::get_mut(&mut self.0).is_some()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_over_when_its_last_share_is_dropped() {
        let epochs = Epochs::new();
        let (first, second) = (epochs.read(), epochs.read());
        let mut ended = epochs.turn();
        let later = epochs.read();
        drop(first);
        assert!(!ended.is_over());
        drop(second);
        assert!(ended.is_over(), "shares of the new epoch do not count");
        drop(later);
        assert!(epochs.turn().is_over(), "nobody has a share");
    }
}
