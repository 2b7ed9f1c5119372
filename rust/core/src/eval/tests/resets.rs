//! Resets: the counts that are named begin anew, and no others.

use super::*;
use crate::engine::{KeptReason, Reset, ResetError, ResetNames};

const POLICY: &str = r#"{
    "version": "1", "name": "p", "default": "allow",
    "tools": {
        "a": {"limits": [
            {"counter": "own", "max": 1, "window": "day"},
            {"counter": "shared", "max": 1, "window": "day", "scope": "global"},
            {"counter": "regions", "max": 1, "window": "day", "scope": ["grant", "args.region"]},
            {"counter": "sessions", "max": 1, "window": "day", "scope": "session"}
        ]},
        "b": {"limits": [{"counter": "shared", "max": 1, "window": "day", "scope": "global"}]},
        "c*": {"limits": [{"counter": "glob", "max": 1, "window": "day"}]}
    },
    "all_tools": {"limits": [{"counter": "each", "max": 1, "window": "day", "scope": ["grant", "tool"]}]}
}"#;

const ARGS: &str = r#"{"region": "eu"}"#;

fn call<'r>(grant: &'r str, tool: &'r str) -> Request<'r> {
    Request {
        caller: Caller::named(grant),
        ..request(tool, ARGS)
    }
}

fn reset(desk: &Desk, names: ResetNames<'_>) -> Result<Reset, ResetError> {
    let state = desk.engine.snapshot();
    desk.engine.reset(&state, &names, desk.now)
}

/// The counters of the limits that were reset, and of those that were kept.
fn counters(reset: &Reset) -> (Vec<&str>, Vec<(&str, KeptReason)>) {
    (
        reset.limits.iter().map(|limit| limit.counter.as_str()).collect(),
        reset
            .kept
            .iter()
            .map(|kept| (kept.limit.counter.as_str(), kept.reason))
            .collect(),
    )
}

/// The counters with units left for the next call of this grant to this tool.
fn free(desk: &Desk, grant: &str, tool: &str) -> Vec<String> {
    let state = desk.engine.snapshot();
    let peek = desk
        .engine
        .peek(&state, &call(grant, tool), desk.now, &mut Scratch::default());
    let free = peek
        .limits
        .iter()
        .filter(|limit| limit.count.unwrap().remaining.0 > 0);
    free.map(|limit| limit.counter.to_owned()).collect()
}

/// Every count of `g` and `h` at `a` and `cc` used up.
fn used_up() -> Desk {
    let mut desk = Desk::new(POLICY);
    for tool in ["a", "cc"] {
        assert_eq!(desk.decide(&call("g", tool)).outcome.as_str(), "allow");
    }
    assert_eq!(desk.decide(&call("h", "cc")).outcome.as_str(), "allow");
    for tool in ["a", "cc"] {
        assert_eq!(free(&desk, "g", tool), [""; 0]);
    }
    desk
}

#[test]
fn a_grant_gets_what_is_counted_by_grant() {
    let desk = used_up();
    let names = ResetNames {
        grant: Some("g"),
        ..ResetNames::default()
    };
    let reset = reset(&desk, names).unwrap();
    assert_eq!(reset.grant_counters, Some(7));
    assert_eq!(
        counters(&reset),
        (
            vec!["own", "regions", "sessions", "glob", "each"],
            vec![
                ("shared", KeptReason::OtherGrants),
                ("shared", KeptReason::OtherGrants)
            ]
        )
    );
    assert_eq!(free(&desk, "g", "a"), ["own", "regions", "sessions", "each"]);
    assert_eq!(free(&desk, "g", "cc"), ["glob", "each"]);
    assert_eq!(free(&desk, "h", "cc"), [""; 0]);
}

#[test]
fn a_tool_gets_what_is_counted_for_it_alone() {
    let desk = used_up();
    let names = ResetNames {
        tool: Some("a"),
        ..ResetNames::default()
    };
    let reset_a = reset(&desk, names).unwrap();
    assert_eq!(
        counters(&reset_a),
        (
            vec!["own", "regions", "sessions", "each"],
            vec![("shared", KeptReason::OtherTools)]
        )
    );
    assert_eq!(free(&desk, "g", "a"), ["own", "regions", "sessions", "each"]);
    assert_eq!(free(&desk, "g", "cc"), [""; 0]);
    let names = ResetNames {
        tool: Some("cc"),
        grant: Some("h"),
        ..ResetNames::default()
    };
    assert_eq!(
        counters(&reset(&desk, names).unwrap()),
        (vec!["each"], vec![("glob", KeptReason::OtherTools)])
    );
    assert_eq!(free(&desk, "h", "cc"), ["each"]);
    assert_eq!(free(&desk, "g", "cc"), [""; 0], "another grant");
}

#[test]
fn a_counter_is_reset_for_all() {
    let desk = used_up();
    let names = ResetNames {
        counter: Some("shared"),
        policy: Some("p"),
        ..ResetNames::default()
    };
    let reset = reset(&desk, names).unwrap();
    assert_eq!(reset.limits.len(), 2, "of both tools: {reset:?}");
    assert_eq!(reset.grant_counters, None);
    assert_eq!(free(&desk, "g", "a"), ["shared"]);
}

#[test]
fn a_call_after_a_reset_is_counted_as_before() {
    let mut desk = used_up();
    let names = ResetNames {
        policy: Some("p"),
        ..ResetNames::default()
    };
    for _ in 0..3 {
        reset(&desk, names).unwrap();
        assert_eq!(desk.decide(&call("g", "a")).outcome.as_str(), "allow");
        assert_eq!(desk.decide(&call("g", "a")).outcome.as_str(), "rate_limited");
    }
}

#[test]
fn what_cannot_be_reset_is_told() {
    let desk = used_up();
    let none = ResetNames::default();
    let fault = |names| reset(&desk, names).unwrap_err().to_string();
    assert_eq!(
        fault(none),
        "nothing is named; expected a grant, a policy, a tool or a counter"
    );
    assert_eq!(
        fault(ResetNames {
            policy: Some("pp"),
            ..none
        }),
        "no policy `pp` is loaded; did you mean `p`?"
    );
    assert_eq!(
        fault(ResetNames {
            counter: Some("share"),
            ..none
        }),
        "no limit of the loaded policies has the counter `share`; did you mean `shared`?"
    );
    assert_eq!(
        fault(ResetNames {
            counter: Some("shared"),
            grant: Some("g"),
            ..none
        }),
        "nothing was reset: /tools/a/limits/shared (and 1 more) counts all grants together; to reset it for all, leave \
         out the grant"
    );
    assert_eq!(
        fault(ResetNames {
            counter: Some("glob"),
            tool: Some("a"),
            ..none
        }),
        "no limit of the loaded policies has all of these names"
    );
    assert_eq!(
        fault(ResetNames {
            counter: Some("glob"),
            tool: Some("cc"),
            ..none
        }),
        "nothing was reset: /tools/c*/limits/glob counts other tools as well; to reset it for all, leave out the tool"
    );
}
