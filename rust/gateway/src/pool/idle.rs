//! Connections that nobody uses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Link;

/// The shortest time between two looks for connections whose time is over.
const PACE: Duration = Duration::from_millis(50);

/// The connections of one server that nobody uses, the last one used first.
#[derive(Debug)]
pub(super) struct Idle {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Vec<Kept>,
    /// A task closes those whose time is over.
    is_watched: bool,
}

#[derive(Debug)]
struct Kept {
    link: Link,
    until: Instant,
}

impl Idle {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            state: Mutex::default(),
        })
    }

    /// A connection of this runtime that is open as far as is known.
    pub(super) fn take(&self, now: Instant) -> Option<Link> {
        let here = Handle::try_current().ok()?.id();
        let mut state = self.state();
        while let Some(last) = state.kept.iter().rposition(|kept| kept.link.home == here) {
            let Kept { link, until } = state.kept.remove(last);
            if now < until && link.sender.is_ready() {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection that waits for a request, if there is room.
    pub(super) fn put(self: &Arc<Self>, link: Link, until: Instant) {
        let mut state = self.state();
        if state.kept.len() >= self.max {
            state.kept.retain(|kept| kept.link.sender.is_ready());
        }
        if state.kept.len() >= self.max {
            // One that another runtime has not used for long makes room for one that is in use here.
            let Some(oldest) = state.kept.iter().position(|kept| kept.link.home != link.home) else {
                return;
            };
            state.kept.remove(oldest);
        }
        state.kept.push(Kept { link, until });
        if !state.is_watched
            && let Ok(runtime) = Handle::try_current()
        {
            state.is_watched = true;
            runtime.spawn(close_in_time(Arc::downgrade(self)));
        }
    }

    /// Closes those whose time is over; gives the next end. `None` where nothing is kept, and nobody watches any more.
    fn close_old(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        state
            .kept
            .retain(|kept| now < kept.until && kept.link.sender.is_ready());
        let next = state.kept.iter().map(|kept| kept.until).min();
        state.is_watched = next.is_some();
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is done under the lock leaves a list that is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that closes connections, which ends with its runtime at the latest.
struct Watching(Weak<Idle>);

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(idle) = self.0.upgrade() {
            idle.state().is_watched = false;
        }
    }
}

/// Closes connections when their time is over, as long as there are any.
async fn close_in_time(idle: Weak<Idle>) {
    let watching = Watching(idle);
    loop {
        let now = Instant::now();
        let Some(next) = watching.0.upgrade().and_then(|idle| idle.close_old(now)) else {
            return;
        };
        tokio::time::sleep_until(next.max(now + PACE)).await;
    }
}
