//! A task or a thread that waits for an answer.

use std::sync::mpsc;

use tokio::sync::oneshot;

/// A task or a thread that waits for an answer.
#[derive(Debug)]
pub(super) enum Listener<T> {
    Task(oneshot::Sender<T>),
    Thread(mpsc::SyncSender<T>),
}

impl<T> Listener<T> {
    /// Sends the answer. A listener that waits no more drops it.
    pub(super) fn send(self, answer: T) {
        match self {
            Self::Task(listener) => drop(listener.send(answer)),
            Self::Thread(listener) => drop(listener.send(answer)),
        }
    }

    /// Returns true if a task waits no more. A thread gives no sign of that.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Task(listener) => listener.is_closed(),
            Self::Thread(_) => false,
        }
    }
}
