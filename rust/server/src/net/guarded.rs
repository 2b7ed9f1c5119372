//! A connection's bytes, with a check for floods of HTTP/2 frames.

use std::io::{Error, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::guard::Guard;
use crate::flood::Flood;

/// The preface of an HTTP/2 client (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The facts about a connection that its bytes show, for the code that serves it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    turn: AtomicU64,
    /// The index of the flood in [`Flood::ALL`], counted from 1; 0 for none.
    flood: AtomicU8,
}

// Relaxed, everywhere in it: these values publish nothing else.
impl Watch {
    /// Records that the connection is polled once more. In one turn only a bounded number of streams is reset.
    pub(super) fn begin_turn(&self) {
        self.0.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the flood that has ended the connection.
    pub(super) fn flood(&self) -> Option<Flood> {
        let place = self.0.flood.load(Ordering::Relaxed).checked_sub(1)?;
        Flood::ALL.get(usize::from(place)).copied()
    }

    fn turn(&self) -> u64 {
        self.0.turn.load(Ordering::Relaxed)
    }

    fn flooded(&self, flood: Flood) {
        let place = Flood::ALL
            .iter()
            .position(|&one| one == flood)
            .unwrap_or_default();
        let number = u8::try_from(place + 1).unwrap_or(u8::MAX);
        self.0.flood.store(number, Ordering::Relaxed);
    }
}

/// The version of HTTP that a client uses.
#[derive(Debug)]
enum Speech {
    /// The client has sent this number of bytes of [`PREFACE`], and nothing else.
    Unknown(usize),
    Http1,
    Http2(Guard),
}

/// Reads and writes like `I`, and fails if the client floods it with frames.
pub(super) struct Guarded<I> {
    inner: I,
    watch: Watch,
    speech: Speech,
    max_streams: u32,
}

impl<I> Guarded<I> {
    pub(super) const fn new(inner: I, max_streams: u32, watch: Watch) -> Self {
        Self {
            inner,
            watch,
            speech: Speech::Unknown(0),
            max_streams,
        }
    }

    fn receive(&mut self, mut bytes: &[u8]) -> std::result::Result<(), Flood> {
        if let Speech::Unknown(begun) = &mut self.speech {
            let missing = PREFACE.get(*begun..).unwrap_or_default();
            let taken = missing.len().min(bytes.len());
            let (part, rest) = bytes.split_at(taken);
            if !missing.starts_with(part) {
                self.speech = Speech::Http1;
            } else if taken == missing.len() {
                self.speech = Speech::Http2(Guard::new(self.max_streams, Instant::now()));
                bytes = rest;
            } else {
                *begun += taken;
            }
        }
        match &mut self.speech {
            Speech::Http2(guard) => guard.receive(bytes, Instant::now),
            Speech::Unknown(_) | Speech::Http1 => Ok(()),
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
        if let Speech::Http2(guard) = &mut self.speech {
            guard.send(bytes);
        }
    }
}

impl<I: AsyncWrite + Unpin> Guarded<I> {
    /// Tells the client why its connection ends, if that can be sent at once.
    fn say_farewell(&mut self, cx: &mut Context<'_>, flood: Flood) {
        let Speech::Http2(guard) = &self.speech else {
            return;
        };
        if let Some(frame) = guard.farewell(flood)
            && Pin::new(&mut self.inner).poll_write(cx, &frame).is_ready()
        {
            // The connection is over, whether or not this comes to its end.
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let me = &mut *self;
        if let Speech::Http2(guard) = &mut me.speech
            && guard.is_turn_over(me.watch.turn())
        {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut me.inner).poll_read(cx, buffer))?;
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if let Err(flood) = me.receive(fresh) {
            me.watch.flooded(flood);
            me.say_farewell(cx, flood);
            return Poll::Ready(Err(Error::other(flood.as_str())));
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buffer))?;
        self.sent(buffer.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, buffers))?;
        let mut left = written;
        for buffer in buffers {
            let taken = left.min(buffer.len());
            self.sent(buffer.get(..taken).unwrap_or_default());
            left -= taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        // For HTTP/2 that means how long a message has to be before h2 writes it from where it is: each such message is a
        // system call of its own. Answers have 100 to 1,000 bytes, and are copied behind each other instead.
        !matches!(self.speech, Speech::Http2(_)) && self.inner.is_write_vectored()
    }
}
