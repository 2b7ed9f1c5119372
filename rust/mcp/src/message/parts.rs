//! A message in parts, from a gateway that has read the envelope itself.

use callgate_core::json::{Tape, Value};

use super::envelope::method_fault;
use super::invalid;
use super::params::Params;
use super::{MAX_MESSAGE_DEPTH, TOOLS_CALL};
use crate::error::{MessageError, Reason};
use crate::trace::TraceContext;

/// A message without its envelope: the gateway keeps the id for the answer, and builds the message again from these
/// parts.
#[derive(Clone, Copy, Debug)]
pub enum Parts<'m> {
    /// A `tools/call`, judged by the policy.
    Call {
        /// The tool's name, not empty, without NUL.
        tool: &'m str,
        /// The arguments: an object, or `None` if the call has none.
        args: Option<Value<'m>>,
        /// The first member of `params` beside them that may change the call: any but `_meta` and `task`.
        unseen_member: Option<&'m str>,
        /// The trace context in `_meta`.
        trace: Option<TraceContext<'m>>,
    },
    /// Any other request or notification, judged by [`crate::Methods`].
    Other {
        /// The method, not empty, without control characters.
        method: &'m str,
        /// The trace context in `_meta`.
        trace: Option<TraceContext<'m>>,
    },
}

impl<'m> Parts<'m> {
    /// Reads a method and `params`, as strictly as [`super::Message::parse`] reads them in a whole message.
    ///
    /// ```
    /// use callgate_core::json::Tape;
    /// use callgate_mcp::Parts;
    ///
    /// let mut tape = Tape::new();
    /// let params = br#"{"name":"drop","arguments":{"a":1}}"#;
    /// let Ok(Parts::Call { tool, .. }) = Parts::parse(&mut tape, "tools/call", Some(params)) else { panic!("a call") };
    /// assert_eq!(tool, "drop");
    /// ```
    pub fn parse(
        tape: &'m mut Tape,
        method: &'m str,
        params: Option<&'m [u8]>,
    ) -> Result<Self, MessageError<'static>> {
        if let Some(message) = method_fault(method) {
            return Err(MessageError::new(Reason::Method, message));
        }
        let params = match params {
            None => Params::default(),
            Some(bytes) => {
                invalid::check_bytes(bytes)?;
                // The absent envelope counts as a level.
                let root = tape
                    .parse(bytes, MAX_MESSAGE_DEPTH - 1)
                    .map_err(|error| invalid::from_json_error(&error))?;
                Params::read(invalid::object(Reason::Params, "params", root)?)?
            }
        };
        if method != TOOLS_CALL {
            return Ok(Self::Other {
                method,
                trace: params.trace,
            });
        }
        Ok(Self::Call {
            tool: params.tool()?,
            args: params.args()?,
            unseen_member: params.unseen,
            trace: params.trace,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(method: &str, params: Option<&str>) -> Reason {
        let mut tape = Tape::new();
        let parts = Parts::parse(&mut tape, method, params.map(str::as_bytes));
        parts.map(|_| ()).expect_err(method).reason
    }

    #[test]
    fn arguments_are_the_bytes_that_came() {
        let mut tape = Tape::new();
        let params = br#"{"_meta":{},"name":"t","arguments":{ "n":9007199254740993 }}"#;
        let Ok(Parts::Call { tool, args, .. }) = Parts::parse(&mut tape, "tools/call", Some(params)) else {
            panic!("a call")
        };
        assert_eq!(
            (tool, args.map(Value::raw)),
            ("t", Some(r#"{ "n":9007199254740993 }"#))
        );
        for params in [None, Some(b"{}".as_slice())] {
            let mut tape = Tape::new();
            let parts = Parts::parse(&mut tape, "tools/list", params);
            assert!(
                matches!(
                    parts,
                    Ok(Parts::Other {
                        method: "tools/list",
                        ..
                    })
                ),
                "{parts:?}"
            );
        }
    }

    #[test]
    fn params_are_one_object_that_reads_one_way() {
        for (params, expected) in [
            ("", Reason::EmptyBody),
            ("null", Reason::Params),
            (r#"[{"name":"t"}]"#, Reason::Params),
            (r#"{"name":"t","name":"u"}"#, Reason::DuplicateKey),
            (r#"{"name":"t","Arguments":{}}"#, Reason::KeyCase),
            (r#"{"name":"t","arguments":[]}"#, Reason::Arguments),
            (r#"{"name":""}"#, Reason::Tool),
            ("{}", Reason::Tool),
            // Text that would end `params` in an envelope ends nothing here.
            (r#"{"name":"t"},"method":"ping""#, Reason::InvalidJson),
        ] {
            assert_eq!(reason("tools/call", Some(params)), expected, "{params}");
        }
        assert_eq!(reason("tools/call", None), Reason::Tool);
        assert_eq!(reason("Tools/Call", Some("{}")), Reason::Method);
        assert_eq!(reason("", None), Reason::Method);
        assert_eq!(reason("tools/list", Some("{")), Reason::InvalidJson);
    }

    #[test]
    fn depth_is_that_of_a_whole_message() {
        let nested = |levels: usize| {
            format!(
                r#"{{"name":"t","arguments":{}1{}}}"#,
                r#"{"a":"#.repeat(levels),
                "}".repeat(levels)
            )
        };
        let mut tape = Tape::new();
        assert!(Parts::parse(&mut tape, "tools/call", Some(nested(64).as_bytes())).is_ok());
        assert_eq!(reason("tools/call", Some(&nested(65))), Reason::Depth);
    }
}
