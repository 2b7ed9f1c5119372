//! `Mcp-Param-*`: arguments that a tool's input schema has clients repeat in header fields.

use std::cmp::Ordering;

use callgate_core::json::{Decimal, Kind, Value};
use serde_json::Value as Schema;

use super::{Headers, PARAM, value};
use crate::message::Call;
use crate::refusal::{Reason, Refusal};

/// The keyword of a property's schema that names its field.
const KEYWORD: &str = "x-mcp-header";

/// Levels of `properties` that are looked into; a schema of the catalogue has no more.
const MAX_DEPTH: usize = 64;

/// Which arguments of one tool are mirrored, and where. Made once for each tool, of its input schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings(Vec<Binding>);

/// One argument and its field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Binding {
    /// The field's whole name, in lower case.
    field: String,
    /// The same with `-` for `_` and `.`: what servers that fold those take it for.
    folded: String,
    /// The keys that lead to the argument.
    path: Vec<String>,
}

impl Bindings {
    /// Reads the annotations of an input schema: those that a chain of `properties` leads to, and no others.
    ///
    /// An annotation that is no field name makes a tool definition that clients must not use; it binds nothing here.
    pub fn of_schema(schema: &Schema) -> Self {
        let mut bindings = Self::default();
        bindings.collect(schema, &mut Vec::new());
        bindings
    }

    /// Whether no argument is mirrored, so that there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn collect(&mut self, schema: &Schema, path: &mut Vec<String>) {
        let Some(properties) = schema.get("properties").and_then(Schema::as_object) else {
            return;
        };
        if path.len() >= MAX_DEPTH {
            return;
        }
        for (name, property) in properties {
            path.push(name.clone());
            if let Some(header) = property
                .get(KEYWORD)
                .and_then(Schema::as_str)
                .filter(|name| is_token(name))
            {
                let field = [PARAM, &header.to_ascii_lowercase()].concat();
                self.0.push(Binding {
                    folded: fold(&field),
                    field,
                    path: path.clone(),
                });
            }
            self.collect(property, path);
            path.pop();
        }
    }

    /// Holds the fields that are there against the call's arguments. Fields that no annotation names are nobody's, and
    /// are passed over; an annotated one that is absent is left to the server to miss.
    pub fn check<'m>(&self, headers: &Headers<'_>, call: &Call<'m>) -> Result<(), Refusal<'m>> {
        let mut seen = Vec::new();
        for (name, value) in &headers.params {
            let folded = fold(name);
            for binding in self.0.iter().filter(|binding| binding.folded == folded) {
                binding
                    .check(name, value, call, &mut seen)
                    .map_err(|refusal| refusal.with_id(Some(call.id)))?;
            }
        }
        Ok(())
    }
}

impl Binding {
    fn check<'b>(
        &'b self,
        name: &str,
        value: &[u8],
        call: &Call<'_>,
        seen: &mut Vec<&'b Self>,
    ) -> Result<(), Refusal<'static>> {
        let field = &self.field;
        if !name.eq_ignore_ascii_case(field) {
            let message = format!("some servers take another field for `{field}`; send `{field}`, once");
            return Err(Refusal::new(Reason::HeaderAlias, message));
        }
        if seen.contains(&self) {
            let message = format!("the field `{field}` stands more than once; send it once");
            return Err(Refusal::new(Reason::HeaderTwice, message));
        }
        seen.push(self);
        let sent = value::decode(field, value)?;
        if self
            .argument(call)
            .is_some_and(|argument| is_equal(argument, &sent.text))
        {
            return Ok(());
        }
        // Neither value is shown: they are arguments.
        let message = format!(
            "the field `{field}` differs from the argument `{}`; send the same value in both, or no field for none",
            self.path.join(".")
        );
        Err(Refusal::new(Reason::HeaderMismatch, message))
    }

    /// The argument that the path leads to.
    fn argument<'m>(&self, call: &Call<'m>) -> Option<Value<'m>> {
        self.path.iter().try_fold(call.args?, |value, key| value.get(key))
    }
}

