//! The ends of streams: faults, time, and a server that stops.

use callgate_server::{Limits, ServerConfig};

use tokio::net::TcpStream;

use super::stream_client::{Stream, call, connect};
use super::support::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_that_are_no_message_end_the_stream_after_the_answers_before() {
    let undecodable: [&[u8]; 4] = [
        b"\0\0\0\0\x02\xff\xff",
        b"\0\0\0\0\x04\x12\x02\x0a\x05",
        b"\x02\0\0\0\0",
        b"\x01\0\0\0\x02ab",
    ];
    for bytes in undecodable {
        let rig = Rig::new();
        let client = connect(&rig, 65_535).await;
        let mut stream = Stream::with(client.clone(), &[]).await;
        stream.send([&call(1, "open"), bytes, &call(2, "open")].concat());
        assert_eq!(stream.rest().await, (vec![(1, String::new())], 3), "{bytes:?}");

        // The connection lives.
        let mut next = Stream::with(client, &[]).await;
        next.send(call(3, "open"));
        assert_eq!(next.next().await.unwrap().id, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_ends_in_the_midst_of_a_message_is_told() {
    let rig = Rig::new();
    let mut stream = Stream::open(&rig).await;
    let half = call(2, "open");
    stream.send([&call(1, "open"), &half[..half.len() - 1]].concat());
    stream.end();
    assert_eq!(stream.rest().await, (vec![(1, String::new())], 3));
}

/// An idle time that is longer than the limit for a message: a stream is not a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_idle_stream_lives_and_a_message_that_does_not_end_is_given_up() {
    let rig = Rig::limited(Limits {
        message_timeout_ms: 200,
        ..Limits::default()
    });
    let client = connect(&rig, 65_535).await;
    let mut idle = Stream::with(client.clone(), &[]).await;
    idle.send(call(1, "open"));
    assert_eq!(idle.next().await.unwrap().id, 1);
    for begun in [1, 5, 6] {
        let mut stalled = Stream::with(client.clone(), &[]).await;
        stalled.send([&call(1, "open"), &call(2, "open")[..begun]].concat());
        assert_eq!(stalled.rest().await, (vec![(1, String::new())], 4), "{begun}");
    }
    idle.send(call(2, "open"));
    idle.end();
    assert_eq!(idle.rest().await, (vec![(2, String::new())], 0));
}

/// Single bytes now and then do not count as progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_in_drips_is_given_up() {
    let rig = Rig::limited(Limits {
        message_timeout_ms: 300,
        ..Limits::default()
    });
    let mut stream = Stream::open(&rig).await;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
    // Would take five times as long as it may.
    for byte in call(1, "open").into_iter().cycle().take(30) {
        ticks.tick().await;
        if !stream.try_send(vec![byte]) {
            break;
        }
    }
    let (answers, status) = stream.rest().await;
    assert!(answers.len() <= 1, "{answers:?}");
    assert_eq!(status, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_idle_streams_and_cuts_nobody_off() {
    let rig = Rig::new();
    let mut stream = Stream::open(&rig).await;
    stream.send(call(1, "open"));
    assert_eq!(stream.next().await.unwrap().id, 1);
    let stopping = tokio::task::spawn_blocking(move || {
        rig.server.stop();
        rig.wait_for_event("server_stopped")
    });
    let (status, message) = stream.next().await.unwrap_err();
    assert_eq!(status, 14);
    assert!(message.contains("stopping"), "{message}");
    let stopped = stopping.await.unwrap();
    assert_eq!(stopped.fields, [("connections_cut_off", 0_u64.into())]);
}

/// At every moment of a stop: decided calls were answered, in order, and calls without an answer were not decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_what_it_has_decided() {
    const CALLS: u64 = 200_000;
    let rig = Rig::configured(ServerConfig {
        grace_ms: 60_000,
        ..ServerConfig::default()
    });
    let mut stream = Stream::open(&rig).await;
    let calls: Vec<u8> = (0..CALLS).flat_map(|id| call(id, "open")).collect();
    stream.send(calls);
    assert_eq!(stream.next().await.unwrap().id, 0);
    let address = rig.server.address().unwrap();
    let stopping = tokio::task::spawn_blocking(move || {
        rig.server.stop();
        rig
    });
    // No answers are taken meanwhile, so it cannot get to the end before it stops.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let (answers, status) = stream.rest().await;
    let rig = stopping.await.unwrap();
    assert_eq!(status, 14);
    let answered = answers.len() as u64 + 1;
    assert!(answered < CALLS, "it did not stop");
    assert!(answers.iter().map(|(id, _)| *id).eq(1..answered));
    let decided: u64 = rig.server.metrics().decisions.iter().map(|one| one.count).sum();
    assert_eq!(decided, answered);
    let stopped = rig.wait_for_event("server_stopped");
    assert_eq!(stopped.fields, [("connections_cut_off", 0_u64.into())]);
}
