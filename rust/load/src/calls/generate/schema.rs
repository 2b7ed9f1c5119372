//! Values that satisfy the common keywords of a JSON Schema. The caller checks the result.

use serde_json::{Map, Value};

use super::super::random::Random;
use super::text::matching;

/// The deepest nesting of a generated value.
const MAX_DEPTH: usize = 12;

/// The highest number of elements or characters that a schema can make the generator write.
const MAX_LENGTH: u64 = 1_000;

/// A value that fits the schema.
pub(super) fn fitting(schema: &Value, random: &mut Random) -> Value {
    at_depth(schema, random, 0)
}

fn at_depth(schema: &Value, random: &mut Random, depth: usize) -> Value {
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(value) = schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|list| random.pick(list))
    {
        return value.clone();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(schema) = schema
            .get(choice)
            .and_then(Value::as_array)
            .and_then(|list| list.first())
        {
            return at_depth(schema, random, depth + 1);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("null"),
        _ if schema.get("properties").is_some() || depth == 0 => "object",
        _ => "string",
    };
    match kind {
        "object" => object(schema, random, depth),
        "array" => array(schema, random, depth),
        "string" => text(schema, random),
        "integer" | "number" => number(schema),
        "boolean" => Value::Bool(random.below(2) == 0),
        _ => Value::Null,
    }
}

fn object(schema: &Value, random: &mut Random, depth: usize) -> Value {
    let mut members = Map::new();
    if depth < MAX_DEPTH {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|list| list.iter().any(|other| other == name));
        for (name, property) in properties.into_iter().flatten() {
            // All required members, and every second one of the others.
            if is_required(name) || random.below(2) == 0 {
                members.insert(name.clone(), at_depth(property, random, depth + 1));
            }
        }
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            members
                .entry(name)
                .or_insert_with(|| Value::String("x".to_owned()));
        }
    }
    Value::Object(members)
}

fn array(schema: &Value, random: &mut Random, depth: usize) -> Value {
    let least = schema
        .get("minItems")
        .and_then(Value::as_u64)
        .unwrap_or(1)
        .min(MAX_LENGTH);
    if depth >= MAX_DEPTH {
        return Value::Array(Vec::new());
    }
    let any = Value::Object(Map::new());
    let items = schema.get("items").unwrap_or(&any);
    Value::Array((0..least).map(|_| at_depth(items, random, depth + 1)).collect())
}

fn text(schema: &Value, random: &mut Random) -> Value {
    if let Some(text) = schema
        .get("pattern")
        .and_then(Value::as_str)
        .and_then(|regex| matching(regex, random))
    {
        return Value::String(text);
    }
    let bound = |name: &str| {
        schema
            .get(name)
            .and_then(Value::as_u64)
            .map(|length| length.min(MAX_LENGTH))
    };
    let length = bound("minLength")
        .unwrap_or(0)
        .max(bound("maxLength").unwrap_or(8).min(8));
    Value::String("x".repeat(usize::try_from(length).unwrap_or(0)))
}

fn number(schema: &Value) -> Value {
    let bound = |name: &str| schema.get(name).filter(|bound| bound.is_number());
    if let Some(least) = bound("minimum") {
        return least.clone();
    }
    if let Some(most) = bound("maximum") {
        return most.clone();
    }
    let above = bound("exclusiveMinimum")
        .and_then(Value::as_f64)
        .map(|bound| bound.floor() + 1.0);
    let below = bound("exclusiveMaximum")
        .and_then(Value::as_f64)
        .map(|bound| bound.ceil() - 1.0);
    let multiple = bound("multipleOf").and_then(Value::as_f64);
    super::values::number(above.or(below).or(multiple).unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_core::policy::schema::compile_schema;
    use serde_json::json;

    #[test]
    fn values_fit() {
        let mut random = Random::new(3);
        for schema in [
            json!({"type": "object", "required": ["a", "z"], "properties": {"a": {"type": "integer", "minimum": 3},
                "b": {"type": "array", "minItems": 2, "items": {"enum": [1, "x"]}}, "c": {"type": ["string", "null"]}}}),
            json!({"properties": {"s": {"type": "string", "pattern": "^[a-f]{4}$"}}, "required": ["s"]}),
            json!({"type": "object", "properties": {"n": {"type": "number", "exclusiveMinimum": 2.5}, "k": {"const": 7},
                "t": {"type": "string", "minLength": 12, "maxLength": 20}, "f": {"type": "boolean"}},
                "required": ["n", "k", "t", "f"], "additionalProperties": false}),
            json!({"type": "object", "properties": {"o": {"oneOf": [{"type": "string", "maxLength": 3}]}}}),
            json!({}),
        ] {
            let check = compile_schema(&schema).unwrap();
            for _ in 0..20 {
                let value = fitting(&schema, &mut random);
                assert!(check.is_valid(&value), "{schema}: {value}");
            }
        }
    }
}
