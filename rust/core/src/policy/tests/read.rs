//! Documents as values, and those that cannot be read: `tests/cases/documents.json`, which Python runs as well.

use super::super::Format;
use super::super::read::document;

#[test]
fn documents_have_one_meaning() {
    let text = include_str!("../../../../../tests/cases/documents.json");
    let cases: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut wrong = Vec::new();
    for case in cases.as_array().unwrap() {
        let format = if case["format"] == "yaml" {
            Format::Yaml
        } else {
            Format::Json
        };
        let got = match document(format, case["document"].as_str().unwrap().as_bytes()) {
            Ok(root) => Ok(root.unwrap().to_serde().unwrap()),
            Err(fault) => Err(format!(
                "{}:{}: {}",
                fault.at.line, fault.at.column, fault.message
            )),
        };
        let expected = match case.get("error") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(case["value"].clone()),
        };
        if got != expected {
            wrong.push(format!(
                "{}\n  expected {expected:?}\n  got      {got:?}\n",
                case["name"]
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.concat());
}

#[test]
fn an_empty_document_has_no_value() {
    for (format, text) in [
        (Format::Json, " \n"),
        (Format::Yaml, ""),
        (Format::Yaml, "# a comment\n"),
    ] {
        assert_eq!(document(format, text.as_bytes()), Ok(None), "{text:?}");
    }
}
