//! The published JSON Schema of the format accepts documents that load, and refuses most others.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::super::json_schema;
use super::documents::every_policy;
use super::errors::every_error;

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(json_schema()).unwrap();
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .unwrap()
}

#[test]
fn the_policies_of_the_cases_are_valid() {
    let validator = validator();
    for (name, document) in every_policy() {
        let document = serde_json::from_str(&document).unwrap();
        if let Err(error) = validator.validate(&document) {
            panic!("{name}: {error} at {}", error.instance_path());
        }
    }
}

#[test]
fn what_a_schema_can_say_is_refused_by_it() {
    let validator = validator();
    let mut refused = 0;
    let mut wrong = Vec::new();
    for case in every_error() {
        // Text that is not JSON never reaches a validator.
        let Ok(document) = serde_json::from_str::<Value>(&case.document) else {
            continue;
        };
        let is_valid = validator.is_valid(&document);
        if is_valid != case.schema_valid {
            wrong.push((case.name, is_valid));
        }
        refused += usize::from(!is_valid);
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(refused > 60, "{refused}");
}

#[test]
fn annotations_and_names_that_begin_with_x_are_valid() {
    let validator = validator();
    let document = serde_json::json!({
        "$schema": "policy.schema.json", "x-owner": "data", "version": "1", "default": "deny",
        "tools": {"x-ray": {"x-note": 1, "limits": [{"counter": "c", "window": 60, "max": 1, "x-why": null}]}}
    });
    assert!(validator.is_valid(&document));
}
