//! Section 2, step 1: what is no well-formed request.

use super::{Desk, brief, request};
use crate::{Args, Caller, Request};

fn desk() -> Desk {
    Desk::new(r#"{"version": "1", "default": "allow"}"#)
}

#[test]
fn names() {
    let fine = request("x", "{}");
    assert_eq!(brief(&desk().decide(&fine)), "allow ");
    for faulty in [
        Request {
            caller: Caller::named(""),
            ..fine
        },
        Request { tool: "", ..fine },
        Request {
            caller: Caller::named("g\0"),
            ..fine
        },
        Request { tool: "\0", ..fine },
        Request {
            server: "s\0rv",
            ..fine
        },
        Request {
            session: Some("\0"),
            ..fine
        },
    ] {
        let decision = desk().decide(&faulty);
        assert_eq!(brief(&decision), "deny (invalid request)", "{faulty:?}");
        assert_eq!((decision.policy.as_ref(), decision.policy_index), ("", None));
    }
}

#[test]
fn arguments_are_one_json_object() {
    for (args, says) in [
        ("[]", "got a list"),
        ("null", "got null"),
        ("\"{}\"", "got a string"),
        ("1", "got a number"),
        (" ", "byte 1"),
        ("{}x", "byte 2"),
        (r#"{"a": 1, "\u0061": 2}"#, "twice"),
        (r#"{"a": NaN}"#, "byte 6"),
        (r#"{"a": "\ud800"}"#, "surrogate"),
        (r#"{"a": 01}"#, "byte"),
        ("\u{feff}{}", "byte 0"),
    ] {
        let decision = desk().ask(args);
        assert_eq!(brief(&decision), "deny (invalid request)", "{args}");
        assert!(decision.message.contains(says), "{args}: {}", decision.message);
    }
    let invalid_utf8 = Request {
        args: Args::Json(b"{\"a\": \"\xff\"}"),
        ..request("x", "")
    };
    assert_eq!(brief(&desk().decide(&invalid_utf8)), "deny (invalid request)");
    for fine in ["", "{}", " {} ", r#"{"a": 1e400, "b": 9007199254740993}"#] {
        assert_eq!(desk().answer(fine), "allow ", "{fine}");
    }
}

#[test]
fn depth_counts_the_arguments_object_itself() {
    let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(desk().answer(&deep(64)), "allow ");
    assert_eq!(desk().answer(&deep(65)), "deny (invalid request)");
}

#[test]
fn malformed_arguments_are_judged_before_the_server_is_known() {
    let state = crate::State::build(
        crate::engine::Policies::ByServer(vec![(
            "a".into(),
            super::policy(r#"{"version": "1", "default": "allow"}"#),
        )]),
        crate::policy::Catalogue::default(),
    );
    let mut desk = Desk::of(state.unwrap(), super::config());
    assert_eq!(desk.answer("[]"), "deny (invalid request)");
    assert_eq!(desk.answer("{}"), "deny (unknown server)");
}
