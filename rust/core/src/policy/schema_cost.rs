//! The work that a schema may cause for one call.
//!
//! A small schema can take exponential time on a small document, with subschemas that are referenced repeatedly or that
//! refer back to themselves on several branches. A schema is therefore measured as if every reference were expanded,
//! and may refer back to itself at most once. Calls are measured against it; see [`Budget`].

use serde_json::Value;

use crate::json::{Kind, Value as ArgsValue};

/// The highest number of subschemas once every reference is expanded.
const MAX_COST: u64 = 10_000;
/// The highest product of a call's values and subschemas.
const MAX_WORK: u64 = 1_000_000;
/// Keywords whose values contain data or definitions, and no subschemas that apply at their place.
const NOT_APPLIED: [&str; 6] = ["$defs", "definitions", "const", "enum", "default", "examples"];
/// The weight of a number with a long exponent, which the library computes digit by digit.
const HUGE_NUMBER_VALUES: u64 = 10_000;

/// The limit of a schema's work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    cost: u64,
}

/// A schema with its references expanded.
#[derive(Clone, Copy, Default)]
struct Expanded {
    cost: u64,
    back_references: u64,
}

impl Budget {
    /// Measures a schema whose references stay within it.
    pub(crate) fn of(schema: &Value) -> Result<Self, String> {
        let expanded = expand(schema, schema, schema, &mut Vec::new())?;
        if expanded.back_references > 1 {
            return Err(String::from(
                "the schema refers back to itself in several places, so a small call could take very long to check; \
                 let it do so in one place at most",
            ));
        }
        Ok(Self { cost: expanded.cost })
    }

    /// Returns whether these arguments can be checked in limited time.
    pub(crate) fn allows(self, args: ArgsValue<'_>) -> bool {
        let room = MAX_WORK / self.cost.max(1);
        let mut values = 0;
        count(args, room, &mut values);
        values <= room
    }
}

fn expand<'s>(
    root: &'s Value,
    base: &'s Value,
    schema: &'s Value,
    above: &mut Vec<*const Value>,
) -> Result<Expanded, String> {
    let here = std::ptr::from_ref(schema);
    if above.contains(&here) {
        return Ok(Expanded {
            cost: 1,
            back_references: 1,
        });
    }
    above.push(here);
    let mut sum = Expanded {
        cost: 1,
        back_references: 0,
    };
    let mut add = |part: Expanded| {
        sum.cost = sum.cost.saturating_add(part.cost);
        sum.back_references = sum.back_references.saturating_add(part.back_references);
        if sum.cost > MAX_COST {
            return Err(format!(
                "the schema has more than {MAX_COST} parts once its references are written out"
            ));
        }
        Ok(())
    };
    match schema {
        Value::Object(members) => {
            let base = if members.contains_key("$id") { schema } else { base };
            for (key, value) in members {
                if let ("$ref" | "$dynamicRef", Value::String(uri)) = (key.as_str(), value) {
                    let target = target(root, base, uri).ok_or_else(|| {
                        format!("the schema refers to `{uri}`, expected a pointer, an `$anchor` or an `$id` within it")
                    })?;
                    add(expand(root, base, target, above)?)?;
                } else if !NOT_APPLIED.contains(&key.as_str()) && (value.is_object() || value.is_array()) {
                    add(expand(root, base, value, above)?)?;
                }
            }
        }
        Value::Array(elements) => {
            for element in elements
                .iter()
                .filter(|element| element.is_object() || element.is_array())
            {
                add(expand(root, base, element, above)?)?;
            }
        }
        _ => {}
    }
    above.pop();
    Ok(sum)
}

/// The target of a reference: a pointer or an anchor below the nearest `$id`, or another `$id` of the document.
fn target<'s>(root: &'s Value, base: &'s Value, uri: &str) -> Option<&'s Value> {
    let (document, fragment) = uri.split_once('#').unwrap_or((uri, ""));
    let document = if document.is_empty() {
        base
    } else {
        find(root, "$id", document)?
    };
    if fragment.is_empty() {
        return Some(document);
    }
    if fragment.starts_with('/') {
        return document.pointer(fragment);
    }
    find(document, "$anchor", fragment).or_else(|| find(document, "$dynamicAnchor", fragment))
}

fn find<'s>(within: &'s Value, key: &str, wanted: &str) -> Option<&'s Value> {
    match within {
        Value::Object(members) => {
            if members.get(key).and_then(Value::as_str) == Some(wanted) {
                return Some(within);
            }
            members.values().find_map(|value| find(value, key, wanted))
        }
        Value::Array(elements) => elements.iter().find_map(|element| find(element, key, wanted)),
        _ => None,
    }
}

/// Counts values, with a higher weight for huge numbers; stops beyond `room`.
fn count(value: ArgsValue<'_>, room: u64, values: &mut u64) {
    *values += match value.kind() {
        Kind::Number => value.as_number().map_or(1, number_values),
        _ => 1,
    };
    if *values > room {
        return;
    }
    value.elements().for_each(|element| count(element, room, values));
    value
        .members()
        .for_each(|(_, member)| count(member, room, values));
}

fn number_values(text: &str) -> u64 {
    let exponent = text.split_once(['e', 'E']).map_or("", |(_, exponent)| exponent);
    if exponent.trim_start_matches(['+', '-', '0']).len() > 2 {
        HUGE_NUMBER_VALUES
    } else {
        1 + text.len() as u64 / 20
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::Tape;

    fn allows(schema: &Value, args: &str) -> bool {
        let mut tape = Tape::new();
        Budget::of(schema)
            .unwrap()
            .allows(tape.parse(args.as_bytes(), 64).unwrap())
    }

    #[test]
    fn schemas_that_branch_back_to_themselves_are_refused() {
        let tree = json!({"properties": {"children": {"items": {"$ref": "#"}}}});
        assert!(Budget::of(&tree).is_ok(), "once is fine");
        for bad in [
            json!({"oneOf": [{"properties": {"a": {"$ref": "#"}}}, {"additionalProperties": {"$ref": "#"}}]}),
            json!({"$defs": {"n": {"$anchor": "n", "anyOf": [{"items": {"$ref": "#n"}}, {"items": {"$ref": "#n"}}]}}, "$ref": "#n"}),
        ] {
            assert!(
                Budget::of(&bad).is_err_and(|error| error.contains("refers back to itself")),
                "{bad}"
            );
        }
    }

    #[test]
    fn references_are_counted_as_if_written_out() {
        let mut defs = serde_json::Map::new();
        defs.insert("l0".to_owned(), json!({"type": "string"}));
        for level in 1..24 {
            let below = json!({"$ref": format!("#/$defs/l{}", level - 1)});
            defs.insert(format!("l{level}"), json!({"allOf": [below, below]}));
        }
        let doubling = json!({"$defs": defs, "$ref": "#/$defs/l23"});
        assert!(Budget::of(&doubling).is_err_and(|error| error.contains("more than 10000 parts")));
    }

    #[test]
    fn large_calls_are_held_against_the_schema() {
        let schema =
            json!({"properties": {"l": {"items": {"anyOf": [{"type": "object"}, {"type": "string"}]}}}});
        let list = |element: &str, times: usize| format!(r#"{{"l": [{}]}}"#, vec![element; times].join(","));
        assert!(allows(&schema, &list("1", 10_000)));
        assert!(!allows(&schema, &list("{}", 1_000_000)));
        assert!(
            allows(&schema, &list("1e400", 3)),
            "a few huge numbers are worked out"
        );
        assert!(!allows(&schema, &list("1e9999", 1_000)));
    }
}
