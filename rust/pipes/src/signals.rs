//! Signals to this process. To a wrapped server they are its own.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// Added to the number of the signal that ended a program, as shells do.
pub(crate) const SIGNAL_BASE: i32 = 128;

/// Signals that are forwarded to a server: those that stop, reload or query programs, without those of job control.
const PASSED_ON: [Signal; 6] = [
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
];

/// The signals that come to this process from now on.
pub(crate) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        let listen = |number: Signal| {
            let kind = SignalKind::from_raw(number.as_raw());
            signal(kind).map(|coming| (number, coming))
        };
        PASSED_ON
            .into_iter()
            .map(listen)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (number, coming) in &mut self.0 {
                if coming.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}
