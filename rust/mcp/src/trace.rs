//! W3C trace context, as header fields and as members of `_meta`.

use std::fmt;

use callgate_core::json::Value;

/// The length of a `traceparent` of version 00, in bytes.
const TRACEPARENT_BYTES: usize = 55;

/// The longest `tracestate` that is passed on, in bytes. W3C asks for at least so much (trace context, section 3.3.1.5).
const MAX_TRACESTATE_BYTES: usize = 512;

/// A valid `traceparent` of version 00.
///
/// ```
/// use callgate_mcp::TraceParent;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// assert_eq!(TraceParent::parse(text).map(|parent| parent.to_string()).as_deref(), Some(text));
/// assert_eq!(TraceParent::parse(&text.to_uppercase()), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The id of the trace, not 0.
    pub trace_id: u128,
    /// The id of the caller's span, not 0.
    pub parent_id: u64,
    /// The flags; bit 0 says that the trace is sampled.
    pub flags: u8,
}

impl TraceParent {
    /// Parses the value of a field or member; `None` if it is not valid, or of another version.
    pub fn parse(text: &str) -> Option<Self> {
        // Checked first, because senders choose the length.
        if text.len() != TRACEPARENT_BYTES {
            return None;
        }
        let mut parts = text.strip_prefix("00-")?.split('-');
        let (trace_id, parent_id) = (lower_hex(parts.next()?, 32)?, lower_hex(parts.next()?, 16)?);
        let flags = lower_hex(parts.next()?, 2)?;
        if trace_id == 0 || parent_id == 0 || parts.next().is_some() {
            return None;
        }
        Some(Self {
            trace_id,
            parent_id: u64::try_from(parent_id).ok()?,
            flags: u8::try_from(flags).ok()?,
        })
    }
}

/// The value of exactly so many lower-case hexadecimal digits.
fn lower_hex(digits: &str, count: usize) -> Option<u128> {
    let are_digits = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits.len() != count || !are_digits {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            parent_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{flags:02x}")
    }
}

/// The trace context in the `_meta` of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext<'m> {
    /// `_meta.traceparent`.
    pub traceparent: TraceParent,
    /// `_meta.tracestate`; `None` if it is absent, longer than 512 bytes, or not printable ASCII.
    pub tracestate: Option<&'m str>,
}

impl<'m> TraceContext<'m> {
    /// Reads `_meta`; `None` if it has no valid `traceparent`.
    pub(crate) fn of_meta(meta: Value<'m>) -> Option<Self> {
        let traceparent = TraceParent::parse(meta.get("traceparent")?.as_str()?)?;
        let tracestate = meta.get("tracestate").and_then(Value::as_str);
        Some(Self {
            traceparent,
            tracestate: tracestate.filter(|state| is_field_value(state)),
        })
    }
}

fn is_field_value(text: &str) -> bool {
    (1..=MAX_TRACESTATE_BYTES).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use callgate_core::json::Tape;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn invalid_parents_are_ignored() {
        for wrong in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7\r\n",
            " 0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(TraceParent::parse(&VALID.repeat(1_000)), None);
        for flags in ["00", "01", "ff"] {
            let text = format!("{}{flags}", VALID.strip_suffix("01").expect("it ends so"));
            let parent = TraceParent::parse(&text).expect("valid");
            assert_eq!(parent.to_string(), text);
        }
    }

    #[test]
    fn meta_holds_a_context_or_none() {
        let of_meta = |meta: &str| {
            let mut tape = Tape::new();
            let meta = tape.parse(meta.as_bytes(), 4).expect("JSON");
            let context = TraceContext::of_meta(meta)?;
            Some((
                context.traceparent.to_string(),
                context.tracestate.map(str::to_owned),
            ))
        };
        let with_state =
            |state: &str| of_meta(&format!(r#"{{"tracestate":{state},"traceparent":"{VALID}"}}"#));
        let (parent, state) = with_state(r#""a=1,b=2""#).expect("valid");
        assert_eq!((parent.as_str(), state.as_deref()), (VALID, Some("a=1,b=2")));
        for wrong in [
            r#""""#.to_owned(),
            "7".to_owned(),
            r#""a=1\r\nx: y""#.to_owned(),
            r#""é""#.to_owned(),
            format!("\"{}\"", "a".repeat(513)),
        ] {
            assert_eq!(with_state(&wrong), Some((VALID.to_owned(), None)), "{wrong}");
        }
        for none in [
            "{}",
            "null",
            "[]",
            r#"{"traceparent":7}"#,
            r#"{"traceparent":"00-x\r\n"}"#,
            r#"{"tracestate":"a=1"}"#,
        ] {
            assert_eq!(of_meta(none), None, "{none}");
        }
    }
}