/// Whether a field's text stands for an argument's value: a string as it is, an integer by value, `true` or `false`.
fn is_equal(argument: Value<'_>, sent: &str) -> bool {
    match argument.kind() {
        Kind::String => argument.as_str() == Some(sent),
        Kind::Bool => {
            argument
                .as_bool()
                .map(|value| if value { "true" } else { "false" })
                == Some(sent)
        }
        Kind::Number => argument.as_number().is_some_and(|text| {
            Decimal::parse(sent).is_ok_and(|sent| sent.cmp_text(text) == Ordering::Equal)
        }),
        Kind::Null | Kind::Array | Kind::Object => false,
    }
}

/// A field name (RFC 9110 section 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn fold(name: &str) -> String {
    name.chars()
        .map(|character| match character {
            '_' | '.' => '-',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use callgate_core::json::Tape;
    use serde_json::json;

    use super::*;
    use crate::message::Message;

    fn bindings() -> Bindings {
        Bindings::of_schema(&json!({
            "type": "object",
            "properties": {
                "region": {"type": "string", "x-mcp-header": "Region"},
                "count": {"type": "integer", "x-mcp-header": "Count"},
                "tenant": {"properties": {"id": {"type": "string", "x-mcp-header": "tenant_id"}}},
                "dry": {"type": "boolean", "x-mcp-header": "Dry-Run"},
                "bad": {"type": "string", "x-mcp-header": "no token"},
                "list": {"items": {"properties": {"x": {"x-mcp-header": "X"}}}},
                "none": {"type": "string"},
            },
            "anyOf": [{"properties": {"y": {"x-mcp-header": "Y"}}}],
        }))
    }

    fn check(fields: &[(&str, &str)]) -> Result<(), Reason> {
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":
            {"region":"caf\u00e9","count":42,"tenant":{"id":" a "},"dry":false,"bad":"b","none":null}}}"#;
        let mut tape = Tape::new();
        let Ok(Message::Call(call)) = Message::parse(&mut tape, body) else {
            panic!("a call")
        };
        let headers = Headers::read(fields.iter().map(|&(name, value)| (name, value.as_bytes())));
        bindings()
            .check(&headers.expect("readable"), &call)
            .map_err(|refusal| refusal.reason)
    }

    #[test]
    fn only_properties_lead_to_annotations() {
        let fields: Vec<_> = bindings().0.into_iter().map(|binding| binding.field).collect();
        let expected = [
            "mcp-param-count",
            "mcp-param-dry-run",
            "mcp-param-region",
            "mcp-param-tenant_id",
        ];
        let mut sorted = fields;
        sorted.sort();
        assert_eq!(sorted, expected);
        assert!(Bindings::of_schema(&json!(true)).is_empty());
    }

    #[test]
    fn fields_that_agree_and_foreign_ones_pass() {
        for fields in [
            &[][..],
            &[("Mcp-Param-Region", "=?base64?Y2Fmw6k=?=")],
            &[("mcp-param-count", "42"), ("MCP-PARAM-DRY-RUN", "false")],
            &[("mcp-param-count", "42.0")],
            &[("mcp-param-tenant_id", "=?base64?IGEg?=")],
            &[
                ("mcp-param-unknown", "\u{1}"),
                ("mcp-param-unknown", "x"),
                ("mcp-param-x", "y"),
            ],
        ] {
            assert_eq!(check(fields), Ok(()), "{fields:?}");
        }
    }

    #[test]
    fn fields_that_differ_are_refused() {
        for (fields, reason) in [
            (&[("mcp-param-region", "cafe")][..], Reason::HeaderMismatch),
            (&[("mcp-param-region", "")], Reason::HeaderMismatch),
            (&[("mcp-param-count", "43")], Reason::HeaderMismatch),
            (&[("mcp-param-count", "forty-two")], Reason::HeaderMismatch),
            (&[("mcp-param-dry-run", "False")], Reason::HeaderMismatch),
            (&[("mcp-param-tenant_id", " a ")], Reason::HeaderMismatch),
            (&[("mcp-param-region", "caf\u{e9}")], Reason::HeaderValue),
            (
                &[("mcp-param-count", "42"), ("Mcp-Param-Count", "42")],
                Reason::HeaderTwice,
            ),
            (&[("mcp-param-tenant-id", "=?base64?IGEg?=")], Reason::HeaderAlias),
            (&[("mcp_param_count", "42")], Reason::HeaderAlias),
        ] {
            assert_eq!(check(fields), Err(reason), "{fields:?}");
        }
    }
}
