//! A bound on frames of an HTTP/2 client that cost work and ask for nothing.

use std::time::Instant;

use super::allowance::Allowance;
use super::frames::{CONTINUATION, DATA, Frame, Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::flood::Flood;

/// Streams that a client may give up in a second, beyond as many at once as it may have open.
const RESETS_PER_SECOND: u64 = 200;
/// And beyond that for each stream that it was answered: a stall must not end the connection of a busy proxy, all of
/// whose calls pass their deadlines at once.
const RESETS_PER_ANSWER: u64 = 2;
const MOST_RESETS_EARNED: u64 = 64 * 1024;

/// Control frames: everything that neither opens, feeds nor ends a stream. Clients that keep their connections alive send
/// few in a minute.
const CONTROLS_AT_ONCE: u64 = 4 * 1024;
const CONTROLS_PER_SECOND: u64 = 1_000;
/// And beyond that for each frame of an answer, which a client acknowledges by window updates and measures by pings.
const CONTROLS_PER_ANSWER_FRAME: u64 = 10;
const MOST_CONTROLS_EARNED: u64 = 64 * 1024;

/// Resets in one turn of a connection after which the streams that they belong to are taken off first: hyper ends a
/// connection with too many that it has not seen yet ([`super::connection`]).
const RESETS_PER_TURN: u32 = 256;

/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The bounds of what the client of one HTTP/2 connection may send.
#[derive(Debug)]
pub(super) struct Guard {
    received: Frames,
    sent: Frames,
    resets: Allowance,
    controls: Allowance,
    /// The last stream that the client has opened.
    last_stream: u32,
    turn: u64,
    resets_in_turn: u32,
}

impl Guard {
    /// For a connection that has begun just now, after its preface.
    pub(super) fn new(max_streams: u32, now: Instant) -> Self {
        let at_once = u64::from(max_streams).max(RESETS_PER_SECOND);
        Self {
            received: Frames::default(),
            sent: Frames::default(),
            resets: Allowance::new(at_once, RESETS_PER_SECOND, MOST_RESETS_EARNED, now),
            controls: Allowance::new(CONTROLS_AT_ONCE, CONTROLS_PER_SECOND, MOST_CONTROLS_EARNED, now),
            last_stream: 0,
            turn: 0,
            resets_in_turn: 0,
        }
    }

    /// Returns true if the streams that were reset in this turn have to be taken off before more is read.
    pub(super) fn is_turn_over(&mut self, turn: u64) -> bool {
        if self.turn != turn {
            self.turn = turn;
            self.resets_in_turn = 0;
        }
        self.resets_in_turn >= RESETS_PER_TURN
    }

    /// Counts what the client has sent.
    pub(super) fn receive(&mut self, bytes: &[u8], now: impl FnOnce() -> Instant) -> Result<(), Flood> {
        let (mut resets, mut controls) = (0, 0);
        let last_stream = &mut self.last_stream;
        self.received.read(bytes, |frame| match frame.kind {
            RST_STREAM => resets += 1,
            HEADERS => *last_stream = frame.stream.max(*last_stream),
            _ if is_control(frame) => controls += 1,
            _ => {}
        });
        if resets == 0 && controls == 0 {
            return Ok(());
        }
        self.resets_in_turn = self.resets_in_turn.saturating_add(resets);
        let now = now();
        if !self.resets.spend(resets.into(), now) {
            return Err(Flood::Resets);
        }
        if !self.controls.spend(controls, now) {
            return Err(Flood::ControlFrames);
        }
        Ok(())
    }

    /// Counts what the server has sent.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let (mut frames, mut answers) = (0, 0);
        self.sent.read(bytes, |frame| {
            frames += u64::from(matches!(frame.kind, HEADERS | DATA));
            answers += u64::from(frame.ends_stream());
        });
        self.resets.earn(answers * RESETS_PER_ANSWER);
        self.controls.earn(frames * CONTROLS_PER_ANSWER_FRAME);
    }

    /// The frame that tells the client why the connection ends; `None` in the midst of another.
    pub(super) fn farewell(&self, flood: Flood) -> Option<Vec<u8>> {
        if !self.sent.are_whole() {
            return None;
        }
        let reason = match flood {
            Flood::Resets => "too_many_resets",
            Flood::ControlFrames => "too_many_control_frames",
        };
        let mut payload = self.last_stream.to_be_bytes().to_vec();
        payload.extend(ENHANCE_YOUR_CALM.to_be_bytes());
        payload.extend(reason.as_bytes());
        // A few bytes: they fit the lowest of the three.
        let length = u8::try_from(payload.len()).ok()?;
        let mut frame = vec![0, 0, length, GOAWAY, 0, 0, 0, 0, 0];
        frame.append(&mut payload);
        Some(frame)
    }
}

/// Returns true if a frame neither opens, feeds nor ends a stream.
const fn is_control(frame: Frame) -> bool {
    match frame.kind {
        HEADERS | RST_STREAM => false,
        DATA => frame.length == 0 && !frame.ends_stream(),
        CONTINUATION => frame.length == 0,
        _ => true,
    }
}
