//! Replies that may not hold a list, and lines of events as every reader splits them.

use super::*;

/// The characters that end a line for `str.splitlines`, by which some clients read events, besides LF and CR.
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
