//! `Mcp-Param-*`: checks fields against the arguments that they mirror, and builds fields from arguments.

use std::cmp::Ordering;

use callgate_core::bindings::{Binding, Bindings, Mirrored};
use callgate_core::json::{Decimal, Kind, Value};

use super::{Headers, value};
use crate::error::{MessageError, Reason};
use crate::message::ToolCall;

/// Digits of an integer in a field: the most that every JSON reader takes exactly.
const INTEGER_DIGITS: usize = 16;

impl Headers<'_> {
    /// Returns whether a field may mirror an argument, so that the caller needs [`Bindings`].
    pub const fn has_params(&self) -> bool {
        !self.params.is_empty()
    }

    /// Checks the present `Mcp-Param-*` fields against a call's arguments. Passes over fields that no annotation names.
    /// Leaves it to the server to report an annotated field that is absent.
    pub fn check_params<'m>(&self, bindings: &Bindings, call: &ToolCall<'m>) -> Result<(), MessageError<'m>> {
        let mut seen: Vec<&Binding> = Vec::new();
        let mut mirrored = None;
        for &(name, sent) in &self.params {
            let alias = bindings.alike(name);
            let Some(alias) = alias else { continue };
            let refused = match bindings.named(name) {
                None => Some(misspelt(alias)),
                Some(own) if seen.iter().any(|before| std::ptr::eq(*before, own)) => Some(twice(own)),
                Some(own) if own.is_contested() => Some(contested(own)),
                Some(own) => {
                    seen.push(own);
                    let mirrored = mirrored.get_or_insert_with(|| bindings.mirrored(call.args));
                    disagreement(bindings, own, sent, mirrored).err()
                }
            };
            if let Some(refusal) = refused {
                return Err(refusal.with_id(Some(call.id)));
            }
        }
        Ok(())
    }
}

fn misspelt(binding: &Binding) -> MessageError<'static> {
    let field = binding.field();
    let message = format!("some servers take another field for `{field}`; send `{field}`, once");
    MessageError::new(Reason::HeaderAlias, message)
}

fn twice(binding: &Binding) -> MessageError<'static> {
    let message = format!(
        "the field `{}` stands more than once; send it once",
        binding.field()
    );
    MessageError::new(Reason::HeaderTwice, message)
}

fn contested(binding: &Binding) -> MessageError<'static> {
    let field = binding.field();
    let message = format!("two arguments of the tool claim the field `{field}`; send no such field");
    MessageError::new(Reason::HeaderMismatch, message)
}

fn disagreement(
    bindings: &Bindings,
    binding: &Binding,
    sent: &[u8],
    mirrored: &Mirrored<'_>,
) -> Result<(), MessageError<'static>> {
    let field = binding.field();
    let sent = value::decode(field, sent)?;
    let mut arguments = mirrored.by(binding);
    if arguments.any(|argument| is_equal(argument, &sent.text)) {
        return Ok(());
    }
    // The values are arguments and therefore not shown.
    let message = format!(
        "the field `{field}` differs from the argument `{}`; send the same value in both, or no field for none",
        bindings.path(binding)
    );
    Err(MessageError::new(Reason::HeaderMismatch, message))
}

/// Returns whether a field's text equals an argument: a string as it is, an integer by value, `true` or `false`.
fn is_equal(argument: Value<'_>, sent: &str) -> bool {
    match argument.kind() {
        Kind::String => argument.as_str() == Some(sent),
        Kind::Bool => argument.as_bool().map(word) == Some(sent),
        Kind::Number => argument.as_number().is_some_and(|text| {
            Decimal::parse(sent).is_ok_and(|sent| sent.cmp_text(text) == Ordering::Equal)
        }),
        Kind::Null | Kind::Array | Kind::Object => false,
    }
}

