//! Catalogue files.

use super::super::{Catalogue, Format, Source, ToolFacts};

#[test]
fn catalogues() {
    let parse = |bytes: &str| {
        Catalogue::parse(&Source {
            name: "tools.json",
            stem: "tools",
            format: Format::Json,
            bytes: bytes.as_bytes(),
        })
    };
    let catalogue = parse(
        r#"{"version": "1", "x-a": 1, "servers": {"srv": {"tools": {
            "create-ami": {"category": "Write", "risk": "medium", "description": "d", "annotations": {"a": 1},
                           "input_schema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}},
            "x-ray": {}}}}}"#,
    )
    .unwrap();
    let tools = &catalogue.servers["srv"];
    assert_eq!(tools["create-ami"].category.unwrap().as_str(), "Write");
    assert_eq!(tools["create-ami"].risk.unwrap().as_str(), "medium");
    assert!(tools["create-ami"].input_schema.is_some());
    assert_eq!(tools["x-ray"], ToolFacts::default());
    assert!(catalogue.every_server.is_empty());
    for (document, error) in [
        (
            r#"{"version": "1"}"#,
            "tools.json:1:1: a catalogue needs the field `servers`: an object of servers",
        ),
        (
            r#"{"version": "1", "servers": {"s": {"tools": {"t": {"category": "write"}}}}}"#,
            "tools.json:1:64: unknown category `write`; the nearest is `Write`, expected one of `Read`, `Write`, `Execute`, `Destructive`, `Financial`",
        ),
        (
            r#"{"version": "1", "servers": {"s": {"tools": {"t": {"risk": "hihg"}}}}}"#,
            "tools.json:1:60: expected one of `low`, `medium`, `high`, `critical`, got `hihg`; did you mean `high`?",
        ),
        (
            r#"{"version": "1", "servers": {"s": {"tools": {"": {}}}}}"#,
            "tools.json:1:46: expected the name of a tool, got an empty string",
        ),
        (
            r#"{"version": "1", "servers": {"s": {"tools": {"t": {"input_schema": {"$ref": "other.json"}}}}}}"#,
            "tools.json:1:68: the schema refers to `other.json`, but no reference may leave the document",
        ),
    ] {
        assert_eq!(parse(document).unwrap_err().to_string(), error);
    }
}

#[test]
fn corrections_replace_what_a_scan_found() {
    let source = |bytes: &'static str| Source {
        name: "tools.json",
        stem: "tools",
        format: Format::Json,
        bytes: bytes.as_bytes(),
    };
    let catalogue = Catalogue::parse(&source(
        r#"{"version": "1", "servers": {"srv": {
            "title": "A server", "version": "2", "scanned_at": "2026-01-15T00:00:00Z", "source": {"url": "https://a.example/mcp"},
            "tools": {"t": {
                "category": "Read", "risk": "low", "confidence": 0.9, "evidence": "it lists", "title": "T", "digest": "00",
                "attributes": {"private_data": true, "reversible": true}, "output_schema": {}, "input_schema": {"type": "object"}}}}},
         "overrides": {"srv": {"t": {"category": "Write", "reason": "it marks mails as read"}, "gone": {"risk": "critical"}},
                       "other": {"t": {"category": "Financial"}}}}"#,
    ))
    .unwrap();
    let tools = &catalogue.servers["srv"];
    assert_eq!(tools["t"].category.unwrap().as_str(), "Write");
    // Another category has another risk, unless the person gives one.
    assert_eq!(tools["t"].risk.unwrap().as_str(), "medium");
    assert!(tools["t"].input_schema.is_some());
    assert_eq!(tools["gone"].risk.unwrap().as_str(), "critical");
    let other = &catalogue.servers["other"]["t"];
    assert_eq!(other.category.unwrap().as_str(), "Financial");
    assert_eq!(other.risk.unwrap().as_str(), "critical");
    for (document, error) in [
        (
            r#"{"version": "1", "servers": {}, "overrides": {"s": {"t": {"category": "Reed"}}}}"#,
            "tools.json:1:71: unknown category `Reed`; the nearest is `Read`, expected one of `Read`, `Write`, `Execute`, `Destructive`, `Financial`",
        ),
        (
            r#"{"version": "1", "servers": {"s": {"tools": {"t": {"attributes": {"reversible": "yes"}}}}}}"#,
            "tools.json:1:81: expected true or false, got a string",
        ),
        (
            r#"{"version": "1", "servers": {"s": {"tools": {"t": {"confidence": "high"}}}}}"#,
            "tools.json:1:66: expected a number from 0 to 1, got a string",
        ),
    ] {
        assert_eq!(
            Catalogue::parse(&source(document)).unwrap_err().to_string(),
            error
        );
    }
}

#[test]
fn every_fault_of_a_catalogue() {
    let bytes = br#"{"version": "1", "servers": {
        "s": {"tools": {"t": {"category": "Reed", "risk": "x", "description": 1, "annotations": 2, "input_schema": 3}}},
        "u": {"tols": {"": {}}}
    }}"#;
    let source = Source {
        name: "tools.json",
        stem: "tools",
        format: Format::Json,
        bytes,
    };
    let found = Catalogue::faults(&source);
    let lines: Vec<_> = found.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [2, 2, 2, 2, 2, 3, 3], "{found:#?}");
    assert!(found.contains(&Catalogue::parse(&source).unwrap_err()));
}
