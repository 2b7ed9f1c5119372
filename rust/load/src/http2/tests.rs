//! The client against hand-written frames. `tests/runs` tests it with real servers.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

const PREFACE_BYTES: usize = 24;
const EMPTY: Bytes = Bytes::from_static(b"\0\0\0\0\0");

const OK_HEAD: &[u8] = &[
    0x88, 0x0f, 0x10, 16, b'a', b'p', b'p', b'l', b'i', b'c', b'a', b't', b'i', b'o', b'n', b'/', b'g', b'r',
    b'p', b'c',
];

type Client = Http2<u32, DuplexStream>;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

fn settings(rows: &[(u16, u32)]) -> Vec<u8> {
    let row = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &rows.iter().flat_map(row).collect::<Vec<_>>())
}

/// `grpc-status` as a literal without indexing.
fn trailers(stream: u32, status: &str) -> Vec<u8> {
    let block = [
        &[0, 11][..],
        b"grpc-status",
        &[u8::try_from(status.len()).unwrap()],
        status.as_bytes(),
    ];
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block.concat())
}

/// An answer that is nothing but a status.
fn refusal(stream: u32, status: &str) -> Vec<u8> {
    let mut bytes = trailers(stream, status);
    // `:status: 200`, and a block that is longer by it.
    bytes.insert(9, 0x88);
    bytes[2] += 1;
    bytes
}

fn answer(stream: u32, message: &[u8]) -> Vec<u8> {
    let prefix = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
    [
        frame(HEADERS, END_HEADERS, stream, OK_HEAD),
        frame(DATA, 0, stream, &[&prefix, message].concat()),
        trailers(stream, "0"),
    ]
    .concat()
}

/// A peer that a test speaks for.
struct Peer {
    line: DuplexStream,
    input: Vec<u8>,
}

impl Peer {
    /// The frames that have arrived: kind, flags, stream, payload.
    async fn received(&mut self) -> Vec<(u8, u8, u32, Vec<u8>)> {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(Ok(bytes)) =
            tokio::time::timeout(std::time::Duration::ZERO, self.line.read(&mut piece)).await
            && bytes > 0
        {
            self.input.extend_from_slice(&piece[..bytes]);
        }
        let mut frames = Vec::new();
        while let [l0, l1, l2, kind, flags, s0, s1, s2, s3, rest @ ..] = &self.input[..]
            && let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize
            && rest.len() >= length
        {
            let stream = u32::from_be_bytes([*s0, *s1, *s2, *s3]);
            frames.push((*kind, *flags, stream, rest[..length].to_vec()));
            self.input.drain(..9 + length);
        }
        frames
    }
}

