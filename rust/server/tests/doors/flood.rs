//! Clients that take more than their share: streams, resets, time and memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use callgate_proto::decision::v1::{CheckRequest, CheckStreamRequest};
use callgate_server::Limits;

use super::stream_client::{Stream, connect, message};
use super::support::{Rig, answer, frame, request};

const CHECK: &str = "/callgate.decision.v1.DecisionService/Check";
const CALL: &str = r#"{"grant":"g","tool":"open"}"#;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Frames as bytes, for clients with behaviour that no library offers.
#[derive(Default)]
struct Frames(Vec<u8>);

impl Frames {
    fn preface() -> Self {
        Self(PREFACE.to_vec()).add(SETTINGS, 0, 0, &[])
    }

    fn add(mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.0.extend_from_slice(&length[1..]);
        self.0.extend_from_slice(&[kind, flags]);
        self.0.extend_from_slice(&stream.to_be_bytes());
        self.0.extend_from_slice(payload);
        self
    }

    /// Adds the header of a `Check`; names and values as HPACK literals, or by their index in its static table.
    fn check(self, stream: u32) -> Self {
        let literal = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let block = [
            vec![0x83, 0x86, 0x04],
            literal(CHECK),
            vec![0x01],
            literal("localhost"),
            vec![0x0f, 0x10],
            literal("application/grpc"),
            vec![0x00],
            literal("te"),
            literal("trailers"),
        ];
        self.add(HEADERS, END_HEADERS, stream, &block.concat())
    }

    fn call(self, stream: u32) -> Self {
        // grant `g`, tool `open`
        self.add(DATA, END_STREAM, stream, &frame(b"\x0a\x01g\x12\x04open"))
    }

    fn reset(self, stream: u32) -> Self {
        self.add(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
    }
}

/// The frames that a server sends.
struct Received(TcpStream);

impl Received {
    /// Returns kind, flags, stream and payload of the next frame; none at the end.
    fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let [l1, l2, l3, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l1, l2, l3]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some((kind, flags, u32::from_be_bytes(stream), payload))
    }

    /// Returns the error code of the next frame of this kind, which has it at the end (`RST_STREAM`) or after a stream
    /// (`GOAWAY`).
    fn code_of(&mut self, kind: u8) -> Option<u32> {
        loop {
            let (found, _, _, payload) = self.next()?;
            if found == kind {
                let at = if kind == GOAWAY { 4 } else { 0 };
                return Some(u32::from_be_bytes(payload[at..at + 4].try_into().unwrap()));
            }
        }
    }

    /// Waits for the end of this number of answers; fails on a frame that would end the connection.
    fn answers(&mut self, mut count: u32) {
        while count > 0 {
            let (kind, flags, _, payload) = self.next().expect("the connection ended");
            assert_ne!(kind, GOAWAY, "{payload:?}");
            count -= u32::from(kind == HEADERS && flags & END_STREAM != 0);
        }
    }

    /// Waits for the end of the answer on a stream; fails on a frame that would end the connection.
    fn answered(&mut self, stream: u32) {
        loop {
            let (kind, flags, of, payload) = self.next().expect("the connection ended");
            assert_ne!(kind, GOAWAY, "{payload:?}");
            if (kind, of) == (HEADERS, stream) && flags & END_STREAM != 0 {
                return;
            }
        }
    }
}

/// Returns the id of a client's stream, by its place in their order.
fn id(number: u32) -> u32 {
    2 * number + 1
}

/// Opens a connection whose first frames are few.
fn open(rig: &Rig, frames: &Frames) -> (TcpStream, Received) {
    let mut stream = rig.connect();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(&frames.0).unwrap();
    let reader = stream.try_clone().unwrap();
    (stream, Received(reader))
}

/// Opens a connection whose frames are written on a thread, since the server may stop reading.
fn speak(rig: &Rig, frames: Frames) -> (TcpStream, Received) {
    let stream = rig.connect();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut writer, reader) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
    std::thread::spawn(move || {
        // The server may close before all of it is read.
        let _ = writer.write_all(&frames.0);
    });
    (stream, Received(reader))
}

