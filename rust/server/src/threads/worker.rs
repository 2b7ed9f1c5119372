//! One thread, and the runtime that it drives.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::seat::Connection;

/// The longest wait of a thread that ends for what it does apart.
const ENDING_TIME: Duration = Duration::from_secs(1);

/// A thread that serves connections.
#[derive(Debug)]
pub(super) struct Worker {
    number: usize,
    runtime: Handle,
    /// In the order in which they came.
    connections: Mutex<Vec<Arc<Connection>>>,
    is_busy: AtomicBool,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    /// Disconnected when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// The work of a thread up to now, as its runtime counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Time at work in all.
    pub(super) busy: Duration,
    /// Beginnings and ends of pauses.
    pub(super) pauses: u64,
}

impl Progress {
    /// Returns true if the thread had nothing to do.
    pub(super) const fn is_pausing(self) -> bool {
        self.pauses % 2 == 1
    }
}

impl Worker {
    /// Starts the thread with this number.
    pub(super) fn start(number: usize) -> io::Result<Arc<Self>> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("callgate-apart")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (running, ended) = mpsc::channel::<()>();
        thread::Builder::new()
            .name(format!("callgate-data-{number}"))
            .spawn(move || {
                let _running = running;
                // A sender that is gone has stopped it, too.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_timeout(ENDING_TIME);
            })?;
        Ok(Arc::new(Self {
            number,
            runtime: handle,
            connections: Mutex::default(),
            is_busy: AtomicBool::new(false),
            stop: Mutex::new(Some(stop)),
            ended: Mutex::new(ended),
        }))
    }

    pub(super) const fn number(&self) -> usize {
        self.number
    }

    pub(super) fn spawn(&self, serving: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(serving);
    }

    /// Ends the thread when it comes to its next pause.
    pub(super) fn stop(&self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stop) = stop {
            let _ = stop.send(());
        }
    }

    /// Waits until the thread has ended.
    pub(super) fn wait(&self, patience: Duration) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent.
        let _ = ended.recv_timeout(patience);
    }

    pub(super) fn add(&self, connection: &Arc<Connection>) {
        self.list().push(Arc::clone(connection));
    }

    pub(super) fn remove(&self, connection: &Arc<Connection>) {
        self.list().retain(|one| !Arc::ptr_eq(one, connection));
    }

    /// The number of its connections.
    pub(super) fn connections(&self) -> usize {
        self.list().len()
    }

    /// Asks the client of the youngest connection that can be asked to connect anew; false if there is none.
    pub(super) fn ask_youngest_to_leave(&self) -> bool {
        self.list()
            .iter()
            .rev()
            .any(|connection| connection.ask_to_leave())
    }

    /// Returns true if new connections go elsewhere where they can.
    pub(super) fn is_busy(&self) -> bool {
        // Relaxed: it publishes nothing else.
        self.is_busy.load(Ordering::Relaxed)
    }

    pub(super) fn set_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, Ordering::Relaxed);
    }

    /// The work up to now. It is read without waking the thread.
    pub(super) fn progress(&self) -> Progress {
        let metrics = self.runtime.metrics();
        Progress {
            busy: metrics.worker_total_busy_duration(0),
            pauses: metrics.worker_park_unpark_count(0),
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
