//! The thread that keeps pins and their files in step.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::error::PinsError;
use super::{Notice, Pins};

/// The time until a definition that is accepted on the command line is in force, and the lists that a kill may lose.
const INTERVAL: Duration = Duration::from_secs(1);

/// A failure that goes on is told again after this long.
const QUIET: Duration = Duration::from_secs(60);

/// Calls [`Pins::sync`] every second until it is dropped, and once more then.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Keeper {
    /// Starts the thread. What fails is told to `report`, and again every minute while it goes on; what else an operator should
    /// know is told to `tell`.
    pub fn start(
        pins: Arc<Pins>,
        report: impl Fn(&PinsError) + Send + 'static,
        tell: impl Fn(&Notice) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let seen = Arc::clone(&stop);
        let thread = Builder::new().name("callgate-pins".to_owned()).spawn(move || {
            let mut told: Vec<(String, Instant)> = Vec::new();
            loop {
                let is_last = seen.waits();
                told.retain(|(_, at)| at.elapsed() < QUIET);
                let (errors, notices) = pins.sync_and_tell();
                notices.iter().for_each(&tell);
                for error in errors {
                    let text = error.to_string();
                    if !told.iter().any(|(before, _)| *before == text) {
                        report(&error);
                        told.push((text, Instant::now()));
                    }
                }
                if is_last {
                    return;
                }
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Stop {
    /// Waits an interval; `true` when it is the last one.
    fn waits(&self) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(is_set, INTERVAL, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.stop.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It panics only where `report` or `tell` does, who has told of it then.
            let _ = thread.join();
        }
    }
}
