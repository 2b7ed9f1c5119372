//! The client against hand-written frames. `tests/runs` tests it with real servers.

use proptest::prelude::*;

use super::frame::{Parsed, parse, put};
use super::*;

const OK_HEAD: &[u8] = &[
    0x88, 0x0f, 0x10, 16, b'a', b'p', b'p', b'l', b'i', b'c', b'a', b't', b'i', b'o', b'n', b'/', b'g', b'r',
    b'p', b'c',
];

fn client() -> Http2<u32> {
    Http2::new(&Head {
        is_tls: false,
        authority: "localhost".to_owned(),
        path: "/s/M".to_owned(),
        token: None,
    })
}

fn settings(rows: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in rows {
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(kind::SETTINGS, 0, 0, &payload)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, kind, flags, stream, payload);
    out
}

/// `grpc-status` as a literal without indexing.
fn trailers(stream: u32, status: &str) -> Vec<u8> {
    let mut block = vec![0, 11];
    block.extend_from_slice(b"grpc-status");
    block.push(u8::try_from(status.len()).unwrap());
    block.extend_from_slice(status.as_bytes());
    frame(
        kind::HEADERS,
        flag::END_HEADERS | flag::END_STREAM,
        stream,
        &block,
    )
}

fn answer(stream: u32, message: &[u8]) -> Vec<u8> {
    let prefix = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
    [
        frame(kind::HEADERS, flag::END_HEADERS, stream, OK_HEAD),
        frame(kind::DATA, 0, stream, &[&prefix, message].concat()),
        trailers(stream, "0"),
    ]
    .concat()
}

/// The events of these bytes, and how many bytes were used.
fn received(client: &mut Http2<u32>, bytes: &[u8]) -> Result<(usize, Vec<String>), &'static str> {
    let mut events = Vec::new();
    let used = client.received(bytes, |event| {
        events.push(match event {
            Event::Message(own, message) => format!("{own}: {}", String::from_utf8_lossy(message)),
            Event::Closed(own, Ok(())) => format!("{own}: ok"),
            Event::Closed(own, Err(failure)) => format!("{own}: {}", failure.label()),
        });
    })?;
    Ok((used, events))
}

fn events(client: &mut Http2<u32>, bytes: &[u8]) -> Vec<String> {
    let (used, events) = received(client, bytes).unwrap();
    assert_eq!(used, bytes.len());
    events
}

/// The frames in the output: kind, flags, stream, length.
fn sent(client: &mut Http2<u32>) -> Vec<(u8, u8, u32, usize)> {
    let out = std::mem::take(client.out());
    let mut rest = out.strip_prefix(frame::PREFACE).unwrap_or(&out);
    let mut frames = Vec::new();
    while let Parsed::Frame(frame, used) = parse(rest) {
        frames.push((frame.kind, frame.flags, frame.stream, frame.payload.len()));
        rest = &rest[used..];
    }
    assert!(rest.is_empty());
    frames
}

fn ready(rows: &[(u16, u32)]) -> Http2<u32> {
    let mut client = client();
    assert!(!client.is_ready());
    assert!(events(&mut client, &settings(rows)).is_empty());
    assert!(client.is_ready());
    sent(&mut client);
    client
}

#[test]
fn it_opens_with_settings_and_acknowledges_those_of_the_peer() {
    let mut client = client();
    let kinds: Vec<_> = sent(&mut client).iter().map(|frame| frame.0).collect();
    assert_eq!(kinds, [kind::SETTINGS, kind::WINDOW_UPDATE]);
    events(&mut client, &settings(&[(setting::MAX_CONCURRENT_STREAMS, 7)]));
    assert_eq!(client.peer_max_streams(), 7);
    assert_eq!(sent(&mut client), [(kind::SETTINGS, flag::ACK, 0, 0)]);
    events(&mut client, &frame(kind::PING, 0, 0, b"12345678"));
    assert_eq!(sent(&mut client), [(kind::PING, flag::ACK, 0, 8)]);
}

#[test]
fn answers_come_in_any_pieces_and_any_order() {
    let bytes = [
        frame(kind::HEADERS, flag::END_HEADERS, 3, OK_HEAD),
        answer(1, b"one"),
        frame(kind::DATA, 0, 3, &[0, 0, 0]),
        frame(kind::DATA, flag::PADDED, 3, &[2, 0, 2, b't', b'w', 0, 0]),
        trailers(3, "0"),
        trailers(5, "14"),
    ]
    .concat();
    for size in 1..bytes.len() {
        let mut client = ready(&[]);
        for own in 1..=3 {
            client.open(b"\0\0\0\0\x01x", true, own);
        }
        let (mut all, mut input) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            input.extend_from_slice(piece);
            let (used, events) = received(&mut client, &input).unwrap();
            input.drain(..used);
            all.extend(events);
        }
        assert_eq!(all, ["1: one", "1: ok", "2: tw", "2: ok", "3: UNAVAILABLE"]);
    }
}

