//! Memory that replies take until they are read and sent.

use super::*;

/// Likewise, where there is room for 100 bytes at once.
struct NoRoom {
    most: Arc<AtomicUsize>,
}

impl Cut for NoRoom {
    type Kept = ();

    fn poll_work(&mut self, _context: &mut Context<'_>, _bytes: usize) -> Poll<()> {
        Poll::Ready(())
    }

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

    fn poll_work(&mut self, _context: &mut Context<'_>, _bytes: usize) -> Poll<()> {
        Poll::Ready(())
    }

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
