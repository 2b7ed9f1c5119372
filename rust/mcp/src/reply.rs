//! Answers to messages that may not pass: JSON-RPC messages, without framing.

use std::borrow::Cow;

use callgate_core::json::{ObjectWriter, ValueWriter};
use callgate_core::{Decision, Outcome};

use crate::error::{MessageError, RULE};
use crate::message::Id;
use crate::quoted::Quoted;

/// The key of a decision in `_meta` of a result, and in `data` of an error.
pub const DECISION: &str = "callgate/decision";

/// Error codes of callgate: outside the range of JSON-RPC and MCP (-32768 to -32000), equal to HTTP's statuses.
pub const DENIED: i64 = 403;
/// See [`DENIED`].
pub const RATE_LIMITED: i64 = 429;
/// See [`DENIED`]: the server did not answer, or its reply could not be passed on.
pub const UPSTREAM_FAILED: i64 = 502;
/// JSON-RPC's code for an unknown method.
pub const METHOD_NOT_FOUND: i64 = -32601;

/// The rule pointer for methods that may not pass (`docs/policy.md` section 2).
pub const METHOD_RULE: &str = "(default deny)";

/// The answer to a call that the policy does not allow.
///
/// With the request's id, it is a tool's result with `isError`, which the model reads; the client would keep an error
/// to itself. If the id is unknown because there is no body, it is an error with `id` null.
pub fn denied_call(id: Option<Id<'_>>, decision: &Decision<'_>) -> String {
    let text = text(decision);
    let Some(id) = id else {
        return error(None, code(decision), &text, |json| decision.write_json(json));
    };
    answer(512, Some(id), |answer| {
        answer.field("result").object(|result| {
            write_failed_result(result, &text);
            result
                .field("_meta")
                .object(|meta| meta.field(DECISION).with(|json| decision.write_json(json)));
        });
    })
}

/// The answer to an allowed call that failed: a tool's result with `isError`.
pub fn failed_call(id: Id<'_>, text: &str) -> String {
    answer(256, Some(id), |answer| {
        answer
            .field("result")
            .object(|result| write_failed_result(result, text));
    })
}

/// The answer to any other request that failed or is not served here: an error.
pub fn failed_request(id: Option<Id<'_>>, code: i64, message: &str) -> String {
    answer(256, id, |answer| {
        answer.field("error").object(|error| {
            error.field("code").number(code);
            error.field("message").text(message);
        });
    })
}

/// The answer to a denied request that is not a tool call, e.g. one from an unknown caller. Most transports send no
/// answer to a notification; over HTTP there may be one, with `id` null.
pub fn denied_request(id: Option<Id<'_>>, decision: &Decision<'_>) -> String {
    denied_as(DENIED, id, decision)
}

/// Works as [`denied_request`] with another code.
pub fn denied_as(code: i64, id: Option<Id<'_>>, decision: &Decision<'_>) -> String {
    error(id, code, &decision.message, |json| decision.write_json(json))
}

/// The message for the caller of a method that may not pass, under [`METHOD_RULE`].
pub fn method_denied(method: &str) -> String {
    format!(
        "method {} is not allowed here; ask the operator to add it to the methods that pass",
        Quoted(method)
    )
}

/// The answer to a refused message.
pub fn refused(refusal: &MessageError<'_>) -> String {
    error(refusal.id, refusal.reason.code(), &refusal.message, |json| {
        write_decision(RULE, &refusal.message, json);
    })
}

/// The `error` member of an answer to a denied call, for gateways that build the answer themselves.
pub fn denied_error(decision: &Decision<'_>) -> String {
    let mut json = String::with_capacity(256);
    write_error(
        ValueWriter::new(&mut json),
        code(decision),
        &text(decision),
        |json| decision.write_json(json),
    );
    json
}

/// The code of a denied call.
const fn code(decision: &Decision<'_>) -> i64 {
    match decision.outcome {
        Outcome::RateLimited => RATE_LIMITED,
        _ => DENIED,
    }
}

/// The text for the model: the decision's message and the time until a retry, unless the message ends with that time.
pub fn text<'a>(decision: &'a Decision<'_>) -> Cow<'a, str> {
    let message: &str = &decision.message;
    let Some(retry_after_ms) = decision.retry_after_ms else {
        return Cow::Borrowed(message);
    };
    let advice = format!("try again in {} s", retry_after_ms.div_ceil(1_000));
    if message.ends_with(&advice) {
        Cow::Borrowed(message)
    } else {
        Cow::Owned(format!("{message}; {advice}"))
    }
}

