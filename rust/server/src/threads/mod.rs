//! The threads that serve connections: one per core, and nothing shared between them on the way of a call but the engine.
//!
//! Each has a runtime of its own. A new connection gets a seat on the thread with the fewest, and stays there. Each second
//! [`Patrol`] looks at the threads: see `patrol.rs`.

mod patrol;
mod seat;
mod worker;

use std::io;
use std::num::NonZero;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

pub(crate) use patrol::Patrol;
pub(crate) use seat::Seat;
use worker::Worker;

/// The threads of one server.
#[derive(Debug)]
pub(crate) struct Threads {
    /// Those that take new connections. Written when one is replaced.
    workers: RwLock<Vec<Arc<Worker>>>,
}

impl Threads {
    /// Starts so many threads; 0 stands for one per core that this process may use, by its affinity and its cgroup's quota.
    pub(crate) fn start(number: usize) -> io::Result<Self> {
        let number = match number {
            0 => available_parallelism().map_or(1, NonZero::get),
            number => number,
        };
        let workers = (0..number).map(Worker::start).collect::<io::Result<_>>()?;
        Ok(Self {
            workers: RwLock::new(workers),
        })
    }

    /// A seat for a new connection: on the thread with the fewest, and on a busy one only if all are.
    pub(crate) fn seat(&self) -> Option<Seat> {
        let workers = self.list();
        let worker = workers
            .iter()
            .min_by_key(|worker| (worker.is_busy(), worker.connections()));
        worker.map(Seat::on)
    }

    /// Ends the threads, with whatever they still do, and waits for that up to `patience`.
    pub(crate) fn stop(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let workers = self.list();
        for worker in &workers {
            worker.stop();
        }
        for worker in &workers {
            worker.wait(until.saturating_duration_since(Instant::now()));
        }
    }

    /// Asks a client of each thread to connect anew, as if the thread were busy.
    #[cfg(test)]
    pub(crate) fn ask_to_leave(&self) {
        for worker in self.list() {
            worker.ask_youngest_to_leave();
        }
    }

    fn list(&self) -> Vec<Arc<Worker>> {
        self.workers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts another thread in the place of one that is stuck.
    fn replace(&self, stuck: &Arc<Worker>) -> io::Result<()> {
        let worker = Worker::start(stuck.number())?;
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = workers.iter_mut().find(|worker| Arc::ptr_eq(worker, stuck)) {
            *place = worker;
        }
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for worker in self.list() {
            worker.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// The name of the thread that serves a seat.
    fn thread_of(seat: &Seat) -> String {
        let (sender, receiver) = mpsc::channel();
        seat.spawn(async move {
            let name = std::thread::current().name().map(str::to_owned);
            sender.send(name.unwrap_or_default()).unwrap();
        });
        receiver.recv_timeout(PATIENCE).unwrap()
    }

    #[test]
    fn a_connection_gets_the_thread_with_the_fewest() {
        let threads = Threads::start(2).unwrap();
        let seats: Vec<_> = (0..4).map(|_| threads.seat().unwrap()).collect();
        let names: Vec<_> = seats.iter().map(thread_of).collect();
        assert_eq!(
            names,
            [
                "callgate-data-0",
                "callgate-data-1",
                "callgate-data-0",
                "callgate-data-1"
            ]
        );
        // Both of the first thread leave.
        let [zeroth, first, second, third] = <[_; 4]>::try_from(seats).unwrap();
        let staying = [first, third];
        drop((zeroth, second));
        let others = [threads.seat().unwrap(), threads.seat().unwrap()];
        assert_eq!(
            others.each_ref().map(thread_of),
            ["callgate-data-0"; 2].map(str::to_owned)
        );
        drop((staying, others));
    }

    #[test]
    fn a_stop_ends_what_is_done() {
        let threads = Threads::start(1).unwrap();
        let (held, end) = mpsc::channel::<()>();
        threads.seat().unwrap().spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        threads.stop(PATIENCE);
        assert_eq!(
            end.recv_timeout(PATIENCE),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
    }

    #[test]
    fn there_is_a_thread_for_each_core() {
        let threads = Threads::start(0).unwrap();
        assert_eq!(threads.list().len(), available_parallelism().unwrap().get());
    }
}
