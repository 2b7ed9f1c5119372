use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callgate_core::json::Tape;
use callgate_mcp::list;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::AsyncWriteExt as _;
use tokio_stream::iter;

use super::*;

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"secret"}]}}"#;
const CUT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}"#;

/// Takes the tool `secret` out.
struct NoSecret;

impl Cut for NoSecret {
    type Kept = ();

    fn keeps(&mut self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn holds(&mut self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn message(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        list::filter(&mut Tape::new(), message, |tool| tool != "secret")
            .map(Into::into)
            .map_err(|error| self.withheld(&error.to_string()))
    }

    fn event(&mut self, event: &Event<'_>) -> Result<Vec<u8>, String> {
        list::filter_event(&mut Tape::new(), event, |tool| tool != "secret")
            .map(Into::into)
            .map_err(|error| self.withheld(&error.to_string()))
    }

    fn withheld(&mut self, reason: &str) -> String {
        format!("withheld: {reason}")
    }
}

/// Likewise, where there is room for 100 bytes at once.
struct NoRoom {
    most: Arc<AtomicUsize>,
}

impl Cut for NoRoom {
    type Kept = ();

    fn keeps(&mut self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn holds(&mut self, bytes: usize) -> Result<(), String> {
        if bytes > 100 {
            return Err("no room".to_owned());
        }
        self.most.fetch_max(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn message(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        NoSecret.message(message)
    }

    fn event(&mut self, event: &Event<'_>) -> Result<Vec<u8>, String> {
        NoSecret.event(event)
    }

    fn withheld(&mut self, reason: &str) -> String {
        NoSecret.withheld(reason)
    }
}

/// Room for so much, and the most that was held of it.
#[derive(Clone, Debug)]
struct Rooms {
    limit_bytes: usize,
    most: Arc<AtomicUsize>,
}

impl Rooms {
    fn of(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            most: Arc::default(),
        }
    }
}

impl Room for Rooms {
    fn holds(&mut self, bytes: usize) -> Result<(), String> {
        if bytes > self.limit_bytes {
            return Err("no room".to_owned());
        }
        self.most.fetch_max(bytes, Ordering::Relaxed);
        Ok(())
    }
}

fn roomy() -> Rooms {
    Rooms::of(usize::MAX)
}

fn reply(
    media: &str,
    encoding: Option<&'static str>,
    pieces: Vec<Vec<u8>>,
) -> Response<impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static> {
    let pieces = pieces
        .into_iter()
        .map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let mut response = Response::new(StreamBody::new(iter(pieces.collect::<Vec<_>>())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, media.parse().unwrap());
    response
        .headers_mut()
        .insert(ETAG, HeaderValue::from_static("\"x\""));
    if let Some(encoding) = encoding {
        let encoding = HeaderValue::from_static(encoding);
        response.headers_mut().insert(CONTENT_ENCODING, encoding);
    }
    response
}

async fn text(response: Response<ReplyBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Compresses with one of the encoders.
macro_rules! compressed {
    ($encoder:ident, $bytes:expr) => {{
        let mut encoder = async_compression::tokio::write::$encoder::new(Vec::new());
        encoder.write_all($bytes).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.into_inner()
    }};
}

async fn cut_list(
    reply: Response<impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static>,
) -> String {
    text(cut(reply, Holds::List, 10_000, roomy(), NoSecret).await).await
}

#[tokio::test]
async fn lists_are_cut_however_they_are_compressed() {
    let list = LIST.as_bytes();
    for (encoding, bytes) in [
        (None, list.to_vec()),
        (Some("identity"), list.to_vec()),
        (Some("gzip"), compressed!(GzipEncoder, list)),
        (Some("deflate"), compressed!(ZlibEncoder, list)),
        (Some("br"), compressed!(BrotliEncoder, list)),
        (Some("zstd"), compressed!(ZstdEncoder, list)),
    ] {
        for size in [1, 7, 1_000] {
            let pieces = bytes.chunks(size).map(<[u8]>::to_vec).collect();
            let whole = cut(
                reply("application/json", encoding, pieces),
                Holds::List,
                10_000,
                roomy(),
                NoSecret,
            )
            .await;
            for name in [ETAG, CONTENT_ENCODING, CONTENT_LENGTH] {
                assert!(!whole.headers().contains_key(name));
            }
            assert_eq!(text(whole).await, CUT, "{encoding:?} in pieces of {size}");
        }
    }
}

#[tokio::test]
async fn streams_are_cut_however_they_come() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = format!(": hi{end}{end}id: 7{end}data: {LIST}{end}{end}data: {{}}{end}{end}");
        let expected = format!(": hi{end}{end}id: 7{end}data: {CUT}{end}{end}data: {{}}{end}{end}");
        let zipped = compressed!(GzipEncoder, stream.as_bytes());
        for size in [1, 3, 10_000] {
            for (encoding, bytes) in [(None, stream.as_bytes()), (Some("gzip"), zipped.as_slice())] {
                let pieces = bytes.chunks(size).map(<[u8]>::to_vec).collect();
                let stream = reply("text/event-stream; charset=utf-8", encoding, pieces);
                assert_eq!(
                    cut_list(stream).await,
                    expected,
                    "{encoding:?} in pieces of {size}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_withheld() {
    let bomb = compressed!(GzipEncoder, &vec![b' '; 1_000_000]);
    for (reply, reason) in [
        (reply("text/html", None, vec![b"<html>".to_vec()]), "neither JSON"),
        (
            reply("application/json", Some("lzma"), vec![b"x".to_vec()]),
            "in a way that is not known",
        ),
        (
            reply("application/json", Some("gzip"), vec![b"x".to_vec()]),
            "broke off",
        ),
        (
            reply("application/json", Some("gzip"), vec![bomb.clone()]),
            "more than 10000 bytes",
        ),
        (
            reply("application/json", None, vec![b"{".to_vec()]),
            "not one well-formed",
        ),
        (
            reply("application/json", None, vec![vec![b' '; 10_001]]),
            "more than 10000 bytes",
        ),
    ] {
        let instead = cut_list(reply).await;
        assert!(
            instead.starts_with("withheld: ") && instead.contains(reason),
            "{instead}"
        );
    }
    for pieces in [
        vec![b"data: ".to_vec(), vec![b'x'; 20_000]],
        vec![b"data: {\n\n".to_vec()],
    ] {
        let instead = cut_list(reply("text/event-stream", None, pieces)).await;
        assert!(
            instead.starts_with("event: message\ndata: withheld: "),
            "{instead}"
        );
    }
    let bomb = cut_list(reply("text/event-stream", Some("gzip"), vec![bomb])).await;
    assert!(bomb.contains("more than 10000 bytes"), "{bomb}");
}

#[tokio::test]
async fn what_no_list_can_stand_in_passes() {
    let mut refused = reply("text/plain", None, vec![b"not here".to_vec()]);
    *refused.status_mut() = StatusCode::NOT_FOUND;
    let refused = cut(refused, Holds::List, 10, roomy(), NoSecret).await;
    assert!(refused.headers().contains_key(ETAG));
    assert_eq!(text(refused).await, "not here");
    let nothing = Response::new(Full::<Bytes>::default());
    assert_eq!(
        text(cut(nothing, Holds::List, 10, roomy(), NoSecret).await).await,
        ""
    );
}

#[tokio::test]
async fn what_is_held_has_to_have_room() {
    let most = Arc::new(AtomicUsize::new(0));
    let cramped = async |media, pieces: &[&[u8]]| {
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        let most = Arc::clone(&most);
        text(
            cut(
                reply(media, None, pieces),
                Holds::List,
                10_000,
                roomy(),
                NoRoom { most },
            )
            .await,
        )
        .await
    };
    let (list, blank) = (LIST.as_bytes(), [b' '; 90]);
    assert_eq!(cramped("application/json", &[list]).await, CUT);
    let instead = cramped("application/json", &[list, &blank]).await;
    assert_eq!(instead, "withheld: no room");

    let events = [&b"data: "[..], list, b"\n\n"].concat();
    // Any number of events, one after another.
    let stream = cramped("text/event-stream", &[events.as_slice(); 5]).await;
    assert_eq!(stream, format!("data: {CUT}\n\n").repeat(5));
    let stream = cramped(
        "text/event-stream",
        &[&events, b"data: ", &blank, &blank, b"{}\n\n"],
    )
    .await;
    assert_eq!(
        stream,
        format!("data: {CUT}\n\nevent: message\ndata: withheld: no room\n\n")
    );
    assert_eq!(
        most.load(Ordering::Relaxed),
        96,
        "what was held when there was room"
    );
}

#[tokio::test]
async fn events_with_lines_that_readers_may_take_for_data_are_withheld() {
    for line in [
        "\u{ef}\u{bb}\u{bf}data: ",
        " data: ",
        "Data: ",
        "\u{feff}\u{feff}data: ",
    ] {
        let stream = format!("{line}{LIST}\n\ndata: {LIST}\n\n");
        let reply = reply("text/event-stream", None, vec![stream.into_bytes()]);
        let seen = text(cut(reply, Holds::List, 1 << 20, roomy(), NoSecret).await).await;
        assert!(!seen.contains("secret"), "{seen}");
        assert!(seen.contains("withheld: an event has a line"), "{seen}");
        assert!(seen.contains(CUT), "{seen}");
    }
}

/// What ends a line for `str.splitlines`, by which some clients read events, beside LF and CR.
const BREAKS: [char; 8] = [
    '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

#[tokio::test]
async fn a_line_of_an_event_is_one_line_to_every_reader() {
    for line_break in BREAKS {
        let hidden = format!("{line_break}data: {LIST}{line_break}{line_break}");
        for stream in [
            format!(
                "data: {{\"id\":1,\"result\":{{\"a\":\"{}\"}}}}\n\n",
                hidden.replace('"', "'")
            ),
            format!("id: 1{hidden}\nevent: x{hidden}\ndata: {{}}\n\n"),
            format!(": open{hidden}\n\n"),
            format!("{hidden}\n\ndata: 1{hidden}\n\n"),
        ] {
            let zipped = compressed!(GzipEncoder, stream.as_bytes());
            for size in [1, 2, 10_000] {
                for (encoding, bytes) in [(None, stream.as_bytes()), (Some("gzip"), zipped.as_slice())] {
                    let reply = || {
                        let pieces = bytes.chunks(size).map(<[u8]>::to_vec).collect();
                        let mut reply = reply("text/event-stream", encoding, pieces);
                        let length = HeaderValue::from(bytes.len());
                        reply.headers_mut().insert(CONTENT_LENGTH, length);
                        reply
                    };
                    for holds in [Holds::List, Holds::Anything] {
                        let cut = cut(reply(), holds, 10_000, roomy(), NoSecret).await;
                        let seen = text(cut).await;
                        assert!(!seen.contains(BREAKS), "{seen:?}");
                    }
                    let seen = watched(reply(), roomy(), || ()).expect("readable");
                    // It has another length than its server said.
                    assert!(!seen.headers().contains_key(CONTENT_LENGTH));
                    let mut body = seen.into_body();
                    while let Some(Ok(frame)) = body.frame().await {
                        let seen = String::from_utf8_lossy(frame.data_ref().unwrap()).into_owned();
                        assert!(!seen.contains(BREAKS), "{seen:?}");
                    }
                }
            }
        }
        // Nothing else of it changes, and what is no stream has no lines.
        let said = format!("{{\"id\":1,\"result\":{{\"text\":\"a{line_break}b\"}}}}");
        let escaped = said.replace(line_break, &format!("\\u{:04x}", u32::from(line_break)));
        for (kind, before, after) in [
            (
                "text/event-stream",
                format!("id: 1\ndata: {said}\n\n"),
                format!("id: 1\ndata: {escaped}\n\n"),
            ),
            ("application/json", said.clone(), said.clone()),
        ] {
            let pieces = before.as_bytes().chunks(3).map(<[u8]>::to_vec).collect();
            let seen = watched(reply(kind, None, pieces), roomy(), || ()).expect("readable");
            assert_eq!(text(seen.map(BodyExt::boxed_unsync)).await, after);
        }
    }
}

#[tokio::test]
async fn what_is_read_otherwise_is_withheld() {
    for (media, holds) in [
        ("text/event-stream; charset=utf-16-le", Holds::List),
        ("text/event-stream;charset=\"utf-7\"", Holds::Anything),
        ("application/json; charset=utf-16", Holds::List),
        ("application/json; charset = latin-1", Holds::List),
        ("application/json; charset*=utf-7", Holds::List),
        ("text/plain", Holds::Anything),
        ("text/event-stream+x", Holds::Anything),
        ("text/event-stream, text/plain", Holds::Anything),
        ("", Holds::Anything),
    ] {
        let reply = reply(media, None, vec![format!("data: {LIST}\n\n").into_bytes()]);
        let seen = text(cut(reply, holds, 1 << 20, roomy(), NoSecret).await).await;
        assert!(seen.starts_with("withheld: "), "{media}: {seen}");
    }
    let fine = reply("application/json; charset=UTF-8", None, vec![LIST.into()]);
    assert_eq!(
        text(cut(fine, Holds::List, 1 << 20, roomy(), NoSecret).await).await,
        CUT
    );
}

#[tokio::test]
async fn what_asked_for_no_list_goes_on_until_it_shows_one() {
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"tools"}]}}"#;
    let watch = |media: &str, pieces: Vec<&str>| {
        let pieces = pieces.into_iter().map(Into::into).collect();
        let met = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&met);
        let watched = watched(reply(media, None, pieces), roomy(), move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        (watched.map(|reply| reply.map(BodyExt::boxed_unsync)), met)
    };
    let (fine, met) = watch("application/json", vec![result]);
    assert_eq!(text(fine.unwrap()).await, result);
    assert_eq!(met.load(Ordering::Relaxed), 0);

    let event = format!("data: {LIST}\n\n");
    let (before, after) = event.split_at(event.find("[{").unwrap());
    for (media, pieces, shown) in [
        ("application/json", vec![&LIST[..20], &LIST[20..]], &LIST[..20]),
        (
            "text/event-stream",
            vec![": open\n\n", before, after],
            ": open\n\n",
        ),
    ] {
        let (broken, met) = watch(media, pieces);
        let mut body = broken.unwrap().into_body();
        let mut read = Vec::new();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => read.extend_from_slice(frame.data_ref().unwrap()),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(String::from_utf8(read).unwrap(), shown);
        assert!(error.contains("a list of tools"), "{error}");
        assert!(body.frame().await.is_none());
        assert_eq!(met.load(Ordering::Relaxed), 1);
    }
    for media in [
        "text/event-stream+x",
        "application/jsonx",
        "text/event-stream; charset=utf-7",
    ] {
        assert!(watch(media, vec![LIST]).0.is_err(), "{media}");
    }
    // Nobody reads a message there.
    assert_eq!(text(watch("text/html", vec!["<p>"]).0.unwrap()).await, "<p>");
}

/// A frame of Zstandard with a window of so many bytes, by its logarithm: so many blanks, and a text.
async fn with_window(log: u32, blanks: usize, text: &str) -> Vec<u8> {
    let window = [async_compression::zstd::CParameter::window_log(log)];
    let level = async_compression::Level::Fastest;
    let mut encoder =
        async_compression::tokio::write::ZstdEncoder::with_quality_and_params(Vec::new(), level, &window);
    encoder.write_all(&vec![b' '; blanks]).await.unwrap();
    encoder.flush().await.unwrap();
    encoder.write_all(text.as_bytes()).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

#[tokio::test]
async fn windows_beyond_what_http_allows_are_refused() {
    let most = with_window(23, 1_000, LIST).await;
    assert_eq!(
        cut_list(reply("application/json", Some("zstd"), vec![most]))
            .await
            .trim(),
        CUT
    );
    // A stream with a large window is known by how it begins.
    for (encoding, bytes) in [
        ("zstd", with_window(24, 1_000, LIST).await),
        ("zstd", with_window(27, 1_000, LIST).await),
        ("br", vec![0x11, 0x1e, 0, 0]),
        ("br", vec![0x91, 0x1e, 0, 0]),
    ] {
        for (kind, holds) in [
            ("application/json", Holds::List),
            ("text/event-stream", Holds::Anything),
        ] {
            let reply = || {
                reply(
                    kind,
                    Some(encoding),
                    bytes.chunks(1).map(<[u8]>::to_vec).collect(),
                )
            };
            let mut body = cut(reply(), holds, 10_000, roomy(), NoSecret).await.into_body();
            let seen = body.frame().await.unwrap();
            if let Ok(seen) = seen {
                assert!(seen.data_ref().unwrap().starts_with(b"withheld: it broke off"));
            }
            let mut body = watched(reply(), roomy(), || ()).unwrap().into_body();
            assert!(body.frame().await.unwrap().is_err(), "{encoding} {kind}");
        }
    }
}

#[tokio::test]
async fn what_decoders_hold_is_counted_and_bounded() {
    const MEBIBYTE: usize = 1 << 20;
    let long = vec![b' '; 40 * MEBIBYTE];
    for (encoding, bytes, most_bytes) in [
        ("gzip", compressed!(GzipEncoder, &long), MEBIBYTE),
        ("br", compressed!(BrotliEncoder, &long), 17 * MEBIBYTE),
        ("zstd", with_window(23, long.len(), "{}").await, 9 * MEBIBYTE),
    ] {
        let reply = || reply("application/json", Some(encoding), vec![bytes.clone()]);
        let room = roomy();
        let seen = watched(reply(), room.clone(), || ()).unwrap().into_body();
        assert!(seen.collect().await.is_ok());
        let most = room.most.load(Ordering::Relaxed);
        assert!((1..=most_bytes).contains(&most), "{encoding}: {most}");

        for too_little in [100, most - 1] {
            let mut body = watched(reply(), Rooms::of(too_little), || ())
                .unwrap()
                .into_body();
            let error = loop {
                match body.frame().await.unwrap() {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error.to_string(), "no room");
            let list = cut(
                reply(),
                Holds::List,
                100 * MEBIBYTE,
                Rooms::of(too_little),
                NoSecret,
            )
            .await;
            assert_eq!(text(list).await, "withheld: no room");
        }
    }
    // What is short takes up little.
    let room = roomy();
    let short = reply(
        "application/json",
        Some("zstd"),
        vec![compressed!(ZstdEncoder, LIST.as_bytes())],
    );
    assert_eq!(
        text(cut(short, Holds::List, 10_000, room.clone(), NoSecret).await).await,
        CUT
    );
    assert!(room.most.load(Ordering::Relaxed) < MEBIBYTE / 2);
}

/// Counts what goes on until its client has taken it.
struct Keeping {
    kept: Arc<AtomicUsize>,
    limit_bytes: usize,
}

/// Some of what [`Keeping`] counts.
struct KeptBytes {
    kept: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for KeptBytes {
    fn drop(&mut self) {
        self.kept.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Cut for Keeping {
    type Kept = KeptBytes;

    fn keeps(&mut self, bytes: usize) -> Result<KeptBytes, String> {
        if bytes > self.limit_bytes {
            return Err("no room".to_owned());
        }
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        Ok(KeptBytes {
            kept: Arc::clone(&self.kept),
            bytes,
        })
    }

    fn holds(&mut self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn message(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        NoSecret.message(message)
    }

    fn event(&mut self, event: &Event<'_>) -> Result<Vec<u8>, String> {
        NoSecret.event(event)
    }

    fn withheld(&mut self, reason: &str) -> String {
        NoSecret.withheld(reason)
    }
}

#[tokio::test]
async fn a_list_counts_until_the_last_of_its_bytes_is_gone() {
    let event = format!("data: {LIST}\n\n");
    for (kind, sent, cut_bytes) in [
        ("application/json", LIST, CUT.len()),
        ("text/event-stream", event.as_str(), CUT.len() + 8),
    ] {
        let kept = Arc::new(AtomicUsize::new(0));
        let count = || kept.load(Ordering::Relaxed);
        let keeping = |limit_bytes| Keeping {
            kept: Arc::clone(&kept),
            limit_bytes,
        };
        let one = || reply(kind, None, vec![sent.into()]);
        let mut body = cut(one(), Holds::List, 10_000, roomy(), keeping(100))
            .await
            .into_body();
        let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!(count(), cut_bytes, "{kind}");
        // As whoever sends it takes it apart.
        let first = bytes.split_to(1);
        drop(bytes);
        assert_eq!(count(), cut_bytes, "{kind}");
        drop(first);
        assert_eq!(count(), 0, "{kind}");

        let instead = text(cut(one(), Holds::List, 10_000, roomy(), keeping(10)).await).await;
        assert!(
            instead.ends_with("withheld: no room\n\n") || instead == "withheld: no room",
            "{instead}"
        );
    }
}
