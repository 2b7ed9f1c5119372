//! The progress of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The beginning of HTTP/2, and of no request over HTTP/1.1.
const HTTP2: &[u8] = b"PRI";

/// Bytes after which it is settled which HTTP is spoken: the length of HTTP/2's preface.
const PREFACE_BYTES: u64 = 24;

/// The progress of a connection, as its bytes show; and whether its server stops.
// Relaxed everywhere: each value stands for itself, and what reads it looks again.
#[derive(Debug, Default)]
pub(super) struct Progress {
    read_bytes: AtomicU64,
    is_http2: Arc<AtomicBool>,
    is_draining: AtomicBool,
    has_unread: AtomicBool,
}

impl Progress {
    /// Bytes that were read so far.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// Notes the bytes that were read.
    pub(super) fn read(&self, bytes: &[u8]) {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.read_bytes.fetch_add(count, Ordering::Relaxed) == 0 && bytes.starts_with(HTTP2) {
            self.is_http2.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true once it is settled which HTTP is spoken. Until then no timeout of either protocol runs.
    pub(super) fn is_opened(&self) -> bool {
        self.read_bytes() >= PREFACE_BYTES
    }

    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// The flag that is true once the client speaks HTTP/2.
    pub(super) fn http2_note(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_http2)
    }

    /// Notes that the server stops: from now on, bytes that the system holds unread are taken into account.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Bytes have come that are not read yet.
    pub(super) fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Relaxed)
    }

    pub(super) fn set_unread(&self, has_unread: bool) {
        self.has_unread.store(has_unread, Ordering::Relaxed);
    }
}
