//! Structured events for the log, in a bounded queue that the control plane drains.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use callgate_core::grant::without_tokens;

/// Events that wait to be drained; more are dropped and counted.
const QUEUE_CAPACITY: usize = 4_096;

/// Characters of a caller's name that an event keeps: names come from callers, and a log line has to end.
const SHOWN_CHARACTERS: usize = 128;

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the usual words")]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    /// The word that logs use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// A name or a text; names that callers chose are cut to 128 characters, and tokens among them to a few.
    Text(String),
    /// A count or a time, with the unit in the field's name.
    Number(u64),
}

impl From<u64> for FieldValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for FieldValue {
    fn from(number: usize) -> Self {
        Self::Number(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::Text(shown(text))
    }
}

/// A text that a caller may have chosen, cut to 128 characters, and tokens in it to a few.
pub(crate) fn shown(text: &str) -> String {
    let text = without_tokens(text);
    let end = text
        .char_indices()
        .nth(SHOWN_CHARACTERS)
        .map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default().to_owned()
}

/// One event. Values of arguments never appear in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The severity of the event.
    pub level: Level,
    /// The kind of the event, one word: `server_started`, `server_stopping`, `server_stopped`, `denied`,
    /// `denials_suppressed`, `internal_error`, `invalid_request_flood`, `counter_capacity_reached`,
    /// `counters_flush_failed`, `counters_growth_failed`, `counters_sharing_failed`, `connection_cap_reached`, `accept_failed`, `peer_refused`,
    /// `pep_refused`, `tls_handshake_failed`, `http2_flood`, `refusals_suppressed`, `socket_mode_failed`,
    /// `audit_failed`, `audit_recovered`, `audit_dropped`, `audit_rotation_failed`, `audit_unfinished`, `audit_log_broken`, `audit_key_expired`,
    /// `rate_limit_failed`, `quota_refused`, `quota_exceeded`, `issuer_keys_changed`, `issuer_keys_failed`, `upstream_unfit`, `upstream_recovered`,
    /// `tool_unlisted`, `freezes_changed`, `freezes_failed`, `freezes_recovered`.
    pub event: &'static str,
    /// Further facts about the event, by name.
    pub fields: Vec<(&'static str, FieldValue)>,
}

/// The target of tracing events.
const TRACING_TARGET: &str = "callgate::events";

/// Passes an event to the subscriber of `tracing`, if the process has one.
fn trace(level: Level, event: &'static str, fields: &[(&'static str, FieldValue)]) {
    // Names of fields differ by event, and those of a tracing event are fixed where it is written.
    let fields = Shown(fields);
    match level {
        Level::Info => tracing::info!(target: TRACING_TARGET, event, %fields),
        Level::Warning => tracing::warn!(target: TRACING_TARGET, event, %fields),
        Level::Error => tracing::error!(target: TRACING_TARGET, event, %fields),
    }
}

/// Fields as `name=value`, with texts in quotes.
struct Shown<'f>(&'f [(&'static str, FieldValue)]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match value {
                // Escaped, because callers choose some texts.
                FieldValue::Text(text) => write!(f, "{name}={text:?}")?,
                FieldValue::Number(number) => write!(f, "{name}={number}")?,
            }
        }
        Ok(())
    }
}

/// The queue of events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: Mutex<VecDeque<Event>>,
    dropped: AtomicU64,
}

impl Events {
    /// Queues an event; drops and counts it if the queue is full. Never called for every call: see [`super::metrics`].
    pub(crate) fn push(&self, level: Level, event: &'static str, fields: Vec<(&'static str, FieldValue)>) {
        trace(level, event, &fields);
        let mut waiting = self.lock();
        if waiting.len() < QUEUE_CAPACITY {
            waiting.push_back(Event { level, event, fields });
        } else {
            // Relaxed: a count that publishes nothing else.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes up to `max` events from the queue, oldest first.
    pub(crate) fn drain(&self, max: usize) -> Vec<Event> {
        let mut waiting = self.lock();
        let count = max.min(waiting.len());
        waiting.drain(..count).collect()
    }

    /// Returns the number of events dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        // Relaxed, as in `push`.
        self.dropped.load(Ordering::Relaxed)
    }

    /// A panic between a push and a pop leaves a queue that is still a queue.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let events = Events::default();
        for number in 0..QUEUE_CAPACITY + 3 {
            events.push(Level::Info, "denied", vec![("number", number.into())]);
        }
        assert_eq!(events.dropped(), 3);
        let first = events.drain(2);
        assert_eq!(first[1].fields, vec![("number", FieldValue::Number(1))]);
        assert_eq!(events.drain(usize::MAX).len(), QUEUE_CAPACITY - 2);
        assert!(events.drain(1).is_empty());
    }

    /// Keeps each event as `level target event fields`.
    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<String>>>);

    struct Fields(String);

    impl tracing::field::Visit for Fields {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
            write!(self.0, " {}: {value:?}", field.name()).expect("a string takes all");
        }
    }

    impl tracing::Subscriber for Recorder {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target() == TRACING_TARGET
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let metadata = event.metadata();
            let mut fields = Fields(format!("{} {}", metadata.level(), metadata.target()));
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn a_subscriber_gets_each_event() {
        let recorder = Recorder::default();
        let events = Events::default();
        tracing::subscriber::with_default(recorder.clone(), || {
            // Another test may have been registering these call sites while this subscriber came, and then nobody
            // would have told them of it.
            tracing::callsite::rebuild_interest_cache();
            let fields = vec![("tool", "a\nb".into()), ("decided_at_us", 7_u64.into())];
            events.push(Level::Info, "denied", fields);
            events.push(Level::Error, "audit_failed", Vec::new());
        });
        events.push(Level::Warning, "accept_failed", Vec::new());
        let seen = recorder.0.lock().unwrap().clone();
        let denied = r#"INFO callgate::events event: "denied" fields: tool="a\nb" decided_at_us=7"#;
        let failed = r#"ERROR callgate::events event: "audit_failed" fields: "#;
        assert_eq!(seen, [denied, failed]);
        assert_eq!(events.drain(usize::MAX).len(), 3);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let FieldValue::Text(text) = FieldValue::from("é".repeat(500).as_str()) else {
            panic!("a text")
        };
        assert_eq!(text, "é".repeat(SHOWN_CHARACTERS));
    }

    #[test]
    fn a_token_in_the_place_of_a_name_is_cut() {
        let token = "cgt_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
        assert_eq!(
            FieldValue::from(token),
            FieldValue::Text("cgt_0123...".to_owned())
        );
    }
}
