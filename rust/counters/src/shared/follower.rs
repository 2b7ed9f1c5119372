//! A follower: a process that shares the counters and asks the holder of the file.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::socket::{Channel, Deadline, LinkError, connect};
use super::wire::{self, Answer, Greeting, Hello, Identity, Preamble, VERSION};

/// A connection to the process that keeps the file.
#[derive(Debug)]
pub(super) struct Link(Channel);

/// The reason why a process cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FollowError {
    Link(LinkError),
    OtherVersion,
    OtherClock,
    Full,
}

impl From<LinkError> for FollowError {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl Link {
    /// Connects to the socket at `path`, and introduces this process, whose boot clock has this id.
    pub(super) fn open(
        path: &Path,
        boot_id: [u8; 16],
        deadline: Deadline,
    ) -> Result<(Self, Identity), FollowError> {
        let mut channel = connect(path)?;
        let hello = wire::frame(&Preamble::OURS, &Hello { boot_id }).map_err(LinkError::from)?;
        channel.send(&hello, deadline)?;
        let message = channel.receive(deadline)?;
        let (preamble, greeting) = Preamble::of(&message).ok_or(LinkError::Malformed)?;
        if preamble.version != VERSION {
            return Err(FollowError::OtherVersion);
        }
        match wire::read(greeting).map_err(LinkError::from)? {
            Greeting::Welcome(identity) => Ok((Self(channel), identity)),
            Greeting::OtherClock => Err(FollowError::OtherClock),
            Greeting::Full => Err(FollowError::Full),
        }
    }

    /// Sends a framed question. After an error the other end cannot have all of it, so it has done nothing.
    pub(super) fn send(&mut self, framed: &[u8], deadline: Deadline) -> Result<(), LinkError> {
        self.0.send(framed, deadline)
    }

    /// Waits for the answer. After an error the link is of no use: the answer may come later.
    pub(super) fn answer(&mut self, deadline: Deadline) -> Result<Answer, LinkError> {
        Ok(wire::read(&self.0.receive(deadline)?)?)
    }
}

/// The place of the one link, which one thread at a time uses.
#[derive(Debug, Default)]
pub(super) struct LinkPlace {
    kept: Mutex<Kept>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    is_used: bool,
    link: Option<Link>,
}

impl LinkPlace {
    /// Waits for the turn of this thread; `None` if it does not come in time.
    pub(super) fn wait(&self, deadline: Deadline) -> Option<Turn<'_>> {
        let mut kept = self.lock();
        while kept.is_used {
            let left = deadline.left()?;
            let waited = self.freed.wait_timeout(kept, left);
            (kept, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        kept.is_used = true;
        Some(Turn {
            link: kept.link.take(),
            place: self,
        })
    }

    /// Closes the link, if no thread uses it.
    pub(super) fn close(&self) {
        self.lock().link = None;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of one thread, with the link if there is one.
#[derive(Debug)]
pub(super) struct Turn<'p> {
    pub(super) link: Option<Link>,
    place: &'p LinkPlace,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut kept = self.place.lock();
        kept.link = self.link.take();
        kept.is_used = false;
        drop(kept);
        self.place.freed.notify_one();
    }
}
