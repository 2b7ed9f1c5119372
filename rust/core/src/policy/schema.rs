//! JSON Schemas: inline in policies, and of the catalogue's tools (`docs/policy.md` section 1).

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ReferencingError, ValidationError, Validator};
use serde_json::Value;

use super::ast::Schema;
use super::fields::listed;
use super::read::{Content, Node, Read, quoted};
use super::schema_cost::Budget;
use crate::nearest::did_you_mean;

/// The largest schema, in bytes as compact JSON.
const MAX_BYTES: usize = 64 * 1024;

/// The deepest nesting of a schema.
const MAX_DEPTH: usize = 32;

/// The only dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The types of JSON Schema.
const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// Schemas that are built into the library; a reference to one leaves the document all the same.
const BUILT_IN: &str = "json-schema.org/";

/// The field `schema` of rules.
pub(super) fn schema(node: &Node) -> Read<Schema> {
    match &node.content {
        Content::String(text) if text == "input" => return Ok(Schema::Input),
        Content::String(text) => {
            return Err(node.error(format!("expected `input` or a JSON Schema, got {}", quoted(text))));
        }
        Content::Object(_) | Content::Bool(_) => {}
        _ => return Err(node.expected("`input` or a JSON Schema")),
    }
    let value = node.to_serde()?;
    if let Some(dialect) = value.get("$schema")
        && dialect.as_str().map(|uri| uri.trim_end_matches('#')) != Some(DIALECT)
    {
        return Err(node.error(format!(
            "schemas are JSON Schema 2020-12; write `\"$schema\": \"{DIALECT}\"` or leave it out"
        )));
    }
    compile_schema(&value).map_err(|message| node.error(message))?;
    Ok(Schema::Inline(value))
}

/// A compiled schema, and the limit of its work for one call.
#[derive(Debug)]
pub struct SchemaCheck {
    pub(crate) validator: Validator,
    pub(crate) budget: Budget,
}

impl SchemaCheck {
    /// Returns whether a document is valid. Only for trusted documents, because the work is not limited.
    pub fn is_valid(&self, document: &Value) -> bool {
        self.validator.is_valid(document)
    }
}

/// Compiles a JSON Schema 2020-12, whatever dialect it declares: no reference leaves it, patterns use the linear
/// engine, formats are not asserted. Its size, its depth and the work for one call are limited.
///
/// # Errors
///
/// One sentence about the fault of the schema.
pub fn compile_schema(schema: &Value) -> Result<SchemaCheck, String> {
    check_caps(schema, 1)?;
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        return Err(format!(
            "the schema has {bytes} bytes, expected at most {MAX_BYTES}"
        ));
    }
    // The library would follow a declared dialect; the contract has only one.
    let mut plain = schema.clone();
    if let Value::Object(members) = &mut plain {
        members.remove("$schema");
    }
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .should_validate_formats(false)
        .with_pattern_options(PatternOptions::regex())
        .build(&plain)
        .map_err(|error| reason(&error))?;
    let budget = Budget::of(&plain)?;
    Ok(SchemaCheck { validator, budget })
}

/// The reason for which a schema does not compile.
fn reason(error: &ValidationError<'_>) -> String {
    let at = error.instance_path().to_string();
    let place = if at.is_empty() {
        String::new()
    } else {
        format!(" at {}", quoted(&at))
    };
    match error.kind() {
        ValidationErrorKind::Referencing(ReferencingError::Unretrievable { uri, .. }) => leaves(uri),
        ValidationErrorKind::Format { format } if format == "regex" => format!(
            "the schema is not valid{place}: the pattern does not compile (look-around and backreferences are not supported)"
        ),
        ValidationErrorKind::AnyOf { .. } if at.ends_with("/type") => {
            let other = error.instance().to_string();
            let got = error.instance().as_str().unwrap_or(&other);
            format!(
                "the schema is not valid{place}: expected one of {}, or a list of them, got {}{}",
                listed(&TYPES),
                quoted(got),
                did_you_mean(got, &TYPES)
            )
        }
        _ => format!("the schema is not valid{place}: {}", one_line(&error.to_string())),
    }
}

fn leaves(uri: &str) -> String {
    format!(
        "the schema refers to {}, but no reference may leave the document",
        quoted(uri)
    )
}

/// Checks the depth, and that no reference leaves the document.
fn check_caps(value: &Value, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH && (value.is_array() || value.is_object()) {
        return Err(format!("the schema is nested deeper than {MAX_DEPTH} levels"));
    }
    match value {
        Value::Array(elements) => elements
            .iter()
            .try_for_each(|element| check_caps(element, depth + 1)),
        Value::Object(members) => members.iter().try_for_each(|(key, value)| {
            if let ("$ref" | "$dynamicRef" | "$id", Value::String(uri)) = (key.as_str(), value)
                && uri.contains(BUILT_IN)
            {
                return Err(leaves(uri));
            }
            check_caps(value, depth + 1)
        }),
        _ => Ok(()),
    }
}

/// A library's message on one line, shortened if it is long.
fn one_line(message: &str) -> String {
    const SHOWN: usize = 200;
    let mut out: String = message
        .chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if message.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}