#[test]
fn nothing_is_sent_beyond_the_windows() {
    let mut client = ready(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
    client.open(&[7; 25], true, 1);
    let data = |frames: Vec<(u8, u8, u32, usize)>| -> Vec<(u8, usize)> {
        let data = frames.into_iter().filter(|frame| frame.0 == kind::DATA);
        data.map(|(_, flags, _, length)| (flags, length)).collect()
    };
    assert_eq!(data(sent(&mut client)), [(0, 10)]);
    events(
        &mut client,
        &frame(kind::WINDOW_UPDATE, 0, 1, &4_u32.to_be_bytes()),
    );
    assert_eq!(data(sent(&mut client)), [(0, 4)]);
    // A larger window for all streams applies to the open ones, too.
    events(&mut client, &settings(&[(setting::INITIAL_WINDOW_SIZE, 100)]));
    assert_eq!(data(sent(&mut client)), [(flag::END_STREAM, 11)]);
}

#[test]
fn the_connection_has_a_window_of_its_own() {
    let mut client = ready(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    let open = |client: &mut Http2<u32>| -> usize {
        let frames = sent(client).into_iter().filter(|frame| frame.0 == kind::DATA);
        frames.map(|frame| frame.3).sum()
    };
    client.open(&vec![7; 60_000], true, 1);
    client.open(&vec![7; 60_000], true, 2);
    assert_eq!(open(&mut client), DEFAULT_WINDOW_BYTES as usize);
    events(
        &mut client,
        &frame(kind::WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes()),
    );
    assert_eq!(open(&mut client), 120_000 - DEFAULT_WINDOW_BYTES as usize);
}

#[test]
fn what_was_taken_is_acknowledged_before_the_windows_are_empty() {
    let mut client = ready(&[]);
    client.open(b"\0\0\0\0\0", false, 1);
    sent(&mut client);
    events(&mut client, &frame(kind::HEADERS, flag::END_HEADERS, 1, OK_HEAD));
    let message = [&[0, 0, 0, 0x3f, 0xfb][..], &[0; 0x3ffb]].concat();
    let mut updates = 0;
    for _ in 0..2_000 {
        events(&mut client, &frame(kind::DATA, 0, 1, &message));
        updates += sent(&mut client).len();
    }
    // 32 MB in all: half a window is 512 KiB for a stream and 8 MiB for the connection.
    assert!((60..=70).contains(&updates), "{updates}");
}

#[test]
fn a_closing_peer_refuses_what_it_did_not_look_at() {
    let mut client = ready(&[]);
    for own in 1..=3 {
        client.open(b"\0\0\0\0\0", true, own);
    }
    let mut goaway = 3_u32.to_be_bytes().to_vec();
    goaway.extend_from_slice(&[0; 4]);
    assert_eq!(
        events(&mut client, &frame(kind::GOAWAY, 0, 0, &goaway)),
        ["3: refused by a closing connection"]
    );
    assert!(client.is_closing());
    assert_eq!(events(&mut client, &answer(1, b"x")), ["1: x", "1: ok"]);
    let reset = frame(kind::RST_STREAM, 0, 3, &2_u32.to_be_bytes());
    assert_eq!(events(&mut client, &reset), ["2: stream reset (2)"]);
}

#[test]
fn answers_that_were_given_up_are_ignored() {
    let mut client = ready(&[]);
    client.open(b"\0\0\0\0\0", true, 1);
    sent(&mut client);
    let mut gone = Vec::new();
    client.cancel(|own| *own == 1, |own| gone.push(own));
    assert_eq!(gone, [1]);
    assert_eq!(sent(&mut client), [(kind::RST_STREAM, 0, 1, 4)]);
    assert!(events(&mut client, &answer(1, b"late")).is_empty());
}

#[test]
fn a_stream_ends_when_it_is_finished() {
    let mut client = ready(&[]);
    let id = client.open(b"\0\0\0\0\0", false, 1);
    client.push(id, b"\0\0\0\0\0").unwrap();
    client.finish(id);
    client.finish(id);
    let flags: Vec<_> = sent(&mut client)
        .into_iter()
        .map(|frame| (frame.0, frame.1))
        .collect();
    let data = (kind::DATA, 0);
    assert_eq!(
        flags,
        [
            (kind::HEADERS, flag::END_HEADERS),
            data,
            data,
            (kind::DATA, flag::END_STREAM)
        ]
    );
    // If the peer ends a stream first, the client resets it.
    let id = client.open(b"\0\0\0\0\0", false, 2);
    sent(&mut client);
    assert_eq!(events(&mut client, &trailers(id, "8")), ["2: RESOURCE_EXHAUSTED"]);
    assert_eq!(sent(&mut client), [(kind::RST_STREAM, 0, id, 4)]);
    assert_eq!(client.push(id, b""), None);
}

#[test]
fn a_peer_that_breaks_the_protocol_is_left() {
    let mut large = frame(kind::DATA, 0, 1, &[]);
    large[0] = 0xff;
    for bytes in [
        large,
        frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0; 4]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]),
        [frame(kind::HEADERS, 0, 1, &[]), frame(kind::PING, 0, 0, &[0; 8])].concat(),
        frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x80]),
        frame(kind::DATA, flag::PADDED, 1, &[9]),
        frame(kind::GOAWAY, 0, 0, &[0]),
        settings(&[(setting::INITIAL_WINDOW_SIZE, u32::MAX)]),
    ] {
        assert!(received(&mut ready(&[]), &bytes).is_err(), "{bytes:?}");
    }
    assert!(
        received(&mut client(), b"HTTP/1.1 400 Bad Request\r\n")
            .unwrap_err()
            .contains("HTTP/1")
    );
    assert!(received(&mut client(), &frame(kind::PING, 0, 0, &[0; 8])).is_err());
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(frames: Vec<(u8, u8, u8, Vec<u8>)>) {
        let mut client = ready(&[]);
        client.open(b"\0\0\0\0\x01x", true, 1);
        client.open(b"\0\0\0\0\x01x", false, 2);
        for (kind, flags, stream, payload) in frames {
            let bytes = frame(kind % 12, flags, u32::from(stream % 6), &payload);
            if received(&mut client, &bytes).is_err() {
                break;
            }
        }
    }
}
