//! The protocol over which a request came, and the trace that it belongs to.

use callgate_mcp::{TraceContext, TraceParent};
use http::HeaderMap;

use crate::protocol::Protocol;
use crate::proxy::Attributes;

/// The field of the W3C trace context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The protocol and the trace of a request, for the decision log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ingress {
    pub(crate) protocol: Protocol,
    /// The caller's span; `None` if the request names none, or none that is valid.
    pub(crate) traceparent: Option<TraceParent>,
}

impl From<Protocol> for Ingress {
    fn from(protocol: Protocol) -> Self {
        Self {
            protocol,
            traceparent: None,
        }
    }
}

impl Ingress {
    /// The ingress of a request with these header fields.
    pub(crate) fn of_headers(protocol: Protocol, headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        // Of two nobody knows which is meant.
        let traceparent = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(TraceParent::parse),
            _ => None,
        };
        Self {
            protocol,
            traceparent,
        }
    }
}

/// The trace context of one request that is judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trace<'a> {
    /// The parent in the header fields.
    header: Option<TraceParent>,
    /// The context in `_meta` of the message, once that is read.
    pub(crate) message: Option<TraceContext<'a>>,
}

impl Trace<'_> {
    /// The trace context in a request's header fields. A value that is not valid counts as absent.
    pub(crate) fn of_attributes<'f>(attributes: &impl Attributes<'f>) -> Self {
        let header = attributes.header(TRACEPARENT).ok().flatten();
        Self {
            header: header.and_then(TraceParent::parse),
            message: None,
        }
    }

    /// The same, with the context of the message.
    pub(crate) const fn with_message(self, message: Option<TraceContext<'_>>) -> Trace<'_> {
        Trace {
            header: self.header,
            message,
        }
    }

    /// The parent that the decision log names: that of the header fields, else that of the message.
    pub(crate) fn parent(&self) -> Option<TraceParent> {
        self.header
            .or_else(|| self.message.map(|message| message.traceparent))
    }
}
