//! Envoy's external processing: lists of tools in replies.

use callgate_core::policy::Catalogue;
use callgate_proto::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use callgate_proto::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_request::Request as Said;
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_response::Response as Answered;
use callgate_proto::pb::envoy::service::ext_proc::v3::{BodyResponse, HttpTrailers};
use callgate_server::Limits;
use serde_json::json;
use tonic::Code;

use super::ext_proc::{
    Exchange, body, denied, head, http_headers, mutation, passed, request_body, rig, rig_with, said,
};
use super::support::{Rig, state};

const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"open"},{"name":"secret"}]}}"#;
const CUT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"open"}]}}"#;
const EVENTS: &str = "text/event-stream; charset=utf-8";

/// Sends a `tools/list`, or the opening of a stream, that is forwarded.
async fn asked(rig: &Rig, method: &str, more: &[(&str, &str)], reply: BodySendMode) -> Exchange {
    let mut exchange = Exchange::open(rig).await;
    let modes = (BodySendMode::Buffered, reply);
    let answer = exchange.ask(head(method, more, method == "GET", modes)).await;
    let answer = if method == "GET" {
        answer
    } else {
        let list = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"});
        exchange.ask(request_body(&list)).await
    };
    let (_, removed) = passed(answer);
    assert!(removed.contains(&"accept-encoding".to_owned()), "{removed:?}");
    exchange
}

/// Sends the headers of a reply.
async fn began(exchange: &mut Exchange, kind: &str, more: &[(&str, &str)]) -> Answered {
    let headers = [&[(":status", "200"), ("content-type", kind)], more].concat();
    exchange
        .ask(said(Said::ResponseHeaders(http_headers(&headers, false))))
        .await
}

fn goes_on(answer: Answered) {
    let Answered::ResponseHeaders(headers) = answer else {
        panic!("{answer:?}");
    };
    let (set, removed) = mutation(headers.response.unwrap().header_mutation);
    assert!(
        set.is_empty()
            && removed.contains(&"content-length".to_owned())
            && removed.contains(&"etag".to_owned())
    );
}

/// Returns the bytes that replace a piece; `None` if the piece is unchanged.
fn piece(answer: BodyResponse) -> Option<Vec<u8>> {
    let mutation = answer.response.unwrap().body_mutation?.mutation.unwrap();
    Some(match mutation {
        Mutation::Body(bytes) => bytes,
        Mutation::ClearBody(true) => Vec::new(),
        Mutation::StreamedResponse(piece) => piece.body,
        Mutation::ClearBody(false) => panic!("{mutation:?}"),
    })
}

