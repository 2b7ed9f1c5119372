//! The byte stream under a connection: what all requests of a turn say goes out in one write, and bytes are counted.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are held back until the turn ends.
const HELD_BYTES: usize = 64 * 1024;

/// The stream that a connection reads and writes. It holds back what is written: the connection asks for a flush after
/// each frame that is not small, and each would be a system call.
pub(super) struct Transport<W>(pub(super) Rc<RefCell<Line<W>>>);

/// The wire behind the stream, which sends the bytes that are held back.
pub(super) struct Line<W> {
    wire: W,
    held: Vec<u8>,
    /// Bytes of it that are already written.
    written: usize,
    /// Bytes sent and received since they were last taken.
    sent: u64,
    received: u64,
    /// True if the first bytes received are those of an answer by HTTP/1; `None` before there are any.
    is_http1: Option<bool>,
}

impl<W> Line<W> {
    pub(super) fn new(wire: W) -> Self {
        Self {
            wire,
            held: Vec::with_capacity(HELD_BYTES),
            written: 0,
            sent: 0,
            received: 0,
            is_http1: None,
        }
    }

    /// The bytes sent and received since the last time.
    pub(super) const fn take_traffic(&mut self) -> (u64, u64) {
        let traffic = (self.sent, self.received);
        (self.sent, self.received) = (0, 0);
        traffic
    }

    /// Returns whether the peer answers HTTP/1.
    pub(super) fn is_http1(&self) -> bool {
        self.is_http1 == Some(true)
    }
}

impl<W: AsyncWrite + Unpin> Line<W> {
    /// Sends what is held back.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.held.get(self.written..)
            && !left.is_empty()
        {
            let bytes = ready!(Pin::new(&mut self.wire).poll_write(cx, left))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += bytes;
            self.sent += bytes as u64;
        }
        self.held.clear();
        self.written = 0;
        // TLS may buffer the bytes it accepted; for the others this does nothing.
        Pin::new(&mut self.wire).poll_flush(cx)
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for Transport<W> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut line = self.0.borrow_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut line.wire).poll_read(cx, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        line.received += new.len() as u64;
        line.is_http1.get_or_insert(new.starts_with(b"HTTP/1"));
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Transport<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut line = self.0.borrow_mut();
        if line.held.len() >= HELD_BYTES {
            ready!(line.poll_send(cx))?;
        }
        let taken = bytes.get(..HELD_BYTES - line.held.len()).unwrap_or(bytes);
        line.held.extend_from_slice(taken);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.0.borrow_mut();
        ready!(line.poll_send(cx))?;
        Pin::new(&mut line.wire).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Takes a number of bytes at a time, and keeps the lengths.
    struct Sink {
        most: usize,
        writes: Vec<usize>,
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.most);
            self.writes.push(taken);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The lengths of the writes at a flush after each piece, and once the turn ends.
    async fn writes(most: usize, pieces: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let writes = Vec::new();
        let line = Rc::new(RefCell::new(Line::new(Sink { most, writes })));
        let mut transport = Transport(Rc::clone(&line));
        for piece in pieces {
            transport.write_all(&vec![0; *piece]).await.unwrap();
            transport.flush().await.unwrap();
        }
        let before = std::mem::take(&mut line.borrow_mut().wire.writes);
        poll_fn(|cx| line.borrow_mut().poll_send(cx)).await.unwrap();
        let after = std::mem::take(&mut line.borrow_mut().wire.writes);
        let all: usize = before.iter().chain(&after).sum();
        assert_eq!(line.borrow_mut().take_traffic(), (all as u64, 0));
        assert_eq!(line.borrow_mut().take_traffic(), (0, 0));
        (before, after)
    }

    #[tokio::test]
    async fn what_a_turn_says_is_one_write() {
        assert_eq!(writes(usize::MAX, &[10, 2_000, 300]).await, (vec![], vec![2_310]));
        assert_eq!(
            writes(1_000, &[10, 2_000]).await,
            (vec![], vec![1_000, 1_000, 10])
        );
    }

    #[tokio::test]
    async fn a_long_turn_is_written_in_pieces() {
        let pieces = [HELD_BYTES - 1, 2, HELD_BYTES];
        let expected = (vec![HELD_BYTES, HELD_BYTES], vec![1]);
        assert_eq!(writes(usize::MAX, &pieces).await, expected);
    }

    #[tokio::test]
    async fn the_first_bytes_tell_http1() {
        for (bytes, is_http1) in [(&b"HTTP/1.1 400 Bad"[..], true), (b"\0\0\0HTTP/1", false)] {
            let line = Rc::new(RefCell::new(Line::new(bytes)));
            assert!(!line.borrow().is_http1());
            let mut transport = Transport(Rc::clone(&line));
            let mut read = Vec::new();
            transport.read_to_end(&mut read).await.unwrap();
            assert_eq!(line.borrow().is_http1(), is_http1);
            assert_eq!(line.borrow_mut().take_traffic(), (0, bytes.len() as u64));
        }
    }
}