/// An answer with the member that `write` adds.
fn answer(capacity: usize, id: Option<Id<'_>>, write: impl FnOnce(&mut ObjectWriter<'_>)) -> String {
    let mut json = String::with_capacity(capacity);
    ValueWriter::new(&mut json).object(|answer| {
        answer.field("jsonrpc").text("2.0");
        answer.field("id").json(id.map_or("null", Id::json));
        write(answer);
    });
    json
}

/// An error message; `write_data` appends the decision.
fn error(id: Option<Id<'_>>, code: i64, message: &str, write_data: impl FnOnce(&mut String)) -> String {
    answer(256, id, |answer| {
        write_error(answer.field("error"), code, message, write_data);
    })
}

fn write_error(json: ValueWriter<'_>, code: i64, message: &str, write_data: impl FnOnce(&mut String)) {
    json.object(|error| {
        error.field("code").number(code);
        error.field("message").text(message);
        error
            .field("data")
            .object(|data| data.field(DECISION).with(write_data));
    });
}

/// A tool's result that the model reads as an error.
fn write_failed_result(result: &mut ObjectWriter<'_>, text: &str) {
    // Required since 2026-07-28; earlier clients ignore unknown members.
    result.field("resultType").text("complete");
    result.field("content").list(|content| {
        content.element().object(|part| {
            part.field("type").text("text");
            part.field("text").text(text);
        });
    });
    result.field("isError").boolean(true);
}

/// A denial that does not come from a policy.
fn write_decision(rule: &str, message: &str, json: &mut String) {
    ValueWriter::new(json).object(|decision| {
        decision.field("outcome").text("deny");
        decision.field("rule").text(rule);
        decision.field("message").text(message);
    });
}

#[cfg(test)]
mod tests {
    use callgate_core::json::Tape;
    use serde_json::{Value, json};

    use super::*;
    use crate::message::Message;

