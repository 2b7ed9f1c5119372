//! Servers of the transport before streamable HTTP: HTTP+SSE, of MCP 2024-11-05.
//!
//! Such a server streams events at one address and takes messages at another, which the stream's first event, `endpoint`,
//! names. It answers a message at the first one by 405, or by 404 where its framework says so. That alone may mean anything, so
//! the stream is asked for, as clients do that speak both (transport page, "Backward Compatibility").

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

/// The first line of its stream.
const ENDPOINT: [&[u8]; 2] = [b"event: endpoint", b"event:endpoint"];

/// The time until such a stream must begin.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// More than its first event has before that line.
const MAX_BYTES: usize = 4 * 1024;

const EVENTS: &str = "text/event-stream";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// Returns true if a server of the old transport could answer so to a message with these fields.
pub(super) fn may_answer<B>(
    method: &Method,
    fields: impl FnOnce() -> HeaderMap,
    reply: &Response<B>,
) -> bool {
    let is_json = || content_type(reply).is_some_and(|kind| kind.starts_with("application/json"));
    let refuses = match reply.status() {
        StatusCode::METHOD_NOT_ALLOWED => true,
        // A server of today says so in JSON where it does not know a method.
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => !is_json(),
        _ => false,
    };
    // Whoever is in a session has spoken to a server of today.
    refuses && *method == Method::POST && !fields().contains_key(SESSION)
}

/// The fields of the request for its stream, made of those of a message.
pub(super) fn asking(mut fields: HeaderMap) -> HeaderMap {
    fields.remove(CONTENT_TYPE);
    fields.insert(ACCEPT, HeaderValue::from_static(EVENTS));
    fields
}

/// Returns true if a reply to that is such a stream.
pub(super) async fn is_stream<B>(reply: Response<B>) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    let is_events = content_type(&reply).is_some_and(|kind| kind.starts_with(EVENTS));
    reply.status() == StatusCode::OK && is_events && begins_so(reply.into_body()).await
}

/// Returns true if the first event of a stream names an endpoint.
async fn begins_so<B>(mut body: B) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut begin = Vec::new();
    while begin.len() < MAX_BYTES {
        let Some(Ok(frame)) = body.frame().await else {
            return false;
        };
        begin.extend(frame.into_data().unwrap_or_default());
        if let Some(answer) = names_endpoint(&begin) {
            return answer;
        }
    }
    false
}

/// Returns true if these lines of an event name an endpoint; `None`: not yet.
fn names_endpoint(begin: &[u8]) -> Option<bool> {
    let (lines, _) = begin.split_at(begin.iter().rposition(|byte| *byte == b'\n')?);
    let lines = lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    // Comments, and the empty lines behind them, say nothing.
    let mut said =
        lines.filter(|line| !line.is_empty() && !line.starts_with(b":") && !line.starts_with(b"id:"));
    said.next().map(|line| ENDPOINT.contains(&line))
}

fn content_type<B>(reply: &Response<B>) -> Option<String> {
    let kind = reply.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(kind.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_stream_begins_with_an_endpoint() {
        for begin in [
            "event: endpoint\ndata: /messages/?session_id=1\n\n",
            "event: endpoint\r\ndata: /messages\r\n\r\n",
            ":\n\nevent:endpoint\n",
            "id: 1\nevent: endpoint\n",
        ] {
            assert_eq!(names_endpoint(begin.as_bytes()), Some(true), "{begin:?}");
        }
        for begin in [
            "event: message\ndata: {}\n\nevent: endpoint\n",
            "data: event: endpoint\n",
        ] {
            assert_eq!(names_endpoint(begin.as_bytes()), Some(false), "{begin:?}");
        }
        for begin in ["", "event: endp", "event: endpoint", ": ping\n\n"] {
            assert_eq!(names_endpoint(begin.as_bytes()), None, "{begin:?}");
        }
    }

    #[test]
    fn only_refusals_of_messages_are_asked_about() {
        let reply = |status: u16, kind: &'static str| {
            let reply = Response::builder().status(status).header(CONTENT_TYPE, kind);
            reply.body(()).unwrap()
        };
        let (none, session) = (
            HeaderMap::new(),
            [(SESSION, HeaderValue::from_static("x"))].into_iter().collect(),
        );
        let asks = |status, kind| may_answer(&Method::POST, || none.clone(), &reply(status, kind));
        assert!(asks(405, "application/json") && asks(404, "text/html") && asks(400, "text/plain"));
        assert!(
            !asks(404, "application/json; charset=utf-8") && !asks(200, EVENTS) && !asks(500, "text/plain")
        );
        assert!(!may_answer(
            &Method::GET,
            || none.clone(),
            &reply(405, "text/plain")
        ));
        assert!(!may_answer(&Method::POST, || session, &reply(404, "text/plain")));
    }
}
