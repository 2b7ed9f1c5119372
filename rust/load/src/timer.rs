//! A timer with microsecond precision. tokio's timers count in milliseconds: a fixed rate of 10,000 requests per second
//! would be sent in bursts of ten, and the bursts would be measured.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

const NS_PER_S: u64 = 1_000_000_000;

/// One timer of one connection.
pub(crate) struct Timer {
    fd: AsyncFd<OwnedFd>,
    /// The time at which it fires, if it is set.
    fires_ns: Option<u64>,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "unsound for types whose descriptor changes, which an owned one does not; `register` needs unsafe code"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd, fires_ns: None })
    }

    /// Ready at `wanted_ns` at the latest, maybe earlier; `now_ns` is a reading of the same clock.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now_ns: u64, wanted_ns: u64) -> Poll<io::Result<()>> {
        if wanted_ns <= now_ns {
            return Poll::Ready(Ok(()));
        }
        // An earlier timer stays: setting it costs a system call, and one wake-up too many is rare.
        if self.fires_ns.is_none_or(|fires_ns| fires_ns > wanted_ns) {
            let wait_ns = wanted_ns - now_ns;
            let value = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec {
                    tv_sec: i64::try_from(wait_ns / NS_PER_S).unwrap_or(i64::MAX),
                    tv_nsec: i64::try_from(wait_ns % NS_PER_S).unwrap_or(0),
                },
            };
            timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &value)?;
            self.fires_ns = Some(wanted_ns);
        }
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx))?;
            let mut expirations = [0; 8];
            match guard.try_io(|fd| Ok(rustix::io::read(fd, &mut expirations)?)) {
                Ok(read) => {
                    self.fires_ns = None;
                    return Poll::Ready(read.map(|_| ()));
                }
                Err(_would_block) => {}
            }
        }
    }
}
