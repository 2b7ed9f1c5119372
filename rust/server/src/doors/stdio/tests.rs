//! Lines as they are judged; `tests/gateway` has real clients and servers.

use std::sync::{Arc, Mutex};

use callgate_gateway::pins::{Listing, Page};
use callgate_mcp::Methods;
use callgate_pipes::RequestId;
use callgate_pipes::stdio::{Forward, Judged, Judging as _, LineError, Looks};
use serde_json::{Value, json};

use super::attributes::{LineAttributes, WrapCaller};
use super::judge::LineJudge;
use crate::clock::ManualClock;
use crate::testing;

const POLICY: &str = r#"{
    "version": "1",
    "default": "deny",
    "hide": ["secret_*"],
    "tools": {
        "open": {},
        "capped": {"limits": [{"counter": "c", "window": "hour", "max": 1}]},
        "drop": {"action": "deny", "reason": "ask the data team"}
    }
}"#;

fn judge() -> LineJudge {
    let gate = testing::gate(POLICY, 100, &ManualClock::new(1_700_000_000_000_000));
    let methods = Methods::new(&["vendor/*"], &["notifications/secret"]).unwrap();
    gate.reload(None, |parts| {
        parts.proxies = Arc::new(LineAttributes::config(methods));
    });
    LineJudge {
        gate: Arc::new(gate),
        attributes: LineAttributes::new("srv".to_owned(), WrapCaller::Grant("anonymous".to_owned())),
        lists_allowed_only: false,
        server: "srv".to_owned(),
        pins: None,
        client: Mutex::default(),
    }
}

fn call(id: u32, tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool}}).to_string()
}

fn reply(judged: Judged) -> Value {
    match judged {
        Judged::Reply(reply) => serde_json::from_str(&reply).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn forwarded(judged: &Judged) -> Forward {
    match judged {
        Judged::Forward(forward) => *forward,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_denied_call_is_a_tool_s_result() {
    let judge = judge();
    assert_eq!(
        forwarded(&judge.judge(call(1, "open").as_bytes(), Looks::Request)),
        Forward::default()
    );
    for (tool, text) in [
        ("drop", "ask the data team"),
        ("secret_x", "secret_x"),
        ("other", "other"),
    ] {
        let reply = reply(judge.judge(call(2, tool).as_bytes(), Looks::Request));
        assert_eq!(
            (&reply["id"], &reply["result"]["isError"]),
            (&json!(2), &json!(true))
        );
        let said = reply["result"]["content"][0]["text"].as_str().unwrap();
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn units_of_a_call_that_reached_nobody_are_given_back() {
    let judge = judge();
    let ask = || judge.judge(call(1, "capped").as_bytes(), Looks::Request);
    let first = forwarded(&ask()).reservation.unwrap();
    let reply = reply(ask());
    assert_eq!(
        reply["result"]["_meta"]["callgate/decision"]["outcome"],
        "rate_limited"
    );
    judge.settle(first, false);
    let second = forwarded(&ask()).reservation.unwrap();
    judge.settle(second, true);
    judge.settle(second, false);
    assert!(
        matches!(ask(), Judged::Reply(_)),
        "what has reached the server stays taken"
    );
}

#[test]
fn methods_and_notifications() {
    let judge = judge();
    let line = |method: &str, id: &str| format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}"}}"#);
    for (method, lists) in [("tools/list", true), ("initialize", false), ("vendor/x", false)] {
        let judged = judge.judge(line(method, "\"id\":1,").as_bytes(), Looks::Request);
        assert_eq!(forwarded(&judged).lists, lists, "{method}");
    }
    let denied = reply(judge.judge(
        line("sampling/createMessage", "\"id\":1,").as_bytes(),
        Looks::Request,
    ));
    assert_eq!(
        (&denied["id"], &denied["error"]["code"]),
        (&json!(1), &json!(403))
    );
    let passing = judge.judge(
        line("notifications/cancelled", "").as_bytes(),
        Looks::Notification,
    );
    assert_eq!(passing, Judged::Forward(Forward::default()));
    for denied in ["notifications/secret", "vendor_x"] {
        let judged = judge.judge(line(denied, "").as_bytes(), Looks::Notification);
        assert_eq!(judged, Judged::Drop, "{denied}");
    }
    let call = line("tools/call", "");
    let refused = reply(judge.judge(call.as_bytes(), Looks::Notification));
    assert_eq!(
        refused["id"],
        Value::Null,
        "a call that nobody could be answered on"
    );
}

#[test]
fn responses_pass_if_they_are_nothing_else() {
    let judge = judge();
    let judged = judge.judge(
        br#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#,
        Looks::Response,
    );
    assert_eq!(judged, Judged::Forward(Forward::default()));
    let refused = reply(judge.judge(
        br#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
        Looks::Response,
    ));
    assert_eq!(
        refused["error"]["data"]["callgate/decision"]["rule"],
        "(invalid request)"
    );
    // A message with both a result and a method looks like a request, but is not a valid one.
    let both = br#"{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call","params":{"name":"open"}}"#;
    assert!(matches!(judge.judge(both, Looks::Request), Judged::Reply(_)));
}

/// The listing of a request for the first page.
fn first() -> Listing {
    Page::First.into()
}

#[test]
fn lists_lose_what_is_hidden_and_are_withheld_where_they_cannot_be_read() {
    let judge = judge();
    let id = RequestId::of_json("\"l\"");
    let list = br#"{"jsonrpc":"2.0","id":"l","result":{"tools":[{"name":"open"},{"name":"secret_x"}]}}"#;
    assert_eq!(
        judge.cut(list, id.as_ref(), &first()).as_ref(),
        br#"{"jsonrpc":"2.0","id":"l","result":{"tools":[{"name":"open"}]}}"#
    );
    let error = br#"{"jsonrpc":"2.0","id":"l","error":{"code":1,"message":"no"}}"#;
    assert_eq!(judge.cut(error, id.as_ref(), &first()).as_ref(), error);
    for unreadable in [
        &b"{"[..],
        br#"[{"id":"l","result":{"tools":[]}}]"#,
        br#"{"id":"l","result":{"Tools":[]}}"#,
    ] {
        let instead: Value = serde_json::from_slice(&judge.cut(unreadable, id.as_ref(), &first())).unwrap();
        assert_eq!(
            (&instead["id"], &instead["error"]["code"]),
            (&json!("l"), &json!(403))
        );
        assert_eq!(instead["error"]["data"]["callgate/decision"]["rule"], "(hidden)");
    }
    let allowed_only = LineJudge {
        lists_allowed_only: true,
        ..judge
    };
    let list = br#"{"id":"l","result":{"tools":[{"name":"open"},{"name":"drop"},{"name":"other"}]}}"#;
    assert_eq!(
        allowed_only.cut(list, None, &first()).as_ref(),
        br#"{"id":"l","result":{"tools":[{"name":"open"}]}}"#
    );
    let withheld: Value = serde_json::from_str(&allowed_only.withhold(10, None)).unwrap();
    assert_eq!(withheld["id"], Value::Null);
}

#[test]
fn lines_that_are_no_messages_are_refused_under_their_id() {
    let judge = judge();
    let id = RequestId::of_json("7");
    let refused: Value = serde_json::from_str(&judge.refuse(LineError::CarriageReturn, id.as_ref())).unwrap();
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!(7), &json!(403))
    );
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("carriage return")
    );
    assert_eq!(
        refused["error"]["data"]["callgate/decision"]["rule"],
        "(invalid request)"
    );
}
