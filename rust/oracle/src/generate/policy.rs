//! Policies and catalogues.

use super::Choices;
use super::pools::{CATEGORIES, PATTERNS, SCHEMAS, TOOLS};
use super::rules::{Shape, rules, shape};
use crate::json::quoted;

pub(super) fn policy(choices: &mut Choices<'_>) -> String {
    let shapes: Vec<Shape> = (0..4).map(|index| shape(choices, index)).collect();
    let default = choices.pick(&["allow", "deny"]);
    let mut fields = vec![format!(r#""version":"1","default":"{default}""#)];
    if choices.once_in(5) {
        fields.push(r#""mode":"shadow""#.to_owned());
    }
    if choices.once_in(5) {
        fields.push(format!(
            r#""hide":{}"#,
            choices.list(1, 2, |choices| quoted(choices.pick(&PATTERNS)))
        ));
    }
    if !choices.once_in(6) {
        let mut left: Vec<&str> = PATTERNS.to_vec();
        let entries: Vec<String> = (0..=choices.below(4))
            .map(|_| {
                let key = left.remove(choices.below(left.len()));
                format!("{}:{}", quoted(key), rules(choices, &shapes))
            })
            .collect();
        fields.push(format!(r#""tools":{{{}}}"#, entries.join(",")));
    }
    if choices.once_in(3) {
        let mut left: Vec<&str> = CATEGORIES.to_vec();
        let entries: Vec<String> = (0..=choices.below(2))
            .map(|_| {
                let category = left.remove(choices.below(left.len()));
                let rules = if choices.once_in(5) {
                    r#"{"hide":true}"#.to_owned()
                } else {
                    rules(choices, &shapes)
                };
                format!(r#""{category}":{rules}"#)
            })
            .collect();
        fields.push(format!(r#""categories":{{{}}}"#, entries.join(",")));
    }
    if choices.once_in(3) {
        fields.push(format!(r#""all_tools":{}"#, rules(choices, &shapes)));
    }
    format!("{{{}}}", fields.join(","))
}

/// A catalogue with some of the tools, at the server that most calls name.
pub(super) fn catalogue(choices: &mut Choices<'_>) -> String {
    let mut entries = Vec::new();
    for tool in TOOLS {
        if choices.once_in(2) {
            let mut facts = vec![format!(r#""category":"{}""#, choices.pick(&CATEGORIES))];
            if choices.once_in(2) {
                facts.push(format!(
                    r#""risk":"{}""#,
                    choices.pick(&["low", "medium", "high", "critical"])
                ));
            }
            // The last schema is not an object.
            if choices.once_in(3) {
                facts.push(format!(
                    r#""input_schema":{}"#,
                    choices.pick(&SCHEMAS[..SCHEMAS.len() - 1])
                ));
            }
            entries.push(format!("{}:{{{}}}", quoted(tool), facts.join(",")));
        }
    }
    format!(
        r#"{{"version":"1","servers":{{"srv":{{"tools":{{{}}}}}}}}}"#,
        entries.join(",")
    )
}
