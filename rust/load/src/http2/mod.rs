//! The client side of one HTTP/2 connection, without I/O: bytes in, bytes out, events.
//!
//! The client is built for load: all requests share one header block, frames of many requests go out in one write, and
//! a request costs no task, no lock and no waker. Like real clients it uses a dynamic header table and flow control,
//! and acknowledges settings and pings, so that the peer has the same work.

mod failure;
mod frame;
mod hpack;
mod huffman;
mod request_head;
mod static_table;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub(crate) use failure::Failure;
use frame::{Frame, Parsed, flag, kind, setting};
use hpack::Decoder;
use request_head::RequestHead;
use stream::Stream;

/// The bytes that the peer may send on one stream before an acknowledgement.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// The same limit for the whole connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 24;

/// The window of either side unless settings change it, in bytes.
const DEFAULT_WINDOW_BYTES: u32 = 65_535;

/// The largest window that HTTP/2 allows.
const MAX_WINDOW_BYTES: i64 = 0x7fff_ffff;

/// The highest stream id; a connection that has used it is replaced.
const MAX_STREAM_ID: u32 = 0x7fff_ffff;

/// The longest accepted header block, in bytes.
const MAX_HEADER_BLOCK_BYTES: usize = 256 * 1024;

/// A received event.
#[derive(Debug)]
pub(crate) enum Event<'a, T> {
    /// A message of an answer.
    Message(&'a mut T, &'a [u8]),
    /// The end of an answer.
    Closed(T, Result<(), Failure>),
}

/// The target of a connection and the header fields of its requests.
// No `Debug`: the token is a secret.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) is_tls: bool,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
}

/// The client side of one connection; `T` is the sender's own data for each request.
pub(crate) struct Http2<T> {
    head: RequestHead,
    decoder: Decoder,
    out: Vec<u8>,
    streams: HashMap<u32, Stream<T>, FixedState>,
    /// Streams with unsent bytes, in waiting order.
    waiting: VecDeque<u32>,
    next_id: u32,
    send_window: i64,
    peer_stream_window: i64,
    peer_payload_bytes: usize,
    peer_max_streams: usize,
    is_ready: bool,
    is_closing: bool,
    unacknowledged: usize,
    /// An incomplete header block: stream, end-of-stream flag, and the block so far.
    block: Option<(u32, bool, Vec<u8>)>,
}

