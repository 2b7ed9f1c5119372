//! Event streams (`text/event-stream`), split into events as they arrive.
//!
//! The format is that of the HTML standard, section 9.2: lines end in CRLF, LF or CR, a blank line ends an event, and
//! the data of an event are its `data` lines, joined. The concatenated output is the input, byte for byte.

use std::borrow::Cow;

/// The byte order mark, which readers remove before the first line.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The message for an event that is withheld because it is not [plain](Event::is_plain).
pub const UNKNOWN_LINE: &str =
    "an event has a line that is neither `data`, `event`, `id`, `retry` nor a comment";

/// An event that is longer than the reader may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event of the stream has more than {limit_bytes} bytes; let the server answer with less, or raise the limit"
)]
pub struct EventTooLongError {
    /// The limit.
    pub limit_bytes: usize,
}

/// One event, or bytes between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'e> {
    raw: &'e [u8],
    is_first: bool,
}

impl<'e> Event<'e> {
    /// Its bytes, including the blank line that ends it if there is one.
    pub const fn raw(&self) -> &'e [u8] {
        self.raw
    }

    /// Its data, if any.
    pub fn data(&self) -> Option<Cow<'e, [u8]>> {
        let mut data: Option<Cow<'e, [u8]>> = None;
        for line in self.lines() {
            if let Some(value) = data_of(line.text) {
                match &mut data {
                    None => data = Some(Cow::Borrowed(value)),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                }
            }
        }
        data
    }

    /// Its data, if they begin like a message; no reader finds a message in others. Some readers remove a byte order
    /// mark.
    pub fn message(&self) -> Option<Cow<'e, [u8]>> {
        let data = self.data()?;
        let text = data.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&data);
        matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')).then_some(data)
    }

    /// Returns whether the standard defines each of its lines. Readers differ on other lines: some remove more than a
    /// byte order mark before the first one.
    pub fn is_plain(&self) -> bool {
        self.lines().all(|line| {
            let name = line.text.split(|&byte| byte == b':').next().unwrap_or_default();
            matches!(name, b"" | b"data" | b"event" | b"id" | b"retry")
        })
    }

    /// The event with other data in place of its own, at the position of its first data line. Its other lines stay.
    pub fn with_data(&self, data: &[u8]) -> Vec<u8> {
        let mut event = Vec::with_capacity(self.raw.len());
        let mut is_written = false;
        for line in self.lines() {
            if data_of(line.text).is_none() {
                event.extend_from_slice(line.raw);
            } else if !is_written {
                for part in data.split(|&byte| byte == b'\n') {
                    event.extend_from_slice(b"data: ");
                    event.extend_from_slice(part);
                    event.extend_from_slice(if line.end.is_empty() { b"\n" } else { line.end });
                }
                is_written = true;
            }
        }
        event
    }

    fn lines(&self) -> Lines<'e> {
        Lines {
            rest: self.raw,
            is_first: self.is_first,
        }
    }
}

/// One line of an event.
struct Line<'e> {
    /// The line with its end.
    raw: &'e [u8],
    /// The line without its end and without a byte order mark.
    text: &'e [u8],
    end: &'e [u8],
}

struct Lines<'e> {
    rest: &'e [u8],
    is_first: bool,
}

impl<'e> Iterator for Lines<'e> {
    type Item = Line<'e>;

    fn next(&mut self) -> Option<Line<'e>> {
        if self.rest.is_empty() {
            return None;
        }
        let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let text_length = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (text, after) = self.rest.split_at(text_length);
        let end_length = match after {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        let (raw, rest) = self.rest.split_at(text_length + end_length);
        let (end, _) = after.split_at(end_length);
        self.rest = rest;
        let text = match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(text) if self.is_first => text,
            _ => text,
        };
        self.is_first = false;
        Some(Line { raw, text, end })
    }
}

/// The value of a data line; `None` for another line.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', value @ ..] => Some(value.strip_prefix(b" ").unwrap_or(value)),
        _ => None,
    }
}

/// The capacity kept between two events, so that one long event does not hold memory for the rest of the stream.
const SPARE_BYTES: usize = 64 * 1024;

/// Splits a stream into events, wherever its chunks end.
#[derive(Debug)]
pub struct Events {
    /// The bytes since the last event.
    held: Vec<u8>,
    /// The length of the part of `held` that is already examined.
    seen_bytes: usize,
    /// The current line is blank so far.
    is_blank: bool,
    /// The previous byte was a CR, so an LF belongs to it.
    is_after_cr: bool,
    /// No event has been emitted yet.
    is_first: bool,
    limit_bytes: usize,
}

