//! Documents that do not load, with their exact messages: `tests/cases/policy_errors.json`.

use super::super::Format;
use super::load;

/// One row of the file.
pub(super) struct ErrorCase {
    pub(super) name: String,
    pub(super) format: Format,
    pub(super) document: String,
    error: String,
    /// The published JSON Schema accepts the document although it is invalid.
    pub(super) schema_valid: bool,
}

pub(super) fn every_error() -> Vec<ErrorCase> {
    let text = include_str!("../../../../../tests/cases/policy_errors.json");
    let rows: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = rows.as_array().unwrap().iter().map(|row| ErrorCase {
        name: row["name"].as_str().unwrap().to_owned(),
        format: if row["format"] == "yaml" {
            Format::Yaml
        } else {
            Format::Json
        },
        document: row["document"].as_str().unwrap().to_owned(),
        error: row["error"].as_str().unwrap().to_owned(),
        schema_valid: row.get("schema_valid").is_some_and(|value| value == true),
    });
    cases.collect()
}

#[test]
fn errors_say_where_and_what() {
    let cases = every_error();
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let got = match load(case.format, &case.document) {
            Ok(_) => "it loads".to_owned(),
            Err(error) => error.to_string(),
        };
        if got != case.error {
            wrong.push(format!(
                "{}\n  expected {}\n  got      {got}\n",
                case.name, case.error
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.concat());
}
