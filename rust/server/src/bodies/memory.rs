//! The bound of bytes of unfinished messages that are held at once.
//!
//! A message is decided when it is whole, so a client that sends all of it but the last byte, on many streams, makes the
//! server hold what it sent. A reply with a list of tools is cut when it is whole, so a slow server does the same, and it is
//! held until its client has taken it. A whole message whose call waits for a person's answer is kept for the second pass.
//!
//! Small messages must go on where large ones have filled everything. So the first [`SMALL_BYTES`] of each message count
//! against a part of the whole that is theirs alone, and what is beyond against the rest; both also against shares of its
//! connection. Together they never pass the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tonic::Status;

/// Bytes of each message that count as small: as much as one HTTP/2 frame holds.
pub(crate) const SMALL_BYTES: usize = 16 * 1024;
/// The part of the whole that is for those.
const SMALL_PART: usize = 4;
/// One connection may hold this part of the whole.
const CONNECTION_PART: usize = 8;
/// One connection may hold this part of the memory for small messages, because a proxy may use one connection for all.
const SMALL_CONNECTION_PART: usize = 2;

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

/// Bytes held, by how they count.
#[derive(Debug)]
struct Gauges {
    /// Of the first [`SMALL_BYTES`] of each message.
    small: Gauge,
    /// Of the bytes after those.
    large: Gauge,
}

/// Bytes held by all connections of a server.
#[derive(Debug)]
pub(crate) struct MessageMemory {
    all: Gauges,
    connection_limit: usize,
    small_connection_limit: usize,
}

impl MessageMemory {
    /// One connection may always hold one whole body.
    pub(crate) fn new(limit_bytes: usize, body_limit_bytes: usize) -> Arc<Self> {
        let small_bytes = limit_bytes / SMALL_PART;
        Arc::new(Self {
            all: Gauges {
                small: Gauge::new(small_bytes),
                large: Gauge::new((limit_bytes - small_bytes).max(body_limit_bytes)),
            },
            connection_limit: (limit_bytes / CONNECTION_PART).max(body_limit_bytes),
            small_connection_limit: small_bytes / SMALL_CONNECTION_PART,
        })
    }

    /// The share of a new connection.
    pub(crate) fn share(self: &Arc<Self>) -> Arc<ConnectionShare> {
        Arc::new(ConnectionShare {
            all: Arc::clone(self),
            own: Gauges {
                small: Gauge::new(self.small_connection_limit),
                large: Gauge::new(self.connection_limit),
            },
        })
    }
}

/// Bytes held by one connection.
#[derive(Debug)]
pub(crate) struct ConnectionShare {
    all: Arc<MessageMemory>,
    own: Gauges,
}

/// Bytes held by one message: until it is whole or given up, and again while its call waits for an answer.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    share: Arc<ConnectionShare>,
    bytes: usize,
}

/// The number of a message's bytes that count as small.
fn small(bytes: usize) -> usize {
    bytes.min(SMALL_BYTES)
}

impl HeldBytes {
    pub(crate) const fn new(share: Arc<ConnectionShare>) -> Self {
        Self { share, bytes: 0 }
    }

    /// Holds so many bytes, until this is dropped.
    pub(crate) fn of(share: &Arc<ConnectionShare>, bytes: usize) -> Result<Self, Status> {
        let mut held = Self::new(Arc::clone(share));
        held.grow(bytes)?;
        Ok(held)
    }

    /// Holds `seen_bytes` of one message in all.
    pub(crate) fn grow(&mut self, seen_bytes: usize) -> Result<(), Status> {
        let Some(more) = seen_bytes.checked_sub(self.bytes) else {
            return Ok(());
        };
        let more_small = small(seen_bytes) - small(self.bytes);
        self.add(|gauges| &gauges.small, more_small)?;
        if let Err(full) = self.add(|gauges| &gauges.large, more - more_small) {
            self.subtract(|gauges| &gauges.small, more_small);
            return Err(full);
        }
        self.bytes = seen_bytes;
        Ok(())
    }