impl<T> Http2<T> {
    /// A connection whose preface is not sent yet.
    pub(crate) fn new(head: &Head) -> Self {
        let mut out = frame::PREFACE.to_vec();
        let mut settings = Vec::new();
        for (id, value) in [
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
        ] {
            settings.extend_from_slice(&id.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        frame::put(&mut out, kind::SETTINGS, 0, 0, &settings);
        let more = (CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES).to_be_bytes();
        frame::put(&mut out, kind::WINDOW_UPDATE, 0, 0, &more);
        Self {
            head: RequestHead::new(head.is_tls, &head.authority, &head.path, head.token.as_deref()),
            decoder: Decoder::new(),
            out,
            streams: HashMap::default(),
            waiting: VecDeque::new(),
            next_id: 1,
            send_window: i64::from(DEFAULT_WINDOW_BYTES),
            peer_stream_window: i64::from(DEFAULT_WINDOW_BYTES),
            peer_payload_bytes: frame::DEFAULT_PAYLOAD_BYTES,
            peer_max_streams: usize::MAX,
            is_ready: false,
            is_closing: false,
            unacknowledged: 0,
            block: None,
        }
    }

    /// The bytes to write; the writer removes those it has written.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Returns whether the peer's settings have arrived. No stream is opened before.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Returns whether no request can be opened any more.
    pub(crate) const fn is_closing(&self) -> bool {
        self.is_closing || self.next_id > MAX_STREAM_ID
    }

    /// The number of requests that the peer allows to be open at once.
    pub(crate) const fn peer_max_streams(&self) -> usize {
        self.peer_max_streams
    }

    /// Sends a request with `message`, prefix included, as its first message; `is_last` if no other follows.
    pub(crate) fn open(&mut self, message: &[u8], is_last: bool, own: T) -> u32 {
        let id = self.next_id;
        self.next_id += 2;
        let block = self.head.next();
        // A block is shorter than any peer's frame size: it has a few fields, and a token of limited length.
        frame::put(&mut self.out, kind::HEADERS, flag::END_HEADERS, id, block);
        let mut stream = Stream::new(own, self.peer_stream_window, is_last);
        if say(
            &mut self.out,
            &mut self.send_window,
            self.peer_payload_bytes,
            id,
            &mut stream,
            message,
        ) {
            self.waiting.push_back(id);
        }
        self.streams.insert(id, stream);
        id
    }

    /// Sends another message on an open request; `None` if the request is not open.
    pub(crate) fn push(&mut self, id: u32, message: &[u8]) -> Option<()> {
        let stream = self.streams.get_mut(&id)?;
        if !stream.unsent.is_empty() {
            stream.unsent.extend_from_slice(message);
        } else if say(
            &mut self.out,
            &mut self.send_window,
            self.peer_payload_bytes,
            id,
            stream,
            message,
        ) {
            self.waiting.push_back(id);
        }
        Some(())
    }

    /// Ends the client's side of a request: no message follows.
    pub(crate) fn finish(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_last
        {
            stream.is_last = true;
            if stream.unsent.is_empty() {
                frame::put(&mut self.out, kind::DATA, flag::END_STREAM, id, &[]);
            }
        }
    }

    /// The sender's own data for a request.
    pub(crate) fn own(&mut self, id: u32) -> Option<&mut T> {
        self.streams.get_mut(&id).map(|stream| &mut stream.own)
    }

    /// Cancels the requests for which `is_over` holds.
    pub(crate) fn cancel(&mut self, is_over: impl Fn(&T) -> bool, mut gone: impl FnMut(T)) {
        let out = &mut self.out;
        for (id, stream) in self.streams.extract_if(|_, stream| is_over(&stream.own)) {
            frame::put(out, kind::RST_STREAM, 0, id, &frame::CANCEL.to_be_bytes());
            gone(stream.own);
        }
    }

    /// Reads received bytes and returns how many were used; the caller passes the rest again with the next bytes.
    pub(crate) fn received(
        &mut self,
        bytes: &[u8],
        mut event: impl FnMut(Event<'_, T>),
    ) -> Result<usize, &'static str> {
        let mut used = 0;
        if !self.is_ready && bytes.starts_with(b"HTTP/1") {
            return Err("it answers HTTP/1, expected HTTP/2");
        }
        loop {
            match frame::parse(bytes.get(used..).unwrap_or_default()) {
                Parsed::Partial => return Ok(used),
                Parsed::TooLarge if self.is_ready => return Err("it sent a frame that is too large"),
                Parsed::TooLarge => return Err("it does not answer HTTP/2"),
                Parsed::Frame(frame, taken) => {
                    self.frame(frame, &mut event)?;
                    used += taken;
                }
            }
        }
    }

    fn frame(&mut self, frame: Frame<'_>, event: &mut impl FnMut(Event<'_, T>)) -> Result<(), &'static str> {
        if !self.is_ready && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
            return Err("it does not answer HTTP/2");
        }
        if self.block.is_some() && frame.kind != kind::CONTINUATION {
            return Err("it sent a header block that does not end");
        }
        match frame.kind {
            kind::DATA => self.data(frame, event),
            kind::HEADERS => {
                let content = frame
                    .content()
                    .ok_or("it sent a HEADERS frame with bad padding")?;
                self.block = Some((frame.stream, frame.has(flag::END_STREAM), content.to_vec()));
                self.block_ended(frame.has(flag::END_HEADERS), event)
            }
            kind::CONTINUATION => {
                let (stream, _, block) = self.block.as_mut().ok_or("it sent a CONTINUATION of nothing")?;
                if *stream != frame.stream || block.len() + frame.payload.len() > MAX_HEADER_BLOCK_BYTES {
                    return Err("it sent a header block that does not end");
                }
                block.extend_from_slice(frame.payload);
                self.block_ended(frame.has(flag::END_HEADERS), event)
            }
            kind::RST_STREAM => {
                let code = frame.number().ok_or("it sent a malformed RST_STREAM")?;
                let failure = if code == frame::REFUSED_STREAM {
                    Failure::Refused
                } else {
                    Failure::Reset(code)
                };
                self.close(frame.stream, Some(failure), event);
                Ok(())
            }
            kind::SETTINGS => self.settings(frame),
            kind::PING => {
                if !frame.has(flag::ACK) {
                    frame::put(&mut self.out, kind::PING, flag::ACK, 0, frame.payload);
                }
                Ok(())
            }
            kind::GOAWAY => {
                let last = frame.payload.first_chunk().ok_or("it sent a malformed GOAWAY")?;
                let last = u32::from_be_bytes(*last) & MAX_STREAM_ID;
                self.is_closing = true;
                for (_, stream) in self.streams.extract_if(|id, _| *id > last) {
                    event(Event::Closed(stream.own, Err(Failure::Refused)));
                }
                Ok(())
            }
            kind::WINDOW_UPDATE => self.window(frame),
            kind::PUSH_PROMISE => Err("it pushes, which was switched off"),
            // Unknown frames are ignored (RFC 9113 section 4.1).
            _ => Ok(()),
        }
    }

    fn data(&mut self, frame: Frame<'_>, event: &mut impl FnMut(Event<'_, T>)) -> Result<(), &'static str> {
        let content = frame.content().ok_or("it sent a DATA frame with bad padding")?;
        self.unacknowledged += frame.payload.len();
        if self.unacknowledged > (CONNECTION_WINDOW_BYTES / 2) as usize {
            acknowledge(&mut self.out, 0, &mut self.unacknowledged);
        }
        let Some(stream) = self.streams.get_mut(&frame.stream) else {
            // The rest of an answer to a cancelled request.
            return Ok(());
        };
        let ends = frame.has(flag::END_STREAM);
        stream.unacknowledged += frame.payload.len();
        if !ends && stream.unacknowledged > (STREAM_WINDOW_BYTES / 2) as usize {
            acknowledge(&mut self.out, frame.stream, &mut stream.unacknowledged);
        }
        if let Err(failure) = stream.received(content, |own, message| event(Event::Message(own, message))) {
            let code = frame::CANCEL.to_be_bytes();
            frame::put(&mut self.out, kind::RST_STREAM, 0, frame.stream, &code);
            self.close(frame.stream, Some(failure), event);
        } else if ends {
            self.close(frame.stream, None, event);
        }
        Ok(())
    }

    fn block_ended(
        &mut self,
        is_ended: bool,
        event: &mut impl FnMut(Event<'_, T>),
    ) -> Result<(), &'static str> {
        if !is_ended {
            return Ok(());
        }
        let Some((id, ends, block)) = self.block.take() else {
            return Ok(());
        };
        let mut head = self.streams.get_mut(&id).map(|stream| &mut stream.head);
        // A block without a waiting request is decoded too, to keep the table in step.
        let decoded = self.decoder.decode(&block, |name, value| {
            if let Some(head) = &mut head {
                head.field(name, value);
            }
        });
        decoded.ok_or("it sent a malformed header block")?;
        if ends {
            self.close(id, None, event);
        }
        Ok(())
    }

    /// Ends the answer with a failure, or with the result of its header blocks.
    fn close(&mut self, id: u32, failure: Option<Failure>, event: &mut impl FnMut(Event<'_, T>)) {
        if let Some(mut stream) = self.streams.remove(&id) {
            let is_half_said = !stream.is_last || !stream.unsent.is_empty();
            if failure.is_none() && is_half_said {
                // The peer answered before the request was complete, and need not wait for the rest.
                frame::put(
                    &mut self.out,
                    kind::RST_STREAM,
                    0,
                    id,
                    &frame::CANCEL.to_be_bytes(),
                );
            }
            let verdict = failure.map_or_else(|| stream.verdict(), Err);
            event(Event::Closed(stream.own, verdict));
        }
    }

    fn settings(&mut self, frame: Frame<'_>) -> Result<(), &'static str> {
        if frame.has(flag::ACK) {
            return Ok(());
        }
        self.is_ready = true;
        for (id, value) in frame.settings() {
            match id {
                setting::HEADER_TABLE_SIZE => self.head.peer_table(value as usize),
                setting::MAX_CONCURRENT_STREAMS => self.peer_max_streams = value as usize,
                setting::INITIAL_WINDOW_SIZE => {
                    let window = i64::from(value);
                    if window > MAX_WINDOW_BYTES {
                        return Err("it set a window that is too large");
                    }
                    for stream in self.streams.values_mut() {
                        stream.send_window += window - self.peer_stream_window;
                    }
                    self.peer_stream_window = window;
                }
                setting::MAX_FRAME_SIZE => self.peer_payload_bytes = value as usize,
                _ => {}
            }
        }
        frame::put(&mut self.out, kind::SETTINGS, flag::ACK, 0, &[]);
        self.send_waiting();
        Ok(())
    }

    fn window(&mut self, frame: Frame<'_>) -> Result<(), &'static str> {
        let more = i64::from(frame.number().ok_or("it sent a malformed WINDOW_UPDATE")? & MAX_STREAM_ID);
        if frame.stream == 0 {
            self.send_window += more;
        } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.send_window += more;
        }
        self.send_waiting();
        Ok(())
    }

    /// Continues streams that waited for a window.
    fn send_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(id) = self.waiting.pop_front() else { break };
            if let Some(stream) = self.streams.get_mut(&id)
                && send_unsent(
                    &mut self.out,
                    &mut self.send_window,
                    self.peer_payload_bytes,
                    id,
                    stream,
                )
            {
                self.waiting.push_back(id);
            }
        }
    }
}