/// The `Mcp-Param-*` fields that a client sends for these arguments: names in lower case, values encoded for header
/// fields. An argument that is absent, null or not a scalar has no field, and neither has one whose name two properties
/// of a schema claim.
///
/// ```
/// use callgate_core::bindings::Bindings;
/// use callgate_core::json::Tape;
/// use callgate_mcp::headers::param_fields;
///
/// let schema = serde_json::json!({"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
/// let mut tape = Tape::new();
/// let args = tape.parse(br#"{"region":"eu","size":3}"#, 64)?;
/// let bindings = Bindings::of_schema(&schema);
/// let fields: Vec<_> = param_fields(&bindings, args).collect();
/// assert_eq!(fields, [("mcp-param-region", "eu".to_owned())]);
/// # Ok::<(), callgate_core::json::JsonError>(())
/// ```
pub fn param_fields<'b, 'v: 'b>(
    bindings: &'b Bindings,
    args: Value<'v>,
) -> impl Iterator<Item = (&'b str, String)> + 'b {
    let mirrored = bindings.mirrored(Some(args));
    bindings
        .all()
        .filter(|binding| binding.mirrors_one())
        .filter_map(move |binding| {
            let text = text(mirrored.by(binding).next()?)?;
            Some((binding.field(), value::field_value(&text).into_owned()))
        })
}

/// A value as the text of a field, not yet encoded.
fn text(argument: Value<'_>) -> Option<String> {
    match argument.kind() {
        Kind::String => argument.as_str().map(str::to_owned),
        Kind::Bool => argument.as_bool().map(|value| word(value).to_owned()),
        Kind::Number => argument.as_number().map(digits),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

const fn word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// An integer in plain digits, because some servers compare text; any other number unchanged.
fn digits(number: &str) -> String {
    let plain = || {
        let mut canonical = String::new();
        Decimal::parse(number).ok()?.write_canonical(&mut canonical);
        let (integer, exponent) = canonical.split_once('e')?;
        let zeros: usize = exponent.parse().ok()?;
        if integer.len() + zeros > INTEGER_DIGITS + "-".len() {
            return None;
        }
        Some(format!("{integer}{}", "0".repeat(zeros)))
    };
    plain().unwrap_or_else(|| number.to_owned())
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
                "none": {"type": "string", "x-mcp-header": "None"},
                "list": {"type": "array", "x-mcp-header": "List"},
                "one": {"type": "string", "x-mcp-header": "One-Or"},
                "other": {"type": "string", "x-mcp-header": "one_or"},
                "left": {"type": "string", "x-mcp-header": "Both"},
                "right": {"type": "string", "x-mcp-header": "both"},
            },
        }))
    }

    const ARGS: &str = r#"{"region":"caf\u00e9","count":42,"tenant":{"id":" a "},"dry":false,"none":null,"list":["x"],
        "one":"1","other":"2","left":"3","right":"3"}"#;

    fn check(fields: &[(&str, &str)]) -> Result<(), Reason> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{ARGS}}}}}"#
        );
        let mut tape = Tape::new();
        let Ok(Message::Call(call)) = Message::parse(&mut tape, body.as_bytes()) else {
            panic!("a call")
        };
        let headers = Headers::read(fields.iter().map(|&(name, value)| (name, value.as_bytes())));
        let headers = headers.expect("readable");
        assert_eq!(headers.has_params(), !fields.is_empty());
        headers.check_params(&bindings(), &call).map_err(|refusal| {
            assert_eq!(refusal.id, Some(call.id));
            refusal.reason
        })
    }

    #[test]
    fn fields_that_agree_and_foreign_ones_pass() {
        for fields in [
            &[][..],
            &[("Mcp-Param-Region", "=?base64?Y2Fmw6k=?=")],
            &[("mcp-param-count", "42"), ("MCP-PARAM-DRY-RUN", "false")],
            &[("mcp-param-count", "42.0")],
            &[("mcp-param-tenant_id", "=?base64?IGEg?=")],
            &[("mcp-param-one-or", "1"), ("mcp-param-one_or", "2")],
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
            (&[("mcp-param-none", "null")], Reason::HeaderMismatch),
            (&[("mcp-param-none", "")], Reason::HeaderMismatch),
            (&[("mcp-param-list", "x")], Reason::HeaderMismatch),
            (&[("mcp-param-one-or", "2")], Reason::HeaderMismatch),
            (&[("mcp-param-both", "3")], Reason::HeaderMismatch),
            (&[("mcp-param-region", "caf\u{e9}")], Reason::HeaderValue),
            (
                &[("mcp-param-count", "42"), ("Mcp-Param-Count", "42")],
                Reason::HeaderTwice,
            ),
            (&[("mcp-param-tenant-id", "=?base64?IGEg?=")], Reason::HeaderAlias),
            (&[("mcp_param_count", "42")], Reason::HeaderAlias),
            (&[("mcp-param-one.or", "1")], Reason::HeaderAlias),
        ] {
            assert_eq!(check(fields), Err(reason), "{fields:?}");
        }
    }

    #[test]
    fn what_a_client_sends_is_what_is_checked() {
        let mut tape = Tape::new();
        let args = tape.parse(ARGS.as_bytes(), 8).expect("JSON");
        let bindings = bindings();
        let fields: Vec<_> = param_fields(&bindings, args).collect();
        let mut sorted = fields.clone();
        sorted.sort();
        let expected = [
            ("mcp-param-count", "42"),
            ("mcp-param-dry-run", "false"),
            ("mcp-param-one-or", "1"),
            ("mcp-param-one_or", "2"),
            ("mcp-param-region", "=?base64?Y2Fmw6k=?="),
            ("mcp-param-tenant_id", "=?base64?IGEg?="),
        ];
        assert_eq!(sorted, expected.map(|(name, value)| (name, value.to_owned())));
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(check(&fields), Ok(()));
    }

    #[test]
    fn a_field_that_two_arguments_claim_is_not_sent() {
        let schema = json!({"properties": {"a": {"x-mcp-header": "X"}, "b": {"x-mcp-header": "x"}}});
        let mut tape = Tape::new();
        let args = tape.parse(br#"{"a":"1","b":"2"}"#, 8).expect("JSON");
        assert_eq!(param_fields(&Bindings::of_schema(&schema), args).count(), 0);
    }

    #[test]
    fn integers_are_plain_digits() {
        for (number, text) in [
            ("42", "42"),
            ("-7", "-7"),
            ("42.0", "42"),
            ("1e2", "100"),
            ("-0", "0"),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
            ("1.5", "1.5"),
            ("1e300", "1e300"),
        ] {
            assert_eq!(digits(number), text);
        }
    }
}