    /// Holds so many bytes now, be it more or less than before.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Status> {
        if let Some(fewer) = self.bytes.checked_sub(bytes) {
            let fewer_small = small(self.bytes) - small(bytes);
            self.subtract(|gauges| &gauges.small, fewer_small);
            self.subtract(|gauges| &gauges.large, fewer - fewer_small);
            self.bytes = bytes;
        }
        self.grow(bytes)
    }

    /// The message is whole.
    pub(crate) fn clear(&mut self) {
        // Nothing has to fit.
        let _ = self.set(0);
    }

    fn add(&self, gauge: impl Fn(&Gauges) -> &Gauge, bytes: usize) -> Result<(), Status> {
        if bytes == 0 {
            return Ok(());
        }
        let (own, all) = (gauge(&self.share.own), gauge(&self.share.all.all));
        if !own.add(bytes) {
            return Err(Status::resource_exhausted(
                "too many bytes of unfinished messages on this connection; finish some first",
            ));
        }
        if !all.add(bytes) {
            own.subtract(bytes);
            return Err(Status::resource_exhausted(
                "too many bytes of unfinished messages at this server; try again later",
            ));
        }
        Ok(())
    }

    fn subtract(&self, gauge: impl Fn(&Gauges) -> &Gauge, bytes: usize) {
        if bytes > 0 {
            gauge(&self.share.own).subtract(bytes);
            gauge(&self.share.all.all).subtract(bytes);
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of small and of large messages.
    fn held(gauges: &Gauges) -> (usize, usize) {
        let held = |gauge: &Gauge| gauge.held.load(Ordering::Relaxed);
        (held(&gauges.small), held(&gauges.large))
    }

    /// Room for 8 small messages and for 16 times as much of large ones.
    const LIMIT_BYTES: usize = 32 * SMALL_BYTES;

    #[test]
    fn large_messages_leave_room_for_small_ones() {
        let all = MessageMemory::new(LIMIT_BYTES, 10);
        let (one, other) = (all.share(), all.share());
        let mut large = HeldBytes::new(Arc::clone(&one));
        large.grow(SMALL_BYTES).unwrap();
        large.grow(4 * SMALL_BYTES).unwrap();
        large.grow(5 * SMALL_BYTES).unwrap();
        assert_eq!(held(&one.own), (SMALL_BYTES, 4 * SMALL_BYTES));
        let mut small = HeldBytes::new(Arc::clone(&one));
        small.grow(SMALL_BYTES).unwrap();
        let refusal = small.grow(SMALL_BYTES + 1).unwrap_err();
        assert!(refusal.message().contains("on this connection"), "{refusal}");
        assert_eq!(
            held(&one.own),
            (2 * SMALL_BYTES, 4 * SMALL_BYTES),
            "what was refused counts nowhere"
        );
        HeldBytes::new(other).grow(5 * SMALL_BYTES).unwrap();
        large.clear();
        small.grow(5 * SMALL_BYTES).unwrap();
    }

    #[test]
    fn small_messages_are_bounded_too() {
        let all = MessageMemory::new(LIMIT_BYTES, 10);
        let of = |share: &Arc<ConnectionShare>, count: usize| -> Vec<HeldBytes> {
            (0..count)
                .map(|_| {
                    let mut held = HeldBytes::new(Arc::clone(share));
                    held.grow(SMALL_BYTES).unwrap();
                    held
                })
                .collect()
        };
        let (one, other, third) = (all.share(), all.share(), all.share());
        let mut first = of(&one, 4);
        let refusal = HeldBytes::new(one).grow(1).unwrap_err();
        assert!(refusal.message().contains("on this connection"), "{refusal}");
        let second = of(&other, 4);
        let mut late = HeldBytes::new(third);
        let refusal = late.grow(1).unwrap_err();
        assert!(refusal.message().contains("at this server"), "{refusal}");
        first.pop();
        late.grow(SMALL_BYTES).unwrap();
        drop((first, second, late));
        assert_eq!(held(&all.all), (0, 0));
    }

    #[test]
    fn what_is_held_may_become_less() {
        let all = MessageMemory::new(LIMIT_BYTES, 10);
        let share = all.share();
        let mut one = HeldBytes::new(Arc::clone(&share));
        for (bytes, counted) in [
            (SMALL_BYTES + 90, (SMALL_BYTES, 90)),
            (SMALL_BYTES + 30, (SMALL_BYTES, 30)),
            (SMALL_BYTES - 1, (SMALL_BYTES - 1, 0)),
            (SMALL_BYTES + 1, (SMALL_BYTES, 1)),
            (0, (0, 0)),
        ] {
            one.set(bytes).unwrap();
            assert_eq!(held(&all.all), counted);
            assert_eq!(held(&share.own), counted);
        }
        one.set(5 * SMALL_BYTES).unwrap();
        assert!(one.set(5 * SMALL_BYTES + 1).is_err());
        one.set(5 * SMALL_BYTES).unwrap();
    }

    #[test]
    fn the_whole_is_bounded_and_given_back() {
        let all = MessageMemory::new(LIMIT_BYTES, 10);
        let mut large: Vec<HeldBytes> = (0..6).map(|_| HeldBytes::new(all.share())).collect();
        for one in &mut large {
            one.grow(5 * SMALL_BYTES).unwrap();
        }
        assert_eq!(held(&all.all), (6 * SMALL_BYTES, 24 * SMALL_BYTES));
        let mut late = HeldBytes::new(all.share());
        let refusal = late.grow(SMALL_BYTES + 1).unwrap_err();
        assert!(refusal.message().contains("at this server"), "{refusal}");
        large.pop();
        late.grow(5 * SMALL_BYTES).unwrap();
        drop((large, late));
        assert_eq!(held(&all.all), (0, 0));
    }

    #[test]
    fn one_body_always_fits() {
        let all = MessageMemory::new(1 << 20, 4 << 20);
        let mut body = HeldBytes::new(all.share());
        body.grow(4 << 20).unwrap();
        assert!(HeldBytes::new(all.share()).grow(1 << 20).is_err());
    }
}