#[test]
fn ten_thousand_streams_on_a_connection_are_refused_and_it_lives() {
    const STREAMS: u32 = 10_000;
    let rig = Rig::new();
    let max_streams = Limits::default().max_streams;
    let ids = (0..STREAMS).map(|number| 2 * number + 1);
    let opened = ids.fold(Frames::preface(), Frames::check);
    let (mut stream, mut received) = speak(&rig, opened);
    for refused in 0..STREAMS - max_streams {
        assert_eq!(
            received.code_of(RST_STREAM),
            Some(REFUSED_STREAM),
            "after {refused}"
        );
    }
    // Others do not notice.
    assert_eq!(rig.post(CALL).status, 200);
    // One of those that were let in is finished, and makes room for a new one.
    stream.write_all(&Frames::default().call(1).0).unwrap();
    received.answered(1);
    let next = 2 * STREAMS + 1;
    stream
        .write_all(&Frames::default().check(next).call(next).0)
        .unwrap();
    received.answered(next);
}

/// A stall, as the server sees it: a proxy abandons all calls of that time at once, and continues.
#[test]
fn calls_that_are_given_up_at_once_leave_the_others_alone() {
    let rig = Rig::new();
    let max_streams = Limits::default().max_streams;
    let (mut stream, mut received) = open(&rig, &Frames::preface().check(1));
    // None of them is seen before it is given up.
    let given_up = (1..=max_streams).map(id).fold(Frames::default(), |frames, id| {
        frames.check(id).call(id).reset(id)
    });
    stream.write_all(&given_up.0).unwrap();
    stream.write_all(&Frames::default().call(1).0).unwrap();
    received.answered(1);
}

#[test]
fn who_was_answered_much_may_give_up_much() {
    let rig = Rig::new();
    let (mut stream, mut received) = open(
        &rig,
        &Frames::preface().add(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()),
    );
    for number in 0..6 {
        let ids = (500 * number..500 * (number + 1)).map(id);
        let calls = ids.fold(Frames::default(), |frames, id| frames.check(id).call(id));
        stream.write_all(&calls.0).unwrap();
        received.answers(500);
    }
    let given_up = (3_000..8_000)
        .map(id)
        .fold(Frames::default(), |frames, id| frames.check(id).reset(id));
    let next = given_up.check(id(8_000)).call(id(8_000));
    stream.write_all(&next.0).unwrap();
    received.answered(id(8_000));
}

#[test]
fn streams_that_are_reset_as_fast_as_they_are_opened_end_the_connection() {
    const STREAMS: u32 = 100_000;
    let rig = Rig::new();
    let flood = (0..STREAMS).map(id).fold(Frames::preface(), |frames, id| {
        frames.check(id).call(id).reset(id)
    });
    let (_stream, mut received) = speak(&rig, flood);
    assert_eq!(received.code_of(GOAWAY), Some(ENHANCE_YOUR_CALM));
    assert_eq!(rig.post(CALL).status, 200);
    // It has cost no more than the calls that may be open at once, and those that came with the last of them.
    let metrics = rig.server.metrics();
    let begun: u64 = metrics.requests.iter().map(|request| request.count).sum();
    assert!(
        begun < 4 * u64::from(Limits::default().max_streams),
        "{begun} calls"
    );
    let event = rig.wait_for_event("http2_flood");
    assert_eq!(
        event.fields[0].1,
        callgate_server::FieldValue::Text("resets".to_owned())
    );
    let floods = rig.server.metrics().http2_floods;
    assert_eq!(floods, [("resets", 1), ("control_frames", 0)]);
}

