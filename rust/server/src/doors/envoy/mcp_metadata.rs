//! The facts that Envoy's MCP filter (`envoy.filters.http.mcp`) has read from a body, taken from the dynamic metadata
//! that it writes.
//!
//! Envoy 1.40 writes `jsonrpc`, `method`, `id` (a string, or a number as a double), `params.name` and further members
//! of `params`, `is_mcp_request` and `status`. It also writes `passthrough_reason` and `is_exceeding_limit` if there
//! was a fault and the request was forwarded nevertheless.

use callgate_core::json::write_string;
use callgate_mcp::message::TOOLS_CALL;
use callgate_mcp::{Id, MessageTarget};
use callgate_proto::pb::envoy::config::core::v3::Metadata;
use callgate_proto::pb::google::protobuf::Struct;
use callgate_proto::pb::google::protobuf::value::Kind;

use crate::judging::MessageSummary;
use crate::proxy::UnclearError;

/// Integers up to here are exact as doubles.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// A message by the filter's reading.
#[derive(Clone, Debug)]
pub(super) struct ReadMessage<'a> {
    named: MessageTarget<'a>,
    /// The id as JSON; `None` for a notification, and for a number beyond the range in which doubles hold integers
    /// exactly.
    id: Option<String>,
}

impl<'a> ReadMessage<'a> {
    /// Reads this namespace of the metadata; `None` if no namespace is configured or the filter wrote nothing.
    pub(super) fn of(
        metadata: Option<&'a Metadata>,
        namespace: Option<&str>,
    ) -> Result<Option<Self>, UnclearError> {
        let found = namespace.and_then(|namespace| metadata?.filter_metadata.get(namespace));
        found.map(Self::read).transpose()
    }

    fn read(fields: &'a Struct) -> Result<Self, UnclearError> {
        let says_so = matches!(kind(fields, "is_mcp_request"), Some(Kind::BoolValue(true)));
        let is_short = matches!(kind(fields, "is_exceeding_limit"), Some(Kind::BoolValue(true)));
        let is_odd = kind(fields, "passthrough_reason").is_some()
            || text(fields, "status").is_some_and(|status| status != "mcp_ok");
        if !says_so || is_short || is_odd || text(fields, "jsonrpc") != Some("2.0") {
            return Err(UnclearError::new(
                "the proxy's MCP filter could not read the body as one MCP message; send one JSON-RPC message without \
                 duplicate keys, as short as the filter reads",
            ));
        }
        let method = text(fields, "method").ok_or_else(|| {
            UnclearError::new("the proxy's MCP filter names no method; send `method` as a string")
        })?;
        let id = id(fields)?;
        let params = match kind(fields, "params") {
            Some(Kind::StructValue(params)) => Some(params),
            _ => None,
        };
        if method != TOOLS_CALL {
            let key = if method.starts_with("resources/") {
                "uri"
            } else {
                "name"
            };
            let name = params.and_then(|params| text(params, key));
            return Ok(Self {
                named: MessageTarget::Other { method, name },
                id,
            });
        }
        if kind(fields, "id").is_none() {
            return Err(UnclearError::new(
                "a `tools/call` without an `id` cannot be answered; send it as a request, with an `id`",
            ));
        }
        let name = params.and_then(|params| text(params, "name"));
        let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
            UnclearError::new(
                "the proxy's MCP filter names no tool; send `params.name` as a string, not empty",
            )
        })?;
        Ok(Self {
            named: MessageTarget::Call(name),
            id,
        })
    }

    /// Converts the message to the form in which it is judged.
    pub(super) fn as_read(&self) -> MessageSummary<'_> {
        MessageSummary {
            named: self.named,
            id: self.id.as_deref().and_then(Id::from_json),
        }
    }
}

fn id(fields: &Struct) -> Result<Option<String>, UnclearError> {
    match kind(fields, "id") {
        None => Ok(None),
        Some(Kind::StringValue(id)) => {
            let mut json = String::new();
            write_string(id, &mut json);
            Ok(Some(json))
        }
        Some(Kind::NumberValue(id)) if id.fract() == 0.0 => {
            Ok((id.abs() <= MAX_EXACT).then(|| format!("{id:.0}")))
        }
        Some(_) => Err(UnclearError::new(
            "`id` has the wrong type: expected a string or an integer",
        )),
    }
}

