//! Frames (RFC 9113 section 4 and 6).

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;

/// The largest payload that either side may send until its peer's settings allow more.
pub(super) const DEFAULT_PAYLOAD_BYTES: usize = 16_384;

/// The connection preface of a client.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

pub(super) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
}

/// `CANCEL`: the answer is no longer needed.
pub(super) const CANCEL: u32 = 8;
/// `REFUSED_STREAM`: the request was not processed.
pub(super) const REFUSED_STREAM: u32 = 7;

/// A received frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

/// The result of reading a frame from received bytes.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    /// One frame, and its length in bytes.
    Frame(Frame<'a>, usize),
    /// The frame is incomplete.
    Partial,
    /// The frame is larger than allowed.
    TooLarge,
}

/// Reads the frame at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let [l0, l1, l2, kind, flags, s0, s1, s2, s3, rest @ ..] = bytes else {
        return Parsed::Partial;
    };
    let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
    if length > DEFAULT_PAYLOAD_BYTES {
        return Parsed::TooLarge;
    }
    let Some(payload) = rest.get(..length) else {
        return Parsed::Partial;
    };
    let frame = Frame {
        kind: *kind,
        flags: *flags,
        stream: u32::from_be_bytes([*s0, *s1, *s2, *s3]) & 0x7fff_ffff,
        payload,
    };
    Parsed::Frame(frame, HEADER_BYTES + length)
}

impl<'a> Frame<'a> {
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of DATA or HEADERS without padding and priority; `None` if these exceed the payload.
    pub(super) fn content(&self) -> Option<&'a [u8]> {
        let mut content = self.payload;
        let mut padding = 0;
        if self.has(flag::PADDED) {
            let (length, rest) = content.split_first()?;
            (padding, content) = (usize::from(*length), rest);
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            content = content.get(5..)?;
        }
        content.get(..content.len().checked_sub(padding)?)
    }

    /// The payload as one 32-bit number.
    pub(super) fn number(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.payload.try_into().ok()?))
    }

    /// The payload as settings.
    pub(super) fn settings(&self) -> impl Iterator<Item = (u16, u32)> + 'a {
        self.payload.chunks_exact(6).map(|row| {
            let [i0, i1, v0, v1, v2, v3] = *row else {
                return (0, 0);
            };
            (u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3]))
        })
    }
}

/// Appends a frame.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // INVARIANT: callers send no more than a peer's frame size, which has 24 bits.
    let length = u32::try_from(payload.len()).unwrap_or(0x00ff_ffff).to_be_bytes();
    out.extend_from_slice(&[length[1], length[2], length[3], kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}