/// Sends a message of a stream without unsent bytes; true if the windows have no room for all of it.
fn say<T>(
    out: &mut Vec<u8>,
    connection_window: &mut i64,
    payload_bytes: usize,
    id: u32,
    stream: &mut Stream<T>,
    message: &[u8],
) -> bool {
    let size = i64::try_from(message.len()).unwrap_or(i64::MAX);
    if message.len() <= payload_bytes && size <= stream.send_window.min(*connection_window) {
        let flags = if stream.is_last { flag::END_STREAM } else { 0 };
        frame::put(out, kind::DATA, flags, id, message);
        stream.send_window -= size;
        *connection_window -= size;
        return false;
    }
    stream.unsent.extend_from_slice(message);
    send_unsent(out, connection_window, payload_bytes, id, stream)
}

/// Sends as much as the windows allow; true if bytes are left.
fn send_unsent<T>(
    out: &mut Vec<u8>,
    connection_window: &mut i64,
    payload_bytes: usize,
    id: u32,
    stream: &mut Stream<T>,
) -> bool {
    loop {
        let left = stream.unsent.get(stream.unsent_from..).unwrap_or_default();
        let window = usize::try_from(stream.send_window.min(*connection_window)).unwrap_or(0);
        let size = left.len().min(window).min(payload_bytes);
        if size == 0 && !left.is_empty() {
            return true;
        }
        let ends = size == left.len();
        let flags = if ends && stream.is_last {
            flag::END_STREAM
        } else {
            0
        };
        frame::put(out, kind::DATA, flags, id, left.get(..size).unwrap_or_default());
        let sent = i64::try_from(size).unwrap_or(i64::MAX);
        stream.send_window -= sent;
        *connection_window -= sent;
        stream.unsent_from += size;
        if ends {
            stream.unsent.clear();
            stream.unsent_from = 0;
            return false;
        }
    }
}

/// Enlarges a window by the bytes that were received.
fn acknowledge(out: &mut Vec<u8>, stream: u32, taken: &mut usize) {
    let more = u32::try_from(*taken)
        .unwrap_or(DEFAULT_WINDOW_BYTES)
        .to_be_bytes();
    frame::put(out, kind::WINDOW_UPDATE, 0, stream, &more);
    *taken = 0;
}
