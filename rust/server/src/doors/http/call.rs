//! Reading a call out of a body.

use callgate_core::json::{JsonError, JsonErrorKind, Kind, Tape, Value};
use callgate_core::nearest::probable;
use callgate_core::{Args, Caller, Pep, Request, ReservationId};

use super::split::{Split, split};

/// The fields of a body.
const FIELDS: [&str; 8] = [
    "grant",
    "grant_token",
    "tool",
    "args",
    "server",
    "session",
    "labels",
    "reserve",
];

/// Nesting of the body outside `args`; more than any field has.
const MAX_DEPTH: usize = 64;

/// Characters of a caller's word that a message shows.
const SHOWN_CHARACTERS: usize = 64;

/// The fault of a body that is not a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CheckCallError {
    /// A body that is no JSON object: no request at all, HTTP 400.
    NoObject(String),
    /// An object that is no well-formed call: a decision, `(invalid request)`.
    Invalid(String),
}

/// The call that a body asks about.
#[derive(Default)]
pub(super) struct CheckCall<'b> {
    grant: Option<&'b str>,
    grant_token: Option<&'b str>,
    tool: Option<&'b str>,
    args: &'b [u8],
    server: Option<&'b str>,
    session: Option<&'b str>,
    labels: Vec<(&'b str, &'b str)>,
    pub(super) reserve: bool,
}

impl<'b> CheckCall<'b> {
    /// Reads a body. `rest` and `tape` are buffers; `args` stays as it came, for the engine to judge.
    pub(super) fn read(
        body: &'b [u8],
        rest: &'b mut Vec<u8>,
        tape: &'b mut Tape,
    ) -> Result<Self, CheckCallError> {
        let call = Self::read_fields(body, rest, tape)?;
        // Not the caller: the engine refuses a call without one, in the same words at every door.
        if call.tool.is_none() {
            let message = "field `tool` is missing; expected a string";
            return Err(CheckCallError::Invalid(message.to_owned()));
        }
        Ok(call)
    }

    /// Reads the body of a peek: a tool need not be named, and nothing can be reserved.
    pub(super) fn read_peek(
        body: &'b [u8],
        rest: &'b mut Vec<u8>,
        tape: &'b mut Tape,
    ) -> Result<Self, CheckCallError> {
        let call = Self::read_fields(body, rest, tape)?;
        if call.reserve {
            let message =
                "a peek takes no units, so it reserves none; leave `reserve` out, or use `/v1/check`";
            return Err(CheckCallError::Invalid(message.to_owned()));
        }
        Ok(call)
    }

    fn read_fields(
        body: &'b [u8],
        rest: &'b mut Vec<u8>,
        tape: &'b mut Tape,
    ) -> Result<Self, CheckCallError> {
        let split = split(body).map_err(|(at, expected)| no_object(at, expected))?;
        split.write_rest(body, rest);
        let rest: &'b [u8] = rest;
        let root = tape
            .parse(rest, MAX_DEPTH)
            .map_err(|error| fault(&split, &error))?;
        let mut call = Self::default();
        for (name, value) in root.members() {
            match name {
                "grant" => call.grant = Some(string(name, value)?),
                "grant_token" => {
                    call.grant_token = optional(value).map(|value| string(name, value)).transpose()?;
                }
                "tool" => call.tool = Some(string(name, value)?),
                // Written with escapes, it was not cut out, and lies in the rest.
                "args" => {
                    call.args = split
                        .args(body)
                        .or_else(|| rest.get(value.span()))
                        .unwrap_or_default();
                }
                "server" => call.server = optional(value).map(|value| string(name, value)).transpose()?,
                "session" => call.session = optional(value).map(|value| string(name, value)).transpose()?,
                "labels" => call.labels = optional(value).map(labels).transpose()?.unwrap_or_default(),
                "reserve" => call.reserve = optional(value).map(boolean).transpose()?.unwrap_or_default(),
                unknown => return Err(unknown_field(unknown)),
            }
        }
        Ok(call)
    }

    /// The call, as the engine takes it.
    pub(super) fn request(&self, pep: Pep, reserve: Option<ReservationId>) -> Request<'_> {
        Request {
            caller: Caller::new(
                self.grant.unwrap_or_default(),
                self.grant_token.unwrap_or_default(),
                &self.labels,
            ),
            pep,
            tool: self.tool.unwrap_or_default(),
            server: self.server.unwrap_or_default(),
            session: self.session,
            args: Args::Json(self.args),
            reserve,
            pins: None,
            unseen_member: None,
        }
    }
}

fn no_object(at: usize, expected: &str) -> CheckCallError {
    CheckCallError::NoObject(format!(
        "the body is not one JSON object: expected {expected} at byte {at}"
    ))
}

