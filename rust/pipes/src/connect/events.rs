//! The fields of an event besides its message.

use std::borrow::Cow;
use std::time::Duration;

use callgate_mcp::sse::Event;

/// The longest event that is held, in bytes: a message is one event, and a result may be large.
pub(super) const EVENT_LIMIT_BYTES: usize = 256 << 20;

/// The time to wait before a stream is requested again, if the server has not set one.
const RETRY: Duration = Duration::from_secs(1);

/// The longest wait that a server can ask for.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The point at which a broken stream resumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resumption {
    /// The id of the last event; `None` where the stream cannot go on.
    pub(super) last_event_id: Option<String>,
    pub(super) retry: Duration,
}

impl Default for Resumption {
    fn default() -> Self {
        Self {
            last_event_id: None,
            retry: RETRY,
        }
    }
}

impl Resumption {
    /// Takes down what an event says of it; gives the message in it, if there is one.
    pub(super) fn see<'e>(&mut self, event: &Event<'e>) -> Option<Cow<'e, [u8]>> {
        let mut is_message = true;
        for line in event.raw().split(|byte| matches!(byte, b'\n' | b'\r')) {
            if let Some(id) = field(line, "id") {
                // One with NUL is none (HTML standard, section 9.2.6), and an empty one says that nothing can be resumed.
                if !id.contains('\0') {
                    self.last_event_id = Some(id.to_owned()).filter(|id| !id.is_empty());
                }
            } else if let Some(retry) = field(line, "retry") {
                if let Ok(retry_ms) = retry.parse() {
                    self.retry = Duration::from_millis(retry_ms).min(LONGEST_RETRY);
                }
            } else if let Some(kind) = field(line, "event") {
                is_message = kind.is_empty() || kind == "message";
            }
        }
        event
            .data()
            .filter(|data| is_message && !data.trim_ascii().is_empty())
    }
}

fn field<'l>(line: &'l [u8], name: &str) -> Option<&'l str> {
    let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
    str::from_utf8(value.strip_prefix(b" ").unwrap_or(value)).ok()
}

#[cfg(test)]
mod tests {
    use callgate_mcp::sse::Events;

    use super::*;

    fn seen(stream: &str) -> (Vec<String>, Resumption) {
        let (mut messages, mut resumption) = (Vec::new(), Resumption::default());
        let mut events = Events::new(1_000);
        let mut see = |event: Event<'_>| {
            let message = resumption.see(&event);
            messages.extend(message.map(|data| String::from_utf8(data.into_owned()).expect("text")));
        };
        events.read(stream.as_bytes(), &mut see).expect("short");
        events.finish(&mut see);
        (messages, resumption)
    }

    #[test]
    fn events_are_messages_or_say_how_to_go_on() {
        let (messages, resumption) = seen(
            "id: 1\nretry: 250\ndata:\n\n: ping\n\nid:2\r\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: other\ndata: x\n\n",
        );
        assert_eq!(messages, ["{\"a\":\n1}"]);
        assert_eq!(resumption.last_event_id.as_deref(), Some("2"));
        assert_eq!(resumption.retry, Duration::from_millis(250));
    }

    #[test]
    fn what_cannot_be_resumed_is_known() {
        assert_eq!(seen("data: {}\n\n").1, Resumption::default());
        assert_eq!(seen("id: 1\n\nid:\ndata: {}\n\n").1.last_event_id, None);
        assert_eq!(seen("id: a\0\n\nretry: soon\n\n").1, Resumption::default());
        assert_eq!(seen("retry: 999999999\n\n").1.retry, LONGEST_RETRY);
    }
}
