//! JSON Schemas within policies and catalogues.

use serde_json::json;

use super::super::ast::Schema;
use super::super::schema::compile_schema;
use super::with_rules;

#[test]
fn a_schema_that_refers_to_itself_in_place_ends() {
    for (schema, valid) in [
        (json!({"$ref": "#"}), true),
        (json!({"allOf": [{"$ref": "#"}]}), true),
        (json!({"anyOf": [{"type": "string"}, {"$ref": "#"}]}), true),
        (
            json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"oneOf": [{"$ref": "#/$defs/a"}]}},
                "$ref": "#/$defs/a"}),
            true,
        ),
        (json!({"not": {"$ref": "#"}}), false),
    ] {
        let validator = compile_schema(&schema).unwrap();
        assert_eq!(validator.is_valid(&json!({"a": 1})), valid, "{schema}");
    }
}

#[test]
fn references_within_the_document_resolve() {
    for schema in [
        json!({"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}),
        json!({"$defs": {"a": {"$anchor": "a", "type": "string"}}, "properties": {"x": {"$ref": "#a"}}}),
        json!({"$defs": {"a": {"$id": "https://example.com/a", "type": "string"}},
               "properties": {"x": {"$ref": "https://example.com/a"}}}),
        json!({"$id": "https://example.com/root", "$defs": {"a": {"$id": "a", "type": "string"}},
               "properties": {"x": {"$ref": "a"}}}),
    ] {
        let validator = compile_schema(&schema).unwrap();
        assert!(validator.is_valid(&json!({"x": "a"})), "{schema}");
        assert!(!validator.is_valid(&json!({"x": 1})), "{schema}");
    }
}

#[test]
fn numbers_compare_exactly_and_formats_are_not_asserted() {
    let schema: serde_json::Value = serde_json::from_str(
        r#"{"properties": {"n": {"maximum": 9007199254740993}, "d": {"format": "date"}}}"#,
    )
    .unwrap();
    let validator = compile_schema(&schema).unwrap();
    let call = |text: &str| validator.is_valid(&serde_json::from_str(text).unwrap());
    assert!(call(r#"{"n": 9007199254740993, "d": "never"}"#));
    assert!(!call(r#"{"n": 9007199254740994}"#));
}

#[test]
fn the_dialect_is_2020_12_whatever_a_tool_says() {
    let schema = json!({"$schema": "http://json-schema.org/draft-07/schema#",
                        "properties": {"l": {"prefixItems": [{"type": "string"}]}}});
    assert!(!compile_schema(&schema).unwrap().is_valid(&json!({"l": [1]})));
}

#[test]
fn size_is_capped() {
    let schema = json!({"enum": ["x".repeat(64 * 1024)]});
    let message = compile_schema(&schema).unwrap_err();
    assert_eq!(message, "the schema has 65549 bytes, expected at most 65536");
}

#[test]
fn depth_is_capped_below_the_stack() {
    let nested = |levels: usize| {
        let text = format!("{}true{}", "{\"not\":".repeat(levels), "}".repeat(levels));
        compile_schema(&serde_json::from_str(&text).unwrap())
    };
    assert!(nested(32).is_ok());
    assert_eq!(
        nested(33).unwrap_err(),
        "the schema is nested deeper than 32 levels"
    );
}

#[test]
fn rules_hold_the_schema_as_written() {
    let schema = |rules: &str| with_rules(rules).unwrap().tools[0].rules.schema.clone();
    assert!(matches!(schema(r#"{"schema": "input"}"#), Some(Schema::Input)));
    assert!(matches!(
        schema(r#"{"schema": false}"#),
        Some(Schema::Inline(serde_json::Value::Bool(false)))
    ));
    let Some(Schema::Inline(inline)) = schema(r#"{"schema": {"x-note": 1, "maximum": 1.0}}"#) else {
        panic!("no inline schema");
    };
    assert_eq!(inline.to_string(), r#"{"maximum":1.0,"x-note":1}"#);
}