/// A fault outside `args`: bad syntax makes it no JSON, anything else is bad JSON.
fn fault(split: &Split, error: &JsonError) -> CheckCallError {
    let at = split.offset_in_body(error.offset);
    match &error.kind {
        JsonErrorKind::Syntax(expected) => no_object(at, expected),
        kind => CheckCallError::Invalid(format!("the body is not a well-formed call: {kind} at byte {at}")),
    }
}

/// An optional field may be left out by `null`.
fn optional(value: Value<'_>) -> Option<Value<'_>> {
    Some(value).filter(|value| value.kind() != Kind::Null)
}

fn string<'b>(name: &str, value: Value<'b>) -> Result<&'b str, CheckCallError> {
    value.as_str().ok_or_else(|| wrong_type(name, "a string", value))
}

fn boolean(value: Value<'_>) -> Result<bool, CheckCallError> {
    value
        .as_bool()
        .ok_or_else(|| wrong_type("reserve", "a boolean", value))
}

fn labels(value: Value<'_>) -> Result<Vec<(&str, &str)>, CheckCallError> {
    if value.kind() != Kind::Object {
        return Err(wrong_type("labels", "an object of strings", value));
    }
    value
        .members()
        .map(|(name, value)| Ok((name, string("labels", value)?)))
        .collect()
}

fn wrong_type(name: &str, expected: &str, value: Value<'_>) -> CheckCallError {
    CheckCallError::Invalid(format!(
        "field `{name}` has the wrong type: expected {expected}, got {}",
        value.kind().as_str()
    ))
}

