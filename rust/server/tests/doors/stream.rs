//! `CheckStream`: order, pace and back-pressure.

use bytes::Bytes;
use callgate_proto::decision::v1::{CheckRequest, CheckStreamRequest, SettleAction, SettleRequest};
use callgate_server::Limits;
use tokio_stream::StreamExt as _;

use super::stream_client::{Stream, call, connect, message};
use super::support::Rig;

fn request(id: u64, tool: &str) -> CheckStreamRequest {
    let call = CheckRequest {
        grant: "g".to_owned(),
        tool: tool.to_owned(),
        ..CheckRequest::default()
    };
    CheckStreamRequest { id, call: Some(call) }
}

fn decisions_made(rig: &Rig) -> u64 {
    let decisions = rig.server.metrics().decisions;
    decisions.iter().map(|decision| decision.count).sum()
}

fn count_of(rig: &Rig, code: &str) -> u64 {
    let requests = rig.server.metrics().requests;
    let found = requests.iter().find(|request| request.code == code);
    found.map_or(0, |request| request.count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_keep_the_order_and_the_ids_of_their_calls() {
    let rig = Rig::new();
    let tools = ["open", "forbidden", "asks", "labelled", "unknown"];
    let calls: Vec<_> = (0..20_000_u64)
        .zip(tools.iter().cycle())
        .map(|(number, tool)| request(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), tool))
        .collect();
    let rules = [
        "",
        "/tools/forbidden/action",
        "/tools/asks/approval",
        "/tools/labelled/require/grant.labels.team-eq",
        "(default deny)",
    ];
    let ids: Vec<_> = calls.iter().map(|call| call.id).collect();
    // The client ends its side with the last call, and still gets every answer.
    let answers = rig.grpc().check_stream(tokio_stream::iter(calls)).await.unwrap();
    let answers: Vec<_> = answers.into_inner().map(Result::unwrap).collect().await;
    assert_eq!(answers.iter().map(|answer| answer.id).collect::<Vec<_>>(), ids);
    for (answer, rule) in answers.iter().zip(rules.iter().cycle()) {
        assert_eq!(answer.decision.as_ref().unwrap().rule, *rule);
    }
    assert_eq!(count_of(&rig, "OK"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_comes_before_the_next_call() {
    let rig = Rig::new();
    let mut stream = Stream::open(&rig).await;
    for (id, rule) in [(7, ""), (7, ""), (0, "/tools/capped/limits/calls")] {
        stream.send(call(id, "capped"));
        let answer = stream.next().await.unwrap();
        assert_eq!((answer.id, answer.decision.unwrap().rule.as_str()), (id, rule));
    }
    stream.end();
    assert_eq!(stream.rest().await, (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_without_a_call_is_an_invalid_request() {
    let rig = Rig::new();
    let mut stream = Stream::open(&rig).await;
    stream.send(
        [
            message(&CheckStreamRequest { id: 1, call: None }),
            call(2, "open"),
        ]
        .concat(),
    );
    stream.end();
    let expected = [(1, "(invalid request)".to_owned()), (2, String::new())];
    assert_eq!(stream.rest().await, (expected.to_vec(), 0));
}

/// Sends calls whose messages break anywhere, and large ones among small ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_may_come_in_pieces() {
    let rig = Rig::new();
    let mut stream = Stream::open(&rig).await;
    let large = CheckStreamRequest {
        id: 2,
        call: Some(CheckRequest {
            args_json: format!("{{\"text\":\"{}\"}}", "x".repeat(300_000)).into(),
            ..request(2, "open").call.unwrap()
        }),
    };
    let bytes = [call(1, "open"), message(&large), call(3, "open")].concat();
    for piece in bytes.chunks(7_001) {
        stream.send(piece.to_vec());
    }
    for byte in call(4, "open") {
        stream.send(vec![byte]);
    }
    stream.end();
    let expected: Vec<_> = (1..=4).map(|id| (id, String::new())).collect();
    assert_eq!(stream.rest().await, (expected, 0));
}

/// A client that takes no answers is not read any further; others, on the same worker and connection, are not delayed.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_slow_reader_holds_up_itself_alone() {
    const CALLS: u64 = 100_000;
    let rig = Rig::new();
    let client = connect(&rig, 1_000).await;
    let mut slow = Stream::with(client.clone(), &[]).await;
    let calls: Vec<u8> = (0..CALLS).flat_map(|id| call(id, "open")).collect();
    let calls = Bytes::from(calls);
    let sent = slow.fill(&calls).await;
    assert!(sent < calls.len(), "all of it was let in");
    let decided = decisions_made(&rig);
    assert!(decided < CALLS / 10, "{decided} decided with nobody to tell");

    let mut quick = Stream::with(client, &[]).await;
    quick.send(call(1, "open"));
    assert_eq!(quick.next().await.unwrap().id, 1);
    let mut other = rig.grpc();
    let unary = request(0, "open").call.unwrap();
    assert_eq!(other.check(unary).await.unwrap().into_inner().rule, "");

    // It takes them at last, and none is missing or twice.
    slow.send(calls.slice(sent..));
    slow.end();
    for id in 0..CALLS {
        assert_eq!(slow.next().await.unwrap().id, id);
    }
    assert_eq!(slow.rest().await, (Vec::new(), 0));
    assert_eq!(decisions_made(&rig), CALLS + 2);
}

/// A client that vanishes keeps the units that it took: a reservation is committed by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_vanishes_leaves_its_units_taken() {
    let rig = Rig::new();
    let mut stream = Stream::open(&rig).await;
    let reserve = |id, tool| {
        let mut request = request(id, tool);
        request.call.as_mut().unwrap().reserve = true;
        message(&request)
    };
    let mut reservations = Vec::new();
    stream.send([reserve(0, "capped"), reserve(1, "capped")].concat());
    for _ in 0..2 {
        reservations.push(stream.next().await.unwrap().decision.unwrap().reservation);
    }
    drop(stream);
    while count_of(&rig, "CANCELLED") == 0 {
        tokio::task::yield_now().await;
    }

    rig.clock.advance_us(31_000_000);
    let mut client = rig.grpc();
    for reservation in reservations {
        let request = SettleRequest {
            reservation,
            action: SettleAction::RollBack.into(),
        };
        assert!(!client.settle(request).await.unwrap().into_inner().settled);
    }
    let call = request(0, "capped").call.unwrap();
    let rule = client.check(call.clone()).await.unwrap().into_inner().rule;
    assert_eq!(rule, "/tools/capped/limits/calls");
    rig.clock.advance_us(30_000_000);
    assert_eq!(client.check(call).await.unwrap().into_inner().rule, "");
}

/// The number of remembered open reservations is bounded: the oldest are committed early.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn open_reservations_are_bounded() {
    const CAPACITY: usize = 64;
    let rig = Rig::new();
    let calls = (0..3 * CAPACITY as u64).map(|id| {
        let mut request = request(id, "spend");
        let call = request.call.as_mut().unwrap();
        (call.grant, call.reserve) = (format!("g{id}"), true);
        call.args_json = br#"{"amount":1}"#.to_vec().into();
        request
    });
    let mut client = rig.grpc();
    let answers = client
        .check_stream(tokio_stream::iter(calls.collect::<Vec<_>>()))
        .await;
    let answers: Vec<_> = answers.unwrap().into_inner().map(Result::unwrap).collect().await;
    let mut settled = Vec::new();
    for answer in answers {
        let request = SettleRequest {
            reservation: answer.decision.unwrap().reservation,
            action: SettleAction::RollBack.into(),
        };
        settled.push(client.settle(request).await.unwrap().into_inner().settled);
    }
    let (early, late) = settled.split_at(2 * CAPACITY);
    assert!(
        early.iter().all(|settled| !settled) && late.iter().all(|settled| *settled),
        "{settled:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_past_its_deadline_decides_nothing() {
    let rig = Rig::new();
    let mut stream = Stream::with(connect(&rig, 65_535).await, &[("grpc-timeout", "1n")]).await;
    // The server may have ended it before.
    stream.try_send(call(1, "capped"));
    assert_eq!(stream.rest().await, (Vec::new(), 4));
    assert_eq!(decisions_made(&rig), 0);
    assert_eq!(count_of(&rig, "DEADLINE_EXCEEDED"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_idle_stream_ends_with_its_deadline() {
    let rig = Rig::new();
    let mut stream = Stream::with(connect(&rig, 65_535).await, &[("grpc-timeout", "200m")]).await;
    assert_eq!(stream.rest().await, (Vec::new(), 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_that_is_too_large_ends_the_stream() {
    let rig = Rig::limited(Limits {
        body_limit_bytes: 100,
        ..Limits::default()
    });
    let mut stream = Stream::open(&rig).await;
    stream.send(call(1, "open"));
    stream.send(vec![0, 0, 0, 0, 101]);
    assert_eq!(stream.rest().await, (vec![(1, String::new())], 8));
}
