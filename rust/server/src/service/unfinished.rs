//! How many bytes of unfinished messages are held at once.
//!
//! A message is decided when it is whole, so a client that sends all of it but the last byte, on many streams, makes the
//! server hold what it sent. A reply with a list of tools is cut when it is whole, so a slow server does the same. Small
//! messages mostly come at once, and are bounded by the number of streams; what is beyond [`FREE_BYTES`] of one message
//! counts against its connection's share and against the whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tonic::Status;

/// Bytes of each message that do not count: as much as one HTTP/2 frame holds.
const FREE_BYTES: usize = 16 * 1024;
/// One connection may hold this part of the whole.
const CONNECTION_PART: usize = 8;

/// Bytes held, and how many may be.
#[derive(Debug)]
struct Gauge {
    held: AtomicUsize,
    limit: usize,
}

impl Gauge {
    const fn new(limit: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            limit,
        }
    }

    fn add(&self, bytes: usize) -> bool {
        // Relaxed throughout: a count that publishes nothing else. Two that add at once near the limit may both be refused.
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.limit;
        if !fits {
            self.subtract(bytes);
        }
        fits
    }

    fn subtract(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What every connection of a server holds.
#[derive(Debug)]
pub(crate) struct Unfinished {
    all: Gauge,
    connection_limit: usize,
}

impl Unfinished {
    /// One connection may always hold one whole body.
    pub(super) fn new(limit_bytes: usize, body_limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            all: Gauge::new(limit_bytes.max(body_limit_bytes)),
            connection_limit: (limit_bytes / CONNECTION_PART).max(body_limit_bytes),
        })
    }

    /// The share of a new connection.
    pub(crate) fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share {
            all: Arc::clone(self),
            own: Gauge::new(self.connection_limit),
        })
    }
}

/// What one connection holds.
#[derive(Debug)]
pub(crate) struct Share {
    all: Arc<Unfinished>,
    own: Gauge,
}

/// What one message holds, until it is whole or given up.
#[derive(Debug)]
pub(super) struct Held {
    share: Arc<Share>,
    bytes: usize,
}

impl Held {
    pub(super) const fn new(share: Arc<Share>) -> Self {
        Self { share, bytes: 0 }
    }

    /// Holds `seen_bytes` of one message in all.
    pub(super) fn grow(&mut self, seen_bytes: usize) -> Result<(), Status> {
        let more = seen_bytes.saturating_sub(FREE_BYTES).saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        if !self.share.own.add(more) {
            return Err(Status::resource_exhausted(
                "too many bytes of unfinished messages on this connection; finish some first",
            ));
        }
        if !self.share.all.all.add(more) {
            self.share.own.subtract(more);
            return Err(Status::resource_exhausted(
                "too many bytes of unfinished messages at this server; try again later",
            ));
        }
        self.bytes += more;
        Ok(())
    }

    /// Holds so many bytes now, be it more or less than before.
    pub(super) fn set(&mut self, bytes: usize) -> Result<(), Status> {
        let fewer = self.bytes.saturating_sub(bytes.saturating_sub(FREE_BYTES));
        if fewer > 0 {
            self.share.own.subtract(fewer);
            self.share.all.all.subtract(fewer);
            self.bytes -= fewer;
        }
        self.grow(bytes)
    }

    /// The message is whole.
    pub(super) fn clear(&mut self) {
        if self.bytes > 0 {
            self.share.own.subtract(self.bytes);
            self.share.all.all.subtract(self.bytes);
            self.bytes = 0;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_are_free_and_large_ones_bounded() {
        let all = Unfinished::new(800, 10);
        let (one, other) = (all.share(), all.share());
        let mut small = Held::new(Arc::clone(&one));
        small.grow(FREE_BYTES).unwrap();
        assert_eq!(small.bytes, 0);

        let mut large = Held::new(Arc::clone(&one));
        large.grow(FREE_BYTES + 60).unwrap();
        large.grow(FREE_BYTES + 100).unwrap();
        let refusal = small.grow(FREE_BYTES + 1).unwrap_err();
        assert!(refusal.message().contains("on this connection"), "{refusal}");
        Held::new(other).grow(FREE_BYTES + 100).unwrap();
        large.clear();
        small.grow(FREE_BYTES + 100).unwrap();
    }

    #[test]
    fn what_is_held_may_become_less() {
        let all = Unfinished::new(800, 10);
        let share = all.share();
        let mut held = Held::new(Arc::clone(&share));
        for (bytes, counted) in [
            (FREE_BYTES + 90, 90),
            (FREE_BYTES + 30, 30),
            (FREE_BYTES - 1, 0),
            (0, 0),
        ] {
            held.set(bytes).unwrap();
            assert_eq!(held.bytes, counted);
            assert_eq!(all.all.held.load(Ordering::Relaxed), counted);
            assert_eq!(share.own.held.load(Ordering::Relaxed), counted);
        }
        held.set(FREE_BYTES + 100).unwrap();
        assert!(held.set(FREE_BYTES + 101).is_err());
        held.set(FREE_BYTES + 100).unwrap();
    }

    #[test]
    fn the_whole_is_bounded_and_given_back() {
        let all = Unfinished::new(800, 10);
        let mut held: Vec<Held> = (0..8).map(|_| Held::new(all.share())).collect();
        for one in &mut held {
            one.grow(FREE_BYTES + 100).unwrap();
        }
        let mut late = Held::new(all.share());
        let refusal = late.grow(FREE_BYTES + 1).unwrap_err();
        assert!(refusal.message().contains("at this server"), "{refusal}");
        held.pop();
        late.grow(FREE_BYTES + 100).unwrap();
        drop((held, late));
        assert_eq!(all.all.held.load(Ordering::Relaxed), 0);
    }
}
