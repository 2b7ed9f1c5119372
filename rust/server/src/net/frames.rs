//! The frames of one direction of an HTTP/2 connection, told apart by their headers (RFC 9113, section 4.1).

/// Length of a frame's header.
const HEADER_BYTES: usize = 9;

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const GOAWAY: u8 = 0x7;
pub(super) const CONTINUATION: u8 = 0x9;

/// Flag of `HEADERS` and `DATA`: the sender has nothing more to say on this stream.
const END_STREAM: u8 = 0x1;

/// The header of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
}

impl Frame {
    fn parse(header: [u8; HEADER_BYTES]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = header;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            // The highest bit is reserved.
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    /// Returns true if the sender ends its side of the stream.
    pub(super) const fn ends_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// Finds the frames in bytes that come in pieces of any size. Payloads are skipped.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of the next header that have come.
    begun: usize,
    /// Bytes of the current payload that have not come.
    payload_left: usize,
}

impl Frames {
    /// Reads on; `see` gets each frame as soon as its header is whole.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut see: impl FnMut(Frame)) {
        loop {
            let skipped = self.payload_left.min(bytes.len());
            self.payload_left -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let Some(missing) = self.header.get_mut(self.begun..) else {
                return;
            };
            let taken = missing.len().min(bytes.len());
            let (part, rest) = bytes.split_at(taken);
            for (slot, &byte) in missing.iter_mut().zip(part) {
                *slot = byte;
            }
            bytes = rest;
            self.begun += taken;
            if self.begun == HEADER_BYTES {
                let frame = Frame::parse(self.header);
                self.begun = 0;
                self.payload_left = usize::try_from(frame.length).unwrap_or(usize::MAX);
                see(frame);
            }
        }
    }

    /// Returns true if the bytes so far end with a whole frame.
    pub(super) const fn are_whole(&self) -> bool {
        self.begun == 0 && self.payload_left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn frames_are_found_in_pieces_of_any_size() {
        let bytes = [
            frame(HEADERS, 4, 1, &[7; 300]),
            frame(DATA, END_STREAM, 1, b""),
            frame(RST_STREAM, END_STREAM, 0x8000_0003, &[0; 4]),
            frame(DATA, 0, 5, &vec![0; 70_000]),
            frame(0xff, 0xff, 0x7fff_ffff, b"?"),
        ]
        .concat();
        let expected = [
            (HEADERS, 300, 1, false),
            (DATA, 0, 1, true),
            (RST_STREAM, 4, 3, false),
            (DATA, 70_000, 5, false),
            (0xff, 1, 0x7fff_ffff, false),
        ];
        for size in [1, 2, 8, 9, 10, 300, 309, 310, 8_192, bytes.len()] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.read(piece, |frame| {
                    found.push((frame.kind, frame.length, frame.stream, frame.ends_stream()));
                });
            }
            assert_eq!(found, expected, "in pieces of {size}");
            assert!(frames.are_whole());
        }
    }

    #[test]
    fn half_a_frame_is_not_whole() {
        let bytes = frame(DATA, 0, 1, b"ab");
        for end in 1..bytes.len() {
            let mut frames = Frames::default();
            frames.read(&bytes[..end], |_| {});
            assert!(!frames.are_whole(), "after {end} bytes");
        }
    }
}