impl Events {
    /// A reader that holds at most this many bytes of an incomplete event.
    pub const fn new(limit_bytes: usize) -> Self {
        Self {
            held: Vec::new(),
            seen_bytes: 0,
            is_blank: true,
            is_after_cr: false,
            is_first: true,
            limit_bytes,
        }
    }

    /// The bytes that are held.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Reads the next bytes and passes each complete event to `each`.
    ///
    /// ```
    /// use callgate_mcp::sse::Events;
    ///
    /// let mut events = Events::new(1024);
    /// let mut seen = Vec::new();
    /// for chunk in ["id: 1\r\nda", "ta: {}\r\n\r", "\n: wait"] {
    ///     events.read(chunk.as_bytes(), |event| seen.push(event.data().map(|data| data.into_owned())))?;
    /// }
    /// // What is no event is handed over as well: here the LF that came late.
    /// assert_eq!(seen, [Some(b"{}".to_vec()), None]);
    /// # Ok::<(), callgate_mcp::sse::EventTooLongError>(())
    /// ```
    pub fn read(&mut self, bytes: &[u8], mut each: impl FnMut(Event<'_>)) -> Result<(), EventTooLongError> {
        self.held.extend_from_slice(bytes);
        let mut begin = 0;
        let mut at = self.seen_bytes;
        while let Some(&byte) = self.held.get(at) {
            at += 1;
            let is_rest_of_crlf = self.is_after_cr && byte == b'\n';
            self.is_after_cr = byte == b'\r';
            if is_rest_of_crlf {
                // It follows an event that the CR has ended, and stands alone.
                if begin + 1 == at {
                    self.hand_over(begin, at, &mut each);
                    begin = at;
                }
            } else if !matches!(byte, b'\r' | b'\n') {
                self.is_blank = false;
            } else if std::mem::replace(&mut self.is_blank, true) {
                if self.is_after_cr && self.held.get(at) == Some(&b'\n') {
                    self.is_after_cr = false;
                    at += 1;
                }
                self.hand_over(begin, at, &mut each);
                begin = at;
            }
        }
        self.held.drain(..begin);
        if begin > 0 && self.held.capacity() > SPARE_BYTES {
            self.held.shrink_to(SPARE_BYTES);
        }
        self.seen_bytes = self.held.len();
        if self.held.len() > self.limit_bytes {
            return Err(EventTooLongError {
                limit_bytes: self.limit_bytes,
            });
        }
        Ok(())
    }

    /// Emits the rest of a stream that ends without a blank line: some readers take it for an event.
    pub fn finish(mut self, mut each: impl FnMut(Event<'_>)) {
        if !self.held.is_empty() {
            let end = self.held.len();
            self.hand_over(0, end, &mut each);
        }
    }

    fn hand_over(&mut self, begin: usize, end: usize, each: &mut impl FnMut(Event<'_>)) {
        if let Some(raw) = self.held.get(begin..end) {
            each(Event {
                raw,
                is_first: self.is_first,
            });
        }
        self.is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use callgate_core::json::Tape;
    use proptest::prelude::*;

    use super::*;
    use crate::list::{ListError, filter_event};

    /// The events of a stream that arrives in these pieces, and their data.
    fn events(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut raw, mut data) = (Vec::new(), Vec::new());
        let mut take = |event: Event<'_>| {
            raw.extend_from_slice(event.raw());
            data.extend(event.data().map(Cow::into_owned));
        };
        let mut events = Events::new(1 << 20);
        for piece in pieces {
            events.read(piece, &mut take).expect("short events");
        }
        events.finish(&mut take);
        (raw, data)
    }

    const STREAMS: [(&str, &[&str]); 7] = [
        ("data: a\n\ndata:b\n\n", &["a", "b"]),
        (
            "id: 1\r\ndata: a\r\ndata\r\ndata:  b\r\n\r\n: c\r\n\r\ndata: d",
            &["a\n\n b", "d"],
        ),
        ("data: a\r\rdata: b\r\r", &["a", "b"]),
        (
            "\u{feff}data: a\r\n\ndata: b\n\r\n\u{feff}data: c\n\n",
            &["a", "b"],
        ),
        ("\n\r\n\rdatab: x\ndata : y\n data: z\n\ndata:\n\n", &[""]),
        (": no data\n\nevent: data\nretry: 5\n\n", &[]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
    ];

    #[test]
    fn every_way_to_cut_a_stream_gives_the_same() {
        for (stream, expected) in STREAMS {
            let bytes = stream.as_bytes();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let (raw, data) = events(&[&bytes[..first], &bytes[first..second], &bytes[second..]]);
                    assert_eq!(raw, bytes, "{stream:?} {first} {second}");
                    assert_eq!(
                        data,
                        expected.iter().map(|data| data.as_bytes()).collect::<Vec<_>>(),
                        "{stream:?} {first} {second}"
                    );
                }
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(events(&single), events(&[bytes]), "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_out_as_they_went_in(
            pieces in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\r\n:da t{x".to_vec()), 0..12), 0..12)
        ) {
            let whole = pieces.concat();
            let cut: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let (raw, data) = events(&cut);
            prop_assert_eq!(&raw, &whole);
            prop_assert_eq!(data, events(&[&whole]).1);
        }
    }

    #[test]
    fn an_event_comes_out_with_its_last_byte() {
        for end in ["\n\n", "\r\r", "\r\n\r", "\n\r"] {
            let mut events = Events::new(64);
            let mut count = 0;
            events
                .read(format!("data: x{end}").as_bytes(), |_| count += 1)
                .expect("short");
            assert_eq!((count, events.held_bytes()), (1, 0), "{end:?}");
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut events = Events::new(8);
        // Complete events are not held, however many there are.
        events
            .read(&b"data: 123456789\n\n".repeat(100), |_| ())
            .expect("whole");
        events.read(b"data: 12", |_| ()).expect("eight bytes");
        assert_eq!(
            events.read(b"3", |_| ()),
            Err(EventTooLongError { limit_bytes: 8 })
        );
    }

    #[test]
    fn a_long_event_leaves_no_room_behind() {
        let mut events = Events::new(1 << 22);
        for _ in 0..64 {
            events.read(&[b'x'; 1 << 14], |_| ()).expect("room");
        }
        events.read(b"\n\ndata: 1", |_| ()).expect("room");
        assert_eq!(events.held_bytes(), 7);
        assert!(
            events.held.capacity() <= SPARE_BYTES,
            "{}",
            events.held.capacity()
        );
    }

    #[test]
    fn other_data_keep_the_other_lines() {
        let mut seen = Vec::new();
        let mut events = Events::new(256);
        let stream = b"\xef\xbb\xbfid: 7\r\ndata: a\r\nevent: message\r\ndata: b\r\n\r\n";
        events
            .read(stream, |event| seen = event.with_data(b"c\nd"))
            .expect("short");
        assert_eq!(
            seen,
            b"\xef\xbb\xbfid: 7\r\ndata: c\r\ndata: d\r\nevent: message\r\n\r\n"
        );
    }

    fn filtered(stream: &str) -> Vec<Result<String, ListError>> {
        let mut seen = Vec::new();
        let mut tape = Tape::new();
        let mut see = |event: Event<'_>| {
            let filtered = filter_event(&mut tape, &event, |tool| tool != "drop");
            seen.push(filtered.map(|bytes| String::from_utf8(bytes.into_owned()).expect("text")));
        };
        let mut events = Events::new(1 << 20);
        events.read(stream.as_bytes(), &mut see).expect("short");
        events.finish(&mut see);
        seen
    }

    #[test]
    fn lists_in_events_are_cut() {
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"},{"name":"drop"}]}}"#;
        let cut = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"}]}}"#;
        assert_eq!(
            filtered(&format!("id: 3\ndata: {list}\n\n")),
            [Ok(format!("id: 3\ndata: {cut}\n\n"))]
        );
        // The same for an event that the end of the stream cuts, and for one over several lines.
        assert_eq!(filtered(&format!("data: {list}")), [Ok(format!("data: {cut}\n"))]);
        let lines = list.replace(r#","id""#, "\ndata: ,\"id\"");
        let cut_lines = cut.replace(r#","id""#, "\ndata: ,\"id\"");
        assert_eq!(
            filtered(&format!("data: {lines}\n\n")),
            [Ok(format!("data: {cut_lines}\n\n"))]
        );
        for untouched in [
            ": ping\n\n",
            "id: 1\ndata:\n\n",
            "data: 2026-11-21\n\n",
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\r\n\r\n",
        ] {
            assert_eq!(filtered(untouched), [Ok(untouched.to_owned())]);
        }
        for unreadable in [
            "data: [{}]\n\n",
            "data: {\n\n",
            "data: \u{feff}{\"result\":{\"tools\":[{\"name\":\"drop\"}]}}\n\n",
        ] {
            assert!(filtered(unreadable)[0].is_err(), "{unreadable}");
        }
    }
}