/// A client that has exchanged settings with its peer.
async fn ready(rows: &[(u16, u32)]) -> (Client, Peer) {
    let (wire, line) = tokio::io::duplex(1 << 20);
    let head = Head {
        is_tls: false,
        authority: "localhost".to_owned(),
        path: "/s/M".to_owned(),
        token: None,
    };
    let mut peer = Peer {
        line,
        input: Vec::new(),
    };
    let agreeing = async {
        peer.line.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        peer.line.write_all(&settings(rows)).await.unwrap();
        loop {
            if let Some((.., payload)) = peer.received().await.iter().find(|frame| frame.0 == PING) {
                peer.line.write_all(&frame(PING, ACK, 0, payload)).await.unwrap();
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let (client, ()) = tokio::join!(Http2::open(wire, &head), agreeing);
    (client.unwrap(), peer)
}

/// The events of these bytes, or the reason for the end of the connection.
async fn events(client: &mut Client, peer: &mut Peer, bytes: &[u8]) -> Result<Vec<String>, String> {
    peer.line.write_all(bytes).await.unwrap();
    let mut events = Vec::new();
    let ended = poll_fn(|cx| Poll::Ready(client.poll(cx))).await;
    client.events(|event| {
        events.push(match event {
            Event::Message(own, message) => format!("{own}: {}", String::from_utf8_lossy(message)),
            Event::Closed(own, Ok(())) => format!("{own}: ok"),
            Event::Closed(own, Err(failure)) => format!("{own}: {}", failure.label()),
        });
    });
    match ended {
        Poll::Ready(why) => Err(why),
        Poll::Pending => Ok(events),
    }
}

/// The frames that the client sends now.
async fn sent(client: &mut Client, peer: &mut Peer) -> Vec<(u8, u8, u32, usize)> {
    events(client, peer, &[]).await.unwrap();
    let frames = peer.received().await;
    let sized = |(kind, flags, stream, payload): (u8, u8, u32, Vec<u8>)| (kind, flags, stream, payload.len());
    frames.into_iter().map(sized).collect()
}

#[tokio::test]
async fn it_heeds_the_settings_of_the_peer() {
    let (client, _peer) = ready(&[(MAX_CONCURRENT_STREAMS, 7)]).await;
    assert_eq!(client.peer_max_streams(), 7);
    let (client, _peer) = ready(&[]).await;
    assert_eq!(client.peer_max_streams(), usize::MAX);
}

#[tokio::test]
async fn answers_come_in_any_pieces_and_any_order() {
    let bytes = [
        frame(HEADERS, END_HEADERS, 3, OK_HEAD),
        answer(1, b"one"),
        frame(DATA, 0, 3, &[0, 0, 0]),
        frame(DATA, PADDED, 3, &[2, 0, 2, b't', b'w', 0, 0]),
        trailers(3, "0"),
        refusal(5, "14"),
    ]
    .concat();
    for size in 1..bytes.len() {
        let (mut client, mut peer) = ready(&[]).await;
        for own in 1..=3 {
            client.send(EMPTY, true, own).unwrap();
        }
        sent(&mut client, &mut peer).await;
        let mut all = Vec::new();
        for piece in bytes.chunks(size) {
            all.extend(events(&mut client, &mut peer, piece).await.unwrap());
        }
        // News of one read come by request.
        all.sort_unstable();
        assert_eq!(all, ["1: ok", "1: one", "2: ok", "2: tw", "3: UNAVAILABLE"]);
    }
}

#[tokio::test]
async fn nothing_goes_out_before_the_turn() {
    let (mut client, mut peer) = ready(&[]).await;
    let message = Bytes::from([&[0, 0, 0, 0x10, 0][..], &[7; 0x1000]].concat());
    for own in 1..=10 {
        client.send(message.clone(), true, own).unwrap();
    }
    client.take_traffic();
    assert!(peer.received().await.is_empty());
    let frames = sent(&mut client, &mut peer).await;
    let data = frames.iter().filter(|frame| frame.0 == DATA);
    assert_eq!(data.map(|frame| frame.3).sum::<usize>(), 10 * message.len());
    let (sent, received) = client.take_traffic();
    assert!(sent > 10 * message.len() as u64 && received == 0);
}

#[tokio::test]
async fn nothing_is_sent_beyond_the_windows() {
    let (mut client, mut peer) = ready(&[(INITIAL_WINDOW_SIZE, 10)]).await;
    client.send(Bytes::from_static(&[7; 25]), true, 1).unwrap();
    let data = |frames: Vec<(u8, u8, u32, usize)>| -> Vec<(u8, usize)> {
        let data = frames.into_iter().filter(|frame| frame.0 == DATA);
        data.map(|(_, flags, _, length)| (flags, length)).collect()
    };
    assert_eq!(data(sent(&mut client, &mut peer).await), [(0, 10)]);
    // A larger window for all streams applies to the open ones, too.
    let larger = settings(&[(INITIAL_WINDOW_SIZE, 100)]);
    events(&mut client, &mut peer, &larger).await.unwrap();
    assert_eq!(data(sent(&mut client, &mut peer).await), [(END_STREAM, 15)]);
}

#[tokio::test]
async fn a_window_is_opened_again_before_it_is_empty() {
    let (mut client, mut peer) = ready(&[]).await;
    client.send(EMPTY, false, 1).unwrap();
    sent(&mut client, &mut peer).await;
    let head = frame(HEADERS, END_HEADERS, 1, OK_HEAD);
    events(&mut client, &mut peer, &head).await.unwrap();
    let message = frame(
        DATA,
        0,
        1,
        &[&[0, 0, 0, 0x3f, 0xfb][..], &[b'x'; 0x3ffb]].concat(),
    );
    let mut messages = 0;
    // 32 MB in all: more than the window of a stream, and than that of the connection.
    for _ in 0..2_000 {
        messages += events(&mut client, &mut peer, &message).await.unwrap().len();
        peer.received().await;
    }
    assert_eq!(messages, 2_000);
}

#[tokio::test]
async fn a_closing_peer_refuses_what_it_did_not_look_at() {
    let (mut client, mut peer) = ready(&[]).await;
    for own in 1..=3 {
        client.send(EMPTY, true, own).unwrap();
    }
    sent(&mut client, &mut peer).await;
    assert!(client.can_open() && !client.is_closing());
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]);
    assert_eq!(
        events(&mut client, &mut peer, &goaway).await.unwrap(),
        ["3: refused by a closing connection"]
    );
    assert!(client.is_closing() && !client.can_open());
    assert_eq!(
        events(&mut client, &mut peer, &answer(1, b"x")).await.unwrap(),
        ["1: x", "1: ok"]
    );
    let reset = frame(RST_STREAM, 0, 3, &2_u32.to_be_bytes());
    peer.line.write_all(&reset).await.unwrap();
    let mut closed = Vec::new();
    let ended = poll_fn(|cx| Poll::Ready(client.poll(cx))).await;
    client.events(|event| closed.push(format!("{event:?}")));
    assert_eq!(closed, ["Closed(2, Err(Reset(2)))"]);
    assert_eq!(ended, Poll::Ready("connection closed by peer".to_owned()));
}

#[tokio::test]
async fn a_refused_stream_leaves_the_connection() {
    let (mut client, mut peer) = ready(&[]).await;
    client.send(EMPTY, true, 1).unwrap();
    sent(&mut client, &mut peer).await;
    let refused = frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes());
    assert_eq!(
        events(&mut client, &mut peer, &refused).await.unwrap(),
        ["1: refused by a closing connection"]
    );
    assert!(client.can_open());
}