#[test]
fn an_endless_run_of_control_frames_ends_the_connection() {
    const FRAMES: usize = 200_000;
    let runs: [(&str, Frames); 6] = [
        ("PING", Frames::default().add(PING, 0, 0, &[7; 8])),
        (
            "an answer to no PING",
            Frames::default().add(PING, ACK, 0, &[7; 8]),
        ),
        ("SETTINGS", Frames::default().add(SETTINGS, 0, 0, &[])),
        (
            "PRIORITY",
            Frames::default().add(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
        ),
        (
            "WINDOW_UPDATE",
            Frames::default().add(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
        ("an unknown kind", Frames::default().add(0xfa, 0, 0, &[])),
    ];
    for (name, run) in runs {
        let rig = Rig::new();
        let flood = Frames([Frames::preface().0, run.0.repeat(FRAMES)].concat());
        let (_stream, mut received) = speak(&rig, flood);
        assert_eq!(received.code_of(GOAWAY), Some(ENHANCE_YOUR_CALM), "{name}");
        assert_eq!(rig.post(CALL).status, 200, "{name}");
        rig.wait_for_event("http2_flood");
        let floods = rig.server.metrics().http2_floods;
        assert_eq!(floods, [("resets", 0), ("control_frames", 1)], "{name}");
    }
}

/// Window updates and pings of a client that is answered: several libraries send them for each frame of an answer.
#[test]
fn a_client_that_acknowledges_every_frame_is_no_flood() {
    let rig = Rig::new();
    let (mut stream, mut received) = open(&rig, &Frames::preface());
    for number in 0..6 {
        let ids = (500 * number..500 * (number + 1)).map(id);
        let calls = ids.fold(Frames::default(), |frames, id| {
            (0..3).fold(frames.check(id).call(id), |frames, _| {
                frames
                    .add(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 100])
                    .add(PING, 0, 0, &[1; 8])
            })
        });
        stream.write_all(&calls.0).unwrap();
        received.answers(500);
    }
}

/// Returns true if the server closes this connection by itself; bytes that it sends before are ignored.
fn is_cut_off(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn whoever_sends_too_slowly_is_cut_off() {
    let rig = Rig::limited(Limits {
        opening_timeout_ms: 300,
        header_timeout_ms: 300,
        message_timeout_ms: 300,
        keepalive_interval_ms: 200,
        keepalive_timeout_ms: 200,
        ..Limits::default()
    });
    let half_a_body = request(
        "POST /v1/check",
        &["Host: localhost", "Content-Length: 27"],
        br#"{"grant":"g","#,
    );
    let begins: [&[u8]; 6] = [
        b"",
        b"P",
        &PREFACE[..20],
        b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        &half_a_body,
        // Speaks HTTP/2, and answers no ping.
        &Frames::preface().0,
    ];
    let slow = begins.map(|begin| {
        let mut stream = rig.connect();
        stream.write_all(begin).unwrap();
        stream
    });
    assert_eq!(rig.post(CALL).status, 200);
    for (stream, begin) in slow.into_iter().zip(begins) {
        assert!(is_cut_off(stream), "{}", String::from_utf8_lossy(begin));
    }
}

#[test]
fn a_body_that_does_not_come_is_a_timeout() {
    let rig = Rig::limited(Limits {
        message_timeout_ms: 100,
        ..Limits::default()
    });
    let mut stream = rig.connect();
    let fields = ["Host: localhost", "Content-Length: 27"];
    stream
        .write_all(&request("POST /v1/check", &fields, b"{"))
        .unwrap();
    assert_eq!(answer(stream).status, 408);
}

fn large_call(args_bytes: usize) -> Vec<u8> {
    let call = CheckRequest {
        grant: "g".to_owned(),
        tool: "open".to_owned(),
        args_json: format!("{{\"text\":\"{}\"}}", "x".repeat(args_bytes)).into(),
        ..CheckRequest::default()
    };
    message(&CheckStreamRequest {
        id: 1,
        call: Some(call),
    })
}

/// The memory of a connection for messages that are not complete is bounded over all of its streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_that_are_not_finished_fill_no_memory() {
    let rig = Rig::limited(Limits {
        body_limit_bytes: 200_000,
        unfinished_limit_bytes: 800_000,
        ..Limits::default()
    });
    let large = large_call(190_000);
    let (begin, rest) = large.split_at(150_000);
    let client = connect(&rig, 65_535).await;
    let mut first = Stream::with(client.clone(), &[]).await;
    first.send(begin.to_vec());
    let mut second = Stream::with(client, &[]).await;
    second.send(begin.to_vec());
    let (refused, mut held) = tokio::select! {
        end = first.rest() => (end, second),
        end = second.rest() => (end, first),
    };
    assert_eq!(refused, (Vec::new(), 8));

    // Another connection has a share of its own, and the one that was held is decided once it is whole.
    let mut other = Stream::open(&rig).await;
    other.send(large.clone());
    assert_eq!(other.next().await.unwrap().id, 1);
    held.send(rest.to_vec());
    held.end();
    assert_eq!(held.rest().await, (vec![(1, String::new())], 0));
}
