//! The wait for a request over HTTP/1.1: long for its begin, short from there to the end of its header.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use super::progress::Progress;

/// The clock of one connection over HTTP/1.1. hyper asks for one time, the one that an idle connection is kept; once a header has
/// begun, that is cut to the time of headers.
#[derive(Debug)]
pub(super) struct HeadTimer {
    progress: Arc<Progress>,
    header_timeout: Duration,
    /// The first header has begun before hyper waits for it: its first bytes have said which HTTP is spoken.
    is_first: AtomicBool,
}

impl HeadTimer {
    pub(super) fn new(progress: Arc<Progress>, header_timeout: Duration) -> Self {
        Self {
            progress,
            header_timeout,
            is_first: AtomicBool::new(true),
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        // Relaxed: one task asks.
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        Box::pin(HeadWait {
            sleep: Box::pin(tokio::time::sleep_until(deadline.into())),
            progress: Arc::clone(&self.progress),
            header_timeout: self.header_timeout,
            idle_at_bytes: (!is_first).then(|| self.progress.read_bytes()),
            is_cut: false,
        })
    }
}

/// The wait for one header.
struct HeadWait {
    sleep: Pin<Box<tokio::time::Sleep>>,
    progress: Arc<Progress>,
    header_timeout: Duration,
    /// The bytes that the connection had read when it was idle; `None` where the header had begun before.
    idle_at_bytes: Option<u64>,
    is_cut: bool,
}

impl Sleep for HeadWait {}

impl Future for HeadWait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let has_begun = self.idle_at_bytes != Some(self.progress.read_bytes());
        if has_begun && !self.is_cut {
            self.is_cut = true;
            let deadline = tokio::time::Instant::now() + self.header_timeout;
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(context)
    }
}
