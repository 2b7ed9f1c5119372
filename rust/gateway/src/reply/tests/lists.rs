//! Lists of tools in replies, however they are encoded and split.

use super::*;

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
