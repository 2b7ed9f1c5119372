//! The client's end: one message a line.

use std::borrow::Cow;
use std::io;

use callgate_mcp::LineBreaks;
use memchr::memchr2;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex, MutexGuard};

/// The client's end. Whoever writes holds it for whole lines.
#[derive(Debug)]
pub(super) struct Output<O>(Mutex<Lines<O>>);

#[derive(Debug)]
struct Lines<O> {
    output: O,
    /// True if a line was begun and not ended. If no task writes, the writer of that line was ended in the middle of
    /// it.
    is_open: bool,
}

impl<O: AsyncWrite + Unpin> Lines<O> {
    async fn end(&mut self) -> io::Result<()> {
        self.output.write_all(b"\n").await?;
        self.is_open = false;
        Ok(())
    }
}

impl<O: AsyncWrite + Unpin> Output<O> {
    pub(super) fn new(output: O) -> Self {
        Self(Mutex::new(Lines {
            output,
            is_open: false,
        }))
    }

    /// Writes a message as a line.
    pub(super) async fn say(&self, message: &[u8]) -> io::Result<()> {
        let mut line = self.begin().await?;
        line.part(message).await?;
        line.end().await
    }

    /// Begins a line whose parts come one after the other.
    pub(super) async fn begin(&self) -> io::Result<OpenLine<'_, O>> {
        let mut lines = self.0.lock().await;
        if lines.is_open {
            // Glued to what is there, this message would be lost as well.
            lines.end().await?;
        }
        Ok(OpenLine {
            lines,
            breaks: LineBreaks::default(),
        })
    }
}

/// A line that is being written.
#[derive(Debug)]
pub(super) struct OpenLine<'o, O> {
    lines: MutexGuard<'o, Lines<O>>,
    /// Escapes characters that only some readers take for the end of a line.
    breaks: LineBreaks,
}

impl<O: AsyncWrite + Unpin> OpenLine<'_, O> {
    /// Writes a part of a message. In JSON a line break is white space, so that a space says the same.
    pub(super) async fn part(&mut self, part: &[u8]) -> io::Result<()> {
        self.lines.is_open = true;
        let part = self.breaks.escape(part);
        self.lines.output.write_all(&without_breaks(&part)).await
    }

    pub(super) async fn end(mut self) -> io::Result<()> {
        self.lines.end().await?;
        self.lines.output.flush().await
    }
}

fn without_breaks(part: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'\n', b'\r', part).is_none() {
        return Cow::Borrowed(part);
    }
    let flat = part
        .iter()
        .map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
    Cow::Owned(flat.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_one_line() {
        let output = Output::new(Vec::new());
        output.say(b"{\n \"a\":\r\n1}").await.expect("written");
        output.say(b"{}").await.expect("written");
        assert_eq!(output.0.into_inner().output, b"{  \"a\":  1}\n{}\n");
    }

    #[tokio::test]
    async fn a_message_is_one_line_to_every_reader() {
        let output = Output::new(Vec::new());
        let message = "{\"a\":\"\u{2028}\u{85}\"}".as_bytes();
        for at in 0..=message.len() {
            let (first, second) = message.split_at(at);
            let mut line = output.begin().await.expect("written");
            line.part(first).await.expect("written");
            line.part(second).await.expect("written");
            line.end().await.expect("written");
        }
        let seen = String::from_utf8(output.0.into_inner().output).expect("text");
        assert_eq!(seen, "{\"a\":\"\\u2028\\u0085\"}\n".repeat(message.len() + 1));
    }

    #[tokio::test]
    async fn a_line_that_was_left_open_swallows_no_other() {
        let output = Output::new(Vec::new());
        let mut line = output.begin().await.expect("written");
        line.part(b"{\"a\":").await.expect("written");
        drop(line);
        output.say(b"{}").await.expect("written");
        assert_eq!(output.0.into_inner().output, b"{\"a\":\n{}\n");
    }
}