fn kind<'a>(fields: &'a Struct, key: &str) -> Option<&'a Kind> {
    fields.fields.get(key)?.kind.as_ref()
}

fn text<'a>(fields: &'a Struct, key: &str) -> Option<&'a str> {
    match kind(fields, key)? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use callgate_proto::pb::google::protobuf::Value;

    use super::*;

    fn value(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    /// Makes the metadata that Envoy writes for a call, with these members in place of its own.
    fn written(others: &[(&str, Kind)]) -> Struct {
        let string = |text: &str| Kind::StringValue(text.to_owned());
        let params = Struct {
            fields: [("name".to_owned(), value(string("open")))].into(),
        };
        let mut fields = Struct {
            fields: [
                ("jsonrpc", string("2.0")),
                ("method", string("tools/call")),
                ("id", Kind::NumberValue(7.0)),
                ("params", Kind::StructValue(params)),
                ("is_mcp_request", Kind::BoolValue(true)),
                ("status", string("mcp_ok")),
            ]
            .map(|(key, kind)| (key.to_owned(), value(kind)))
            .into(),
        };
        for (key, kind) in others {
            fields.fields.insert((*key).to_owned(), value(kind.clone()));
        }
        fields
    }

    #[test]
    fn calls_and_other_messages_are_read() {
        let call = written(&[]);
        let read = ReadMessage::read(&call).unwrap();
        assert_eq!(read.named, MessageTarget::Call("open"));
        assert_eq!(read.as_read().id.map(Id::json), Some("7"));
        let other = written(&[("method", Kind::StringValue("tools/list".to_owned()))]);
        assert!(matches!(
            ReadMessage::read(&other).unwrap().named,
            MessageTarget::Other {
                method: "tools/list",
                ..
            }
        ));
    }

    #[test]
    fn ids_are_exact_or_none() {
        for (kind, id) in [
            (Kind::StringValue("a\"b".to_owned()), Some(r#""a\"b""#)),
            (Kind::NumberValue(-3.0), Some("-3")),
            (Kind::NumberValue(MAX_EXACT), Some("9007199254740991")),
            (Kind::NumberValue(MAX_EXACT + 1.0), None),
        ] {
            let fields = written(&[("id", kind)]);
            assert_eq!(ReadMessage::read(&fields).unwrap().as_read().id.map(Id::json), id);
        }
        for kind in [
            Kind::NumberValue(1.5),
            Kind::NumberValue(f64::NAN),
            Kind::NullValue(0),
            Kind::BoolValue(true),
        ] {
            assert!(ReadMessage::read(&written(&[("id", kind)])).is_err());
        }
    }

    #[test]
    fn what_the_filter_let_through_unread_is_refused() {
        let string = |text: &str| Kind::StringValue(text.to_owned());
        for other in [
            ("is_mcp_request", Kind::BoolValue(false)),
            ("is_exceeding_limit", Kind::BoolValue(true)),
            ("passthrough_reason", string("mcp_duplicate_keys")),
            ("status", string("mcp_parse_error")),
            ("jsonrpc", string("1.0")),
            ("method", Kind::NumberValue(1.0)),
            ("params", Kind::NullValue(0)),
        ] {
            assert!(
                ReadMessage::read(&written(std::slice::from_ref(&other))).is_err(),
                "{other:?}"
            );
        }
        let mut notification = written(&[]);
        notification.fields.remove("id");
        assert!(ReadMessage::read(&notification).is_err());
        assert!(ReadMessage::read(&Struct::default()).is_err());
    }

    #[test]
    fn only_the_configured_namespace_is_believed() {
        let metadata = Metadata {
            filter_metadata: [("mcp".to_owned(), written(&[]))].into(),
            ..Metadata::default()
        };
        for (namespace, is_read) in [(None, false), (Some("other"), false), (Some("mcp"), true)] {
            let read = ReadMessage::of(Some(&metadata), namespace).unwrap();
            assert_eq!(read.is_some(), is_read, "{namespace:?}");
        }
        assert!(ReadMessage::of(None, Some("mcp")).unwrap().is_none());
    }
}
