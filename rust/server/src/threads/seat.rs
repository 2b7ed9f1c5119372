//! The place of one connection on its thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::worker::Worker;

/// The place of one connection on its thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    worker: Arc<Worker>,
    connection: Arc<Connection>,
}

/// A connection, as its thread knows it.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// True if the client speaks HTTP/2, so that it can be told to go elsewhere; unset until it has sent something.
    is_http2: OnceLock<Arc<AtomicBool>>,
    leave: Notify,
    was_asked: AtomicBool,
}

impl Connection {
    /// Asks the client to connect anew; false for one that cannot be asked, or was asked before and has streams that last.
    pub(super) fn ask_to_leave(&self) -> bool {
        // Relaxed: it publishes nothing else.
        let is_http2 = self
            .is_http2
            .get()
            .is_some_and(|is_http2| is_http2.load(Ordering::Relaxed));
        let is_asked = is_http2 && !self.was_asked.swap(true, Ordering::Relaxed);
        if is_asked {
            self.leave.notify_one();
        }
        is_asked
    }
}

impl Seat {
    /// The next place on a thread.
    pub(super) fn on(worker: &Arc<Worker>) -> Self {
        let connection = Arc::<Connection>::default();
        worker.add(&connection);
        Self {
            worker: Arc::clone(worker),
            connection,
        }
    }

    /// Serves the connection of this seat on its thread; `serve` keeps the seat for as long as that takes.
    pub(crate) fn serve<F>(self, serve: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let worker = Arc::clone(&self.worker);
        worker.spawn(serve(self));
    }

    /// Runs something on the thread of this seat.
    #[cfg(test)]
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.worker.spawn(work);
    }

    /// Sets the flag that is true once the client speaks HTTP/2.
    pub(crate) fn set_http2(&self, is_http2: Arc<AtomicBool>) {
        // It is set once.
        let _ = self.connection.is_http2.set(is_http2);
    }

    /// Ready if the client is to be told to connect anew, because its thread is busy.
    pub(crate) async fn leaving(&self) {
        self.connection.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.remove(&self.connection);
    }
}