#[tokio::test]
async fn answers_that_were_given_up_are_ignored() {
    let (mut client, mut peer) = ready(&[]).await;
    let place = client.send(EMPTY, true, 1).unwrap();
    sent(&mut client, &mut peer).await;
    let mut gone = Vec::new();
    client.cancel(|own| *own == 1, |own| gone.push(own));
    assert_eq!(gone, [1]);
    assert_eq!(sent(&mut client, &mut peer).await, [(RST_STREAM, 0, 1, 4)]);
    let late = answer(1, b"late");
    assert!(events(&mut client, &mut peer, &late).await.unwrap().is_empty());
    // The place is taken by the next request, whose answer is its own.
    assert_eq!(client.send(EMPTY, true, 2), Ok(place));
    sent(&mut client, &mut peer).await;
    assert_eq!(
        events(&mut client, &mut peer, &answer(3, b"new")).await.unwrap(),
        ["2: new", "2: ok"]
    );
}

#[tokio::test]
async fn a_stream_ends_when_it_is_finished() {
    let (mut client, mut peer) = ready(&[]).await;
    let place = client.send(EMPTY, false, 1).unwrap();
    client.push(place, &EMPTY).unwrap();
    client.push(place, &EMPTY).unwrap();
    client.finish(place);
    client.finish(place);
    let frames = sent(&mut client, &mut peer).await;
    let data: Vec<_> = frames.iter().filter(|frame| frame.0 == DATA).collect();
    assert_eq!(data, [&(DATA, 0, 1, 5), &(DATA, END_STREAM, 1, 10)]);
    // If the peer ends a stream first, the client resets it.
    let place = client.send(EMPTY, false, 2).unwrap();
    sent(&mut client, &mut peer).await;
    assert_eq!(
        events(&mut client, &mut peer, &refusal(3, "8")).await.unwrap(),
        ["2: RESOURCE_EXHAUSTED"]
    );
    assert_eq!(sent(&mut client, &mut peer).await, [(RST_STREAM, 0, 3, 4)]);
    assert_eq!(client.push(place, &EMPTY), None);
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_left() {
    let mut large = frame(DATA, 0, 1, &[]);
    large[0] = 0xff;
    for bytes in [
        large,
        frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 4]),
        frame(CONTINUATION, END_HEADERS, 1, &[]),
        [frame(HEADERS, 0, 1, &[]), frame(PING, 0, 0, &[0; 8])].concat(),
        frame(HEADERS, END_HEADERS, 1, &[0x80]),
        frame(DATA, PADDED, 1, &[9]),
        frame(GOAWAY, 0, 0, &[0]),
        settings(&[(INITIAL_WINDOW_SIZE, u32::MAX)]),
    ] {
        let (mut client, mut peer) = ready(&[]).await;
        let why = events(&mut client, &mut peer, &bytes).await.unwrap_err();
        assert!(
            why.starts_with("it breaks the rules of HTTP/2"),
            "{bytes:?}: {why}"
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(frames: Vec<(u8, u8, u8, Vec<u8>)>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut client, mut peer) = ready(&[]).await;
            client.send(EMPTY, true, 1).unwrap();
            client.send(EMPTY, false, 2).unwrap();
            for (kind, flags, stream, payload) in frames {
                let bytes = frame(kind % 12, flags, u32::from(stream % 6), &payload);
                if events(&mut client, &mut peer, &bytes).await.is_err() {
                    break;
                }
            }
        });
    }
}
