//! Lines of a client, each held as a whole before it is judged.

use std::io;

use memchr::memchr;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use crate::glance::Glance;

/// One line.
#[derive(Debug)]
pub(crate) enum Line {
    /// With the newline that ends it.
    Whole(Vec<u8>),
    /// The input ended within it.
    Cut(Vec<u8>),
    /// A line longer than the limit, with the properties that were seen while it passed.
    TooLong(Glance),
}

/// The contents of a line, without its end: a newline, or a carriage return and a newline.
pub(crate) fn text(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Takes an input apart.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    limit_bytes: usize,
    held: Vec<u8>,
    /// Of a line that is longer than the limit.
    passing: Option<Glance>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) const fn new(from: R, limit_bytes: usize) -> Self {
        Self {
            from,
            limit_bytes,
            held: Vec::new(),
            passing: None,
        }
    }

    /// The maximum length of a line.
    pub(crate) const fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// The next line; `None` at the end of the input. Nothing is lost where the future is dropped.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let piece = self.from.fill_buf().await?;
            if piece.is_empty() {
                return Ok(self.end());
            }
            let end = memchr(b'\n', piece);
            let part = end.map_or(piece, |at| piece.get(..at).unwrap_or_default());
            if self.passing.is_none() && self.held.len() + part.len() > self.limit_bytes {
                self.passing = Some(Glance::of(&std::mem::take(&mut self.held)));
            }
            match &mut self.passing {
                Some(glance) => glance.pass(part),
                None => self.held.extend_from_slice(part),
            }
            let taken_bytes = part.len() + usize::from(end.is_some());
            self.from.consume(taken_bytes);
            if end.is_some() {
                return Ok(Some(self.whole()));
            }
        }
    }

    fn whole(&mut self) -> Line {
        if let Some(glance) = self.passing.take() {
            return Line::TooLong(glance);
        }
        let mut line = std::mem::take(&mut self.held);
        line.push(b'\n');
        Line::Whole(line)
    }

    fn end(&mut self) -> Option<Line> {
        if let Some(glance) = self.passing.take() {
            return Some(Line::TooLong(glance));
        }
        let line = std::mem::take(&mut self.held);
        (!line.is_empty()).then_some(Line::Cut(line))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    const LIMIT_BYTES: usize = 20;

    /// The lines of an input, read through a buffer of this size.
    async fn lines(input: &[u8], buffer_bytes: usize) -> Vec<String> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer_bytes, input), LIMIT_BYTES);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.expect("readable") {
            seen.push(match line {
                Line::Whole(line) => {
                    assert_eq!(line.last(), Some(&b'\n'));
                    String::from_utf8(text(&line).to_vec()).expect("text")
                }
                Line::Cut(line) => format!("cut {}", String::from_utf8(line).expect("text")),
                Line::TooLong(glance) => {
                    format!("too long {:?}", glance.known_id().map(crate::RequestId::json))
                }
            });
        }
        seen
    }

    #[tokio::test]
    async fn lines_are_the_same_through_any_buffer() {
        let long = format!(r#"{{"id":5,"x":"{}"}}"#, "x".repeat(LIMIT_BYTES));
        let input = format!(
            "a\n\r\n\nb\r\nc\rd\r\r\n{long}\n{}\n{long}\ne\n\tf",
            "y".repeat(LIMIT_BYTES)
        );
        let full = "y".repeat(LIMIT_BYTES);
        let expected = [
            "a",
            "",
            "",
            "b",
            "c\rd\r",
            "too long Some(\"5\")",
            &full,
            "too long Some(\"5\")",
            "e",
            "cut \tf",
        ];
        for buffer_bytes in [1, 2, 3, 7, 64, 4_096] {
            assert_eq!(
                lines(input.as_bytes(), buffer_bytes).await,
                expected,
                "{buffer_bytes}"
            );
        }
    }

    #[tokio::test]
    async fn an_input_ends_where_it_ends() {
        assert_eq!(lines(b"", 8).await, Vec::<String>::new());
        assert_eq!(lines(b"a\n", 8).await, ["a"]);
        assert_eq!(lines(&[b'x'; 30], 8).await, ["too long None"]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_not_held() {
        let input = vec![b'x'; 1 << 20];
        let mut lines = Lines::new(BufReader::new(input.as_slice()), LIMIT_BYTES);
        assert!(matches!(lines.next().await, Ok(Some(Line::TooLong(_)))));
        assert_eq!(lines.held.capacity(), 0);
    }
}
