//! The header fields of a request that carries a message.

use callgate_core::bindings::Bindings;
use callgate_mcp::headers::{field_value, param_fields};
use callgate_mcp::{FIRST_MIRRORING_VERSION, Message};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::session::Session;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Of a request that carries a message; `None` stands for a response of the client. `bindings` say which arguments of the
/// tool that it calls are mirrored.
pub(super) fn of_message(
    session: &Session,
    message: Option<&Message<'_>>,
    bindings: Option<&Bindings>,
) -> HeaderMap {
    let mut fields = of_session(session);
    fields.insert(ACCEPT, EITHER);
    fields.insert(CONTENT_TYPE, JSON);
    // Over pipes a trace context comes in `_meta` alone.
    if let Some(trace) = message.and_then(Message::trace) {
        let traceparent = trace.traceparent.to_string();
        for (name, value) in [(TRACEPARENT, Some(&*traceparent)), (TRACESTATE, trace.tracestate)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                fields.insert(name, value);
            }
        }
    }
    if let Some(message) = message
        && let Some(version) = message.protocol_version()
        && let Ok(value) = HeaderValue::from_str(version)
    {
        fields.insert(PROTOCOL_VERSION, value);
        if mirrors(version) {
            let mut mirror = |name, text: &str| {
                // Whatever the text is, it becomes one that a field can carry.
                if let Ok(value) = HeaderValue::from_str(&field_value(text)) {
                    fields.insert(name, value);
                }
            };
            mirror(METHOD, message.method());
            if let Some(name) = message.name() {
                mirror(NAME, name);
            }
            if let (Message::Call(call), Some(bindings)) = (message, bindings) {
                for (name, value) in call
                    .args
                    .into_iter()
                    .flat_map(|args| param_fields(bindings, args))
                {
                    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
                    {
                        fields.insert(name, value);
                    }
                }
            }
        }
    }
    fields
}

/// Of a request for a stream, which goes on after this event.
pub(super) fn of_stream(session: &Session, last_event_id: Option<&str>) -> HeaderMap {
    let mut fields = of_session(session);
    fields.insert(ACCEPT, EVENTS);
    if let Some(id) = last_event_id
        && let Ok(value) = HeaderValue::from_str(id)
    {
        fields.insert(LAST_EVENT_ID, value);
    }
    fields
}

/// Of any request of a session.
pub(super) fn of_session(session: &Session) -> HeaderMap {
    let mut fields = HeaderMap::new();
    if let Some(id) = &session.id {
        fields.insert(SESSION_ID, id.clone());
    }
    if let Some(version) = &session.version {
        fields.insert(PROTOCOL_VERSION, version.clone());
    }
    fields
}

/// Returns true if messages of this protocol version are mirrored in fields, and cancelled by closing.
pub(super) fn mirrors(version: &str) -> bool {
    // Versions are dates.
    version >= FIRST_MIRRORING_VERSION
}

#[cfg(test)]
mod tests {
    use callgate_core::json::Tape;

    use super::*;

    fn of(session: &Session, line: &str) -> Vec<(String, String)> {
        let mut tape = Tape::new();
        let message = Message::parse(&mut tape, line.as_bytes()).expect("a message");
        let fields = of_message(session, Some(&message), None);
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        fields
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .filter(|(name, _)| name.starts_with("mcp-"))
            .collect()
    }

    #[test]
    fn new_messages_are_mirrored() {
        let line = |tool: &str| {
            let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}",{meta}}}}}"#)
        };
        let expected = |name: &str| {
            [
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "tools/call"),
                ("mcp-name", name),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
        };
        assert_eq!(of(&Session::default(), &line("drop")), expected("drop"));
        assert_eq!(
            of(&Session::default(), &line("dröp")),
            expected("=?base64?ZHLDtnA=?=")
        );
    }

    #[test]
    fn a_trace_context_in_meta_becomes_fields() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let line = |meta: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","_meta":{{{meta}}}}}}}"#
            )
        };
        let traced = |meta: &str| {
            let line = line(meta);
            let mut tape = Tape::new();
            let message = Message::parse(&mut tape, line.as_bytes()).expect("a message");
            let fields = of_message(&Session::default(), Some(&message), None);
            ["traceparent", "tracestate"].map(|name| {
                fields
                    .get(name)
                    .map(|value| value.to_str().expect("text").to_owned())
            })
        };
        let both = format!(r#""traceparent":"{parent}","tracestate":"a=1""#);
        assert_eq!(traced(&both), [Some(parent.to_owned()), Some("a=1".to_owned())]);
        let hostile = format!(r#""traceparent":"{parent}","tracestate":"a=1\r\nx: y""#);
        assert_eq!(traced(&hostile), [Some(parent.to_owned()), None]);
        for none in ["", r#""traceparent":"00-x""#, r#""tracestate":"a=1""#] {
            assert_eq!(traced(none), [None, None], "{none}");
        }
    }

    #[test]
    fn a_session_s_messages_bear_its_id_and_version() {
        let session = Session {
            id: Some(HeaderValue::from_static("s")),
            version: Some(HeaderValue::from_static("2025-06-18")),
            ..Session::default()
        };
        let line = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"drop"}}"#;
        let expected = [("mcp-session-id", "s"), ("mcp-protocol-version", "2025-06-18")];
        assert_eq!(
            of(&session, line),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(of_stream(&session, Some("7"))["last-event-id"], "7");
    }
}
