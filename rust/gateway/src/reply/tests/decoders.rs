//! Windows and memory of decoders.

use super::*;

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