/// Sends a reply in these pieces, and returns the bytes that are passed on.
async fn replied(exchange: &mut Exchange, pieces: &[&[u8]]) -> Vec<u8> {
    let mut seen = Vec::new();
    for (index, bytes) in pieces.iter().enumerate() {
        let is_last = index + 1 == pieces.len();
        match exchange
            .ask(said(Said::ResponseBody(body(*bytes, is_last))))
            .await
        {
            Answered::ResponseBody(answer) => seen.extend(piece(answer).unwrap_or_else(|| bytes.to_vec())),
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hidden_tools_are_gone_wherever_a_list_is_cut() {
    let rig = rig();
    for at in 0..=LIST.len() {
        let mut exchange = asked(&rig, "POST", &[], BodySendMode::Streamed).await;
        goes_on(began(&mut exchange, "application/json", &[]).await);
        let (begin, rest) = LIST.split_at(at);
        let seen = replied(&mut exchange, &[begin.as_bytes(), rest.as_bytes()]).await;
        assert_eq!(seen, CUT.as_bytes(), "{at}");
        assert!(exchange.next().await.unwrap().is_none());
    }
    let events = |list: &str| {
        format!(": hi\r\n\r\nid: 1\r\ndata: {list}\r\n\r\ndata: {{\"method\":\"ping\"}}\n\ndata:\n\n")
    };
    let (stream, cut) = (events(LIST), events(CUT));
    for at in 0..=stream.len() {
        let mut exchange = asked(&rig, "POST", &[], BodySendMode::Streamed).await;
        goes_on(began(&mut exchange, EVENTS, &[]).await);
        let (begin, rest) = stream.as_bytes().split_at(at);
        assert_eq!(
            replied(&mut exchange, &[begin, rest]).await,
            cut.as_bytes(),
            "{at}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_line_of_an_event_is_one_line_to_every_reader() {
    let rig = rig();
    let hidden = LIST.replace('"', "'");
    for line_break in [
        "\u{b}", "\u{c}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{85}", "\u{2028}", "\u{2029}",
    ] {
        let other = format!("{{\"method\":\"x\",\"params\":\"{line_break}data: {hidden}{line_break}\"}}");
        let stream = format!(": a{line_break}data: {LIST}\n\nid: 1\ndata: {other}\n\n");
        for method in ["POST", "GET"] {
            // Also within the first of them.
            for at in 0..=8 {
                let mut exchange = asked(&rig, method, &[], BodySendMode::Streamed).await;
                goes_on(began(&mut exchange, EVENTS, &[]).await);
                let (begin, rest) = stream.as_bytes().split_at(at);
                let seen = replied(&mut exchange, &[begin, rest]).await;
                assert!(
                    !String::from_utf8(seen).unwrap().contains(line_break),
                    "{method} {at}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_way_to_send_a_body_will_do() {
    let rig = rig();
    let mut exchange = asked(&rig, "POST", &[], BodySendMode::Buffered).await;
    goes_on(began(&mut exchange, "application/json", &[("content-length", "83")]).await);
    assert_eq!(replied(&mut exchange, &[LIST.as_bytes()]).await, CUT.as_bytes());

    // Both ways at once, with an event over 64 KiB, and with the end in trailers.
    let long = LIST.replace("open", &"o".repeat(200_000));
    let cut = CUT.replace("open", &"o".repeat(200_000));
    for trailers in [false, true] {
        let mut exchange = asked(&rig, "POST", &[], BodySendMode::FullDuplexStreamed).await;
        goes_on(began(&mut exchange, EVENTS, &[]).await);
        let stream = format!("data: {long}\n\ndata: {long}");
        for bytes in stream.as_bytes().chunks(50_000) {
            exchange.say(said(Said::ResponseBody(body(bytes, false)))).await;
        }
        exchange
            .say(said(if trailers {
                Said::ResponseTrailers(HttpTrailers::default())
            } else {
                Said::ResponseBody(body("", true))
            }))
            .await;
        let mut seen = Vec::new();
        let mut has_trailers = false;
        while let Some(answer) = exchange.next().await.unwrap() {
            match answer.response.unwrap() {
                Answered::ResponseBody(answer) => seen.extend(piece(answer).unwrap()),
                Answered::ResponseTrailers(_) => has_trailers = true,
                other => panic!("{other:?}"),
            }
        }
        assert!(seen == format!("data: {cut}\n\ndata: {cut}\n").as_bytes());
        assert_eq!(has_trailers, trailers);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn streams_of_anything_are_watched_and_other_replies_are_not() {
    let rig = rig();
    let event = format!("data: {LIST}\n\n");
    let mut exchange = asked(&rig, "GET", &[("last-event-id", "4")], BodySendMode::Streamed).await;
    goes_on(began(&mut exchange, EVENTS, &[]).await);
    assert_eq!(
        replied(&mut exchange, &[event.as_bytes()]).await,
        format!("data: {CUT}\n\n").as_bytes()
    );

    // Grants revoked and tools hidden meanwhile take effect from then on.
    let mut exchange = asked(&rig, "GET", &[], BodySendMode::Streamed).await;
    goes_on(began(&mut exchange, EVENTS, &[]).await);
    let stricter = r#"{"version": "1", "name": "test", "default": "deny", "hide": ["open"]}"#;
    rig.engine
        .reload(state(stricter.as_bytes(), Catalogue::default()));
    let seen = replied(&mut exchange, &[event.as_bytes()]).await;
    assert_eq!(seen, event.replace(r#"{"name":"open"},"#, "").as_bytes());

    // A call that takes no unit is left alone at once, and a reply that holds no list at its headers.
    let mut exchange = asked(&rig, "GET", &[], BodySendMode::Streamed).await;
    let Answered::ResponseHeaders(headers) = began(&mut exchange, "text/html", &[]).await else {
        panic!()
    };
    assert!(headers.response.unwrap().header_mutation.is_none());
    assert!(exchange.next().await.unwrap().is_none());

    // A body that is streamed both ways comes back byte for byte.
    let mut exchange = asked(&rig, "GET", &[], BodySendMode::FullDuplexStreamed).await;
    began(&mut exchange, "text/html", &[]).await;
    assert_eq!(replied(&mut exchange, &[b"<", b"p>"]).await, b"<p>");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_cut_is_withheld() {
    let rig = rig();
    let gzip = [("content-encoding", "gzip")];
    let twice = [("content-type", "application/json")];
    for (method, mode, kind, more, status, reason) in [
        (
            "POST",
            BodySendMode::Streamed,
            "application/json",
            &gzip[..],
            200,
            "compressed",
        ),
        ("GET", BodySendMode::Streamed, EVENTS, &gzip, 502, "compressed"),
        ("POST", BodySendMode::Streamed, "text/plain", &[], 200, "neither"),
        (
            "POST",
            BodySendMode::Streamed,
            EVENTS,
            &twice,
            200,
            "content-type",
        ),
        (
            "POST",
            BodySendMode::None,
            "application/json",
            &[],
            200,
            "response_body_mode",
        ),
        ("GET", BodySendMode::None, EVENTS, &[], 502, "response_body_mode"),
        (
            "GET",
            BodySendMode::Buffered,
            EVENTS,
            &[],
            502,
            "response_body_mode",
        ),
    ] {
        let mut exchange = asked(&rig, method, &[], mode).await;
        let (code, _, body) = denied(began(&mut exchange, kind, more).await);
        assert_eq!(code, status, "{method} {kind}");
        assert_eq!(body["id"], if method == "POST" { json!(7) } else { json!(null) });
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("withheld") && message.contains(reason),
            "{message}"
        );
        assert_eq!(body["error"]["data"]["callgate/decision"]["rule"], "(hidden)");
    }
    for (kind, bytes) in [
        ("application/json", "{"),
        (
            "application/json",
            r#"[{"result":{"tools":[{"name":"secret"}]}}]"#,
        ),
        (
            "application/json",
            r#"{"result":{"tools":[{"name":"secret"}],"Tools":[]}}"#,
        ),
        (
            EVENTS,
            "data: {\"result\":{\"tools\":[{\"name\":\"secret\"}]},\"result\":{}}\n\n",
        ),
    ] {
        let mut exchange = asked(&rig, "POST", &[], BodySendMode::Streamed).await;
        goes_on(began(&mut exchange, kind, &[]).await);
        let seen = String::from_utf8(replied(&mut exchange, &[bytes.as_bytes()]).await).unwrap();
        assert!(seen.contains("withheld") && !seen.contains("secret"), "{seen}");
        assert_eq!(seen.starts_with("event: message\ndata: {"), kind == EVENTS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_held_is_bounded() {
    let limits = Limits {
        body_limit_bytes: 1_000,
        ..Limits::default()
    };
    let rig = rig_with(limits, None);
    for kind in ["application/json", EVENTS] {
        let mut exchange = asked(&rig, "POST", &[], BodySendMode::Streamed).await;
        goes_on(began(&mut exchange, kind, &[]).await);
        let piece = format!("data: {}", "x".repeat(600));
        let pieces = [piece.as_bytes(), piece.as_bytes(), b"\n\n", LIST.as_bytes()];
        let seen = String::from_utf8(replied(&mut exchange, &pieces).await).unwrap();
        assert!(
            seen.contains("withheld") && seen.contains("1000 bytes") && !seen.contains("secret"),
            "{seen}"
        );
    }
    // A part of a list is not a list, and no answer is possible before trailers.
    let mut exchange = asked(&rig, "POST", &[], BodySendMode::BufferedPartial).await;
    goes_on(began(&mut exchange, "application/json", &[]).await);
    exchange.say(said(Said::ResponseBody(body(LIST, false)))).await;
    assert_eq!(
        exchange.next().await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let mut exchange = asked(&rig, "POST", &[], BodySendMode::Streamed).await;
    goes_on(began(&mut exchange, "application/json", &[]).await);
    exchange.ask(said(Said::ResponseBody(body(LIST, false)))).await;
    exchange
        .say(said(Said::ResponseTrailers(HttpTrailers::default())))
        .await;
    assert_eq!(
        exchange.next().await.unwrap_err().code(),
        Code::FailedPrecondition
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_stops_leaves_calls_alone_and_ends_streams() {
    let rig = rig();
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "once"}});
    let mut in_flight = Exchange::open(&rig).await;
    in_flight
        .ask(head("POST", &[], false, super::ext_proc::MODES))
        .await;
    passed(in_flight.ask(request_body(&call)).await);
    let mut stream = asked(&rig, "GET", &[], BodySendMode::Streamed).await;
    goes_on(began(&mut stream, EVENTS, &[]).await);
    let server = rig.server;
    let stopping = tokio::task::spawn_blocking(move || server.stop());
    assert!(
        in_flight.next().await.unwrap().is_none(),
        "the reply goes on as it is"
    );
    assert_eq!(stream.next().await.unwrap_err().code(), Code::Unavailable);
    stopping.await.unwrap();
}