    fn decision(outcome: Outcome, message: &str, retry_after_ms: Option<u64>) -> Decision<'_> {
        Decision {
            outcome,
            rule: "/tools/t/limits/t_rate".into(),
            message: message.into(),
            retry_after_ms,
            limits: std::iter::empty().collect(),
            policy: "p".into(),
            policy_version: "0123456789ab".into(),
            shadow: None,
            fingerprint: None,
            approval: "".into(),
            decided_at_us: 5,
            reservation: None,
            grant_index: None,
            policy_index: None,
            tool_index: None,
        }
    }

    fn read(reply: &str) -> Value {
        serde_json::from_str(reply).expect(reply)
    }

    /// The ids of a call and of its reply.
    fn denied(id: &str, decision: &Decision<'_>) -> Value {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t"}}}}"#);
        let mut tape = Tape::new();
        let message = Message::parse(&mut tape, body.as_bytes()).expect("a call");
        read(&denied_call(message.id(), decision))
    }

    #[test]
    fn answers_are_these_bytes() {
        let id = Id::from_json("7");
        let decision = decision(Outcome::RateLimited, "\"slow\"", Some(1_001));
        let shown = r#"{"outcome":"rate_limited","rule":"/tools/t/limits/t_rate","message":"\"slow\"","retry_after_ms":1001,"limits":[],"policy":"p","policy_version":"0123456789ab","decided_at_us":5}"#;
        let text = r#""\"slow\"; try again in 2 s""#;
        assert_eq!(
            denied_call(id, &decision),
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"complete","content":[{{"type":"text","text":{text}}}],"isError":true,"_meta":{{"callgate/decision":{shown}}}}}}}"#
            )
        );
        assert_eq!(
            denied_call(None, &decision),
            format!(
                r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":429,"message":{text},"data":{{"callgate/decision":{shown}}}}}}}"#
            )
        );
        assert_eq!(
            denied_error(&decision),
            format!(r#"{{"code":429,"message":{text},"data":{{"callgate/decision":{shown}}}}}"#)
        );
        assert_eq!(
            denied_request(id, &decision),
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":403,"message":"\"slow\"","data":{{"callgate/decision":{shown}}}}}}}"#
            )
        );
        assert_eq!(
            failed_call(Id::from_json("\"a\"").expect("an id"), "gone\n"),
            r#"{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","content":[{"type":"text","text":"gone\n"}],"isError":true}}"#
        );
        assert_eq!(
            failed_request(None, METHOD_NOT_FOUND, "no"),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no"}}"#
        );
        let mut tape = Tape::new();
        let refusal = Message::parse(
            &mut tape,
            br#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{}}"#,
        )
        .expect_err("no name");
        assert_eq!(
            refused(&refusal),
            format!(
                r#"{{"jsonrpc":"2.0","id":3,"error":{{"code":-32602,"message":"{0}","data":{{"callgate/decision":{{"outcome":"deny","rule":"(invalid request)","message":"{0}"}}}}}}}}"#,
                refusal.message
            )
        );
    }

    #[test]
    fn a_denied_call_is_a_tool_s_result() {
        let decision = decision(Outcome::Deny, "ask the \"data team\"", None);
        assert_eq!(
            denied(r#""a\u0041\n""#, &decision),
            json!({
                "jsonrpc": "2.0",
                "id": "aA\n",
                "result": {
                    "resultType": "complete",
                    "content": [{"type": "text", "text": "ask the \"data team\""}],
                    "isError": true,
                    "_meta": {DECISION: {
                        "outcome": "deny", "rule": "/tools/t/limits/t_rate", "message": "ask the \"data team\"",
                        "limits": [], "policy": "p", "policy_version": "0123456789ab", "decided_at_us": 5,
                    }},
                },
            })
        );
    }

    #[test]
    fn a_limited_call_says_when_to_try_again() {
        for (message, text) in [
            ("slow down", "slow down; try again in 2 s"),
            (
                "`t` is limited to 5 per minute; try again in 2 s",
                "`t` is limited to 5 per minute; try again in 2 s",
            ),
            ("try again in 12 s", "try again in 12 s; try again in 2 s"),
        ] {
            let reply = denied("7", &decision(Outcome::RateLimited, message, Some(1_001)));
            assert_eq!(reply["id"], 7);
            assert_eq!(reply["result"]["content"][0]["text"], text);
            assert_eq!(reply["result"]["_meta"][DECISION]["retry_after_ms"], 1_001);
        }
    }

    #[test]
    fn without_an_id_it_is_an_error() {
        for (outcome, code) in [
            (Outcome::Deny, 403),
            (Outcome::ApprovalRequired, 403),
            (Outcome::RateLimited, 429),
        ] {
            let reply = read(&denied_call(None, &decision(outcome, "no", None)));
            assert_eq!(
                (&reply["id"], &reply["error"]["code"]),
                (&Value::Null, &json!(code))
            );
            assert_eq!(reply["error"]["message"], "no");
            assert_eq!(reply["error"]["data"][DECISION]["outcome"], outcome.as_str());
        }
    }

    #[test]
    fn an_error_alone_says_the_same() {
        let decision = decision(Outcome::RateLimited, "slow down", Some(1_001));
        let error = read(&denied_error(&decision));
        assert_eq!(error, read(&denied_call(None, &decision))["error"]);
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!(429), &json!("slow down; try again in 2 s"))
        );
    }

    #[test]
    fn refusals_are_errors_under_the_id_that_was_read() {
        for (body, code, id) in [
            ("{", -32700, Value::Null),
            ("[]", -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":"x","method":1}"#, -32600, json!("x")),
            (
                r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{}}"#,
                -32602,
                json!(3),
            ),
        ] {
            let mut tape = Tape::new();
            let refusal = Message::parse(&mut tape, body.as_bytes()).expect_err(body);
            let reply = read(&refused(&refusal));
            assert_eq!(
                (&reply["error"]["code"], &reply["id"]),
                (&json!(code), &id),
                "{body}"
            );
            assert_eq!(reply["error"]["message"], refusal.message.as_ref());
            let decision = &reply["error"]["data"][DECISION];
            assert_eq!(
                (&decision["outcome"], &decision["rule"]),
                (&json!("deny"), &json!("(invalid request)"))
            );
        }
    }

    #[test]
    fn a_denied_method_is_shown_on_one_line() {
        assert_eq!(
            method_denied("roots/list\n"),
            "method `roots/list\\n` is not allowed here; ask the operator to add it to the methods that pass"
        );
    }

    #[test]
    fn a_request_of_a_stranger_is_an_error_with_its_id_and_the_decision() {
        let decision = decision(Outcome::Deny, "no such grant", None);
        let reply = read(&denied_request(None, &decision));
        assert_eq!(
            (&reply["id"], &reply["error"]["code"]),
            (&Value::Null, &json!(DENIED))
        );
        assert_eq!(reply["error"]["message"], "no such grant");
        assert_eq!(reply["error"]["data"][DECISION]["outcome"], "deny");
    }
}