fn unknown_field(name: &str) -> CheckCallError {
    // A body may hold a very long name, so only its start is compared and shown.
    let start: String = name.chars().take(SHOWN_CHARACTERS).collect();
    let shown: String = start.chars().flat_map(char::escape_debug).collect();
    let message = match probable(&start, &FIELDS) {
        Some(nearest) => format!("unknown field `{shown}`; did you mean `{nearest}`?"),
        None => format!(
            "unknown field `{shown}`; expected one of `{}`",
            FIELDS.join("`, `")
        ),
    };
    CheckCallError::Invalid(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<R>(body: &str, look: impl FnOnce(Result<CheckCall<'_>, CheckCallError>) -> R) -> R {
        look(CheckCall::read(
            body.as_bytes(),
            &mut Vec::new(),
            &mut Tape::new(),
        ))
    }

    fn invalid(body: &str) -> String {
        read(body, |call| match call {
            Err(CheckCallError::Invalid(message)) => message,
            other => panic!("{body}: {:?}", other.err()),
        })
    }

    #[test]
    fn a_whole_call() {
        let body = r#"{"grant":"g","tool":"t","args":{"a":1.0},"server":"s","session":"x","labels":{"team":"ops"},"reserve":true}"#;
        read(body, |call| {
            let call = call.unwrap();
            assert!(call.reserve);
            let request = call.request(Pep::UNNAMED, Some(ReservationId::new(7)));
            let Caller::Named { grant, labels } = request.caller else {
                panic!("{:?}", request.caller)
            };
            assert_eq!(
                (grant, request.tool, request.server, request.session),
                ("g", "t", "s", Some("x"))
            );
            assert_eq!(labels, [("team", "ops")]);
            assert!(matches!(request.args, Args::Json(br#"{"a":1.0}"#)));
            assert_eq!(request.reserve, Some(ReservationId::new(7)));
        });
    }

    #[test]
    fn what_may_be_left_out() {
        for body in [
            r#"{"grant":"g","tool":"t"}"#,
            r#"{"grant":"g","tool":"t","server":null,"session":null,"labels":null,"reserve":null}"#,
            r#"{"grant":"g","tool":"t","server":"","session":"","grant_token":null}"#,
        ] {
            read(body, |call| {
                let call = call.unwrap();
                let request = call.request(Pep::UNNAMED, None);
                assert_eq!((request.server, request.session.unwrap_or_default()), ("", ""));
                assert!(matches!(request.args, Args::Json(b"")));
                assert!(matches!(
                    request.caller,
                    Caller::Named {
                        grant: "g",
                        labels: []
                    }
                ));
                assert!(!call.reserve);
            });
        }
    }

    #[test]
    fn a_call_without_a_caller_is_the_engine_s_to_refuse() {
        for body in [r#"{"tool":"t"}"#, r#"{"tool":"t","grant_token":null}"#] {
            read(body, |call| {
                let call = call.unwrap();
                let caller = call.request(Pep::UNNAMED, None).caller;
                assert!(matches!(caller, Caller::Named { grant: "", .. }), "{caller:?}");
            });
        }
    }

    #[test]
    fn a_token_stands_for_the_grant() {
        read(r#"{"grant_token":"cgt_x","tool":"t"}"#, |call| {
            let call = call.unwrap();
            assert!(matches!(
                call.request(Pep::UNNAMED, None).caller,
                Caller::Token(_)
            ));
        });
        read(r#"{"grant_token":"cgt_x","grant":"g","tool":"t"}"#, |call| {
            let call = call.unwrap();
            assert!(matches!(
                call.request(Pep::UNNAMED, None).caller,
                Caller::Contradictory
            ));
        });
        assert_eq!(
            invalid(r#"{"grant_token":7,"tool":"t"}"#),
            "field `grant_token` has the wrong type: expected a string, got number"
        );
    }

    #[test]
    fn a_peek_needs_no_tool_and_reserves_nothing() {
        let peek = |body: &str| {
            let (mut rest, mut tape) = (Vec::new(), Tape::new());
            let call = CheckCall::read_peek(body.as_bytes(), &mut rest, &mut tape);
            call.map(|call| call.request(Pep::UNNAMED, None).tool.to_owned())
        };
        assert_eq!(peek(r#"{"grant":"g"}"#), Ok(String::new()));
        assert_eq!(peek(r#"{"grant_token":"cgt_x","tool":"t"}"#), Ok("t".to_owned()));
        assert_eq!(
            peek(r#"{"tool":"t"}"#),
            Ok("t".to_owned()),
            "the caller is the engine's to miss"
        );
        assert!(
            matches!(peek(r#"{"grant":"g","reserve":true}"#), Err(CheckCallError::Invalid(message)) if message.contains("`reserve`"))
        );
        assert!(matches!(peek("[]"), Err(CheckCallError::NoObject(_))));
    }

    #[test]
    fn faulty_args_are_the_engine_s_to_judge() {
        for args in ["NaN", "[1", r#""\ud800""#, r#"{"a":1,"a":2}"#] {
            let body = format!(r#"{{"grant":"g","tool":"t","args":{args}}}"#);
            read(&body, |call| match call {
                Ok(call) => assert_eq!(call.args, args.as_bytes()),
                Err(CheckCallError::NoObject(_)) => {
                    assert_eq!(args, "[1", "only what never ends swallows the body's end");
                }
                Err(fault) => panic!("{fault:?}"),
            });
        }
        read(
            "{\"grant\":\"g\",\"tool\":\"t\",\"\\u0061rgs\":{\"b\":2}}",
            |call| {
                assert_eq!(call.unwrap().args, br#"{"b":2}"#);
            },
        );
    }

    #[test]
    fn faults_of_fields_are_decisions() {
        for (body, message) in [
            (r#"{"grant":"g"}"#, "field `tool` is missing; expected a string"),
            (
                r#"{"grant":1,"tool":"t"}"#,
                "field `grant` has the wrong type: expected a string, got number",
            ),
            (
                r#"{"reserve":"yes"}"#,
                "field `reserve` has the wrong type: expected a boolean, got string",
            ),
            (
                r#"{"labels":[]}"#,
                "field `labels` has the wrong type: expected an object of strings, got list",
            ),
            (
                r#"{"labels":{"a":1}}"#,
                "field `labels` has the wrong type: expected a string, got number",
            ),
            (
                r#"{"Grants":"g"}"#,
                "unknown field `Grants`; did you mean `grant`?",
            ),
            (
                r#"{"arguments":{}}"#,
                "unknown field `arguments`; expected one of `grant`, `grant_token`, `tool`, `args`, `server`, `session`, `labels`, `reserve`",
            ),
            (
                r#"{"a\nb":{}}"#,
                "unknown field `a\\nb`; expected one of `grant`, `grant_token`, `tool`, `args`, `server`, `session`, `labels`, `reserve`",
            ),
        ] {
            assert_eq!(invalid(body), message);
        }
        let twice = invalid(r#"{"grant":"g","tool":"t","args":{"long":"value"},"grant":"h"}"#);
        assert!(
            twice.contains("`grant`") && twice.ends_with("at byte 48"),
            "{twice}"
        );
        assert!(invalid(r#"{"args":1,"args":2}"#).contains("`args`"));
        assert!(invalid(r#"{"args":1,"\u0061rgs":2}"#).contains("`args`"));
        assert!(invalid(r#"{"grant":"\ud800"}"#).contains("surrogate"));
    }

    #[test]
    fn what_is_no_object_is_no_request() {
        for body in [
            "",
            "[]",
            "\"x\"",
            "{\"grant\":g}",
            "{\"grant\":\"g\",}",
            "{\"grant\":\"g\"} {}",
            "\u{feff}{}",
        ] {
            read(body, |call| {
                assert!(
                    matches!(call, Err(CheckCallError::NoObject(_))),
                    "{body}: {:?}",
                    call.err()
                );
            });
        }
    }
}
