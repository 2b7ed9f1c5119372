//! Fields of schemas, and mirrored arguments of calls.

use serde_json::json;

use super::*;
use crate::json::Tape;

fn fields(bindings: &Bindings) -> Vec<(&str, String)> {
    let found = bindings.all();
    found
        .map(|binding| (binding.field(), bindings.path(binding)))
        .collect()
}

#[test]
fn only_properties_lead_to_annotations() {
    let schema = json!({
        "type": "object",
        "x-mcp-header": "Root",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "tenant": {"properties": {"a": {"properties": {"b": {}}}, "id": {"x-mcp-header": "tenant_id"}}},
            "x-mcp-header": {"x-mcp-header": "Named-So"},
            "bad": {"x-mcp-header": "no token"},
            "worse": {"x-mcp-header": 7},
            "empty": {"x-mcp-header": ""},
            "list": {"items": {"properties": {"x": {"x-mcp-header": "X"}}}},
            "none": {"type": "string"},
        },
        "anyOf": [{"properties": {"y": {"x-mcp-header": "Y"}}}],
        "$defs": {"z": {"properties": {"z": {"x-mcp-header": "Z"}}}},
    });
    let bindings = Bindings::of_schema(&schema);
    let expected = [
        ("mcp-param-named-so", "x-mcp-header".to_owned()),
        ("mcp-param-region", "region".to_owned()),
        ("mcp-param-tenant_id", "tenant.id".to_owned()),
    ];
    assert_eq!(fields(&bindings), expected);
    // The same for every reader.
    let (text, mut tape) = (schema.to_string(), Tape::new());
    let read = tape.parse(text.as_bytes(), 64).expect("JSON");
    assert_eq!(fields(&Bindings::of_schema(read)), expected);
    for nothing in [
        json!(true),
        json!({"properties": []}),
        json!({"properties": {"a": 1}}),
    ] {
        assert!(Bindings::of_schema(&nothing).is_empty(), "{nothing}");
    }
}

#[test]
fn arguments_are_found_where_the_schema_says() {
    let schema = json!({"properties": {
        "a": {"x-mcp-header": "A"},
        "b": {"properties": {"c": {"x-mcp-header": "C"}}},
    }});
    let bindings = Bindings::of_schema(&schema);
    let mut tape = Tape::new();
    let text = br#"{"a":1,"b":{"c":"x"},"c":2,"odd":[{"b":"x"},{"b":[{"c":1}]},{"b":{"a":{"c":1}}},[1],1]}"#;
    let args = tape.parse(text, 8).expect("JSON");
    let at = |field: &str, args| {
        let binding = bindings.named(field).expect("a field");
        let mirrored = bindings.mirrored(args);
        mirrored.by(binding).map(Value::raw).collect::<Vec<_>>()
    };
    assert_eq!(at("Mcp-Param-A", Some(args)), ["1"]);
    assert_eq!(at("mcp-param-c", Some(args)), ["\"x\""]);
    assert_eq!(at("mcp-param-c", args.get("b")), [""; 0]);
    assert_eq!(at("mcp-param-a", None), [""; 0]);
    for other in args.get("odd").into_iter().flat_map(Value::elements) {
        assert_eq!(at("mcp-param-c", Some(other)), [""; 0], "{}", other.raw());
    }
    for name in ["mcp_param.c", "mcp-param-b", "mcp-param-"] {
        assert_eq!(bindings.named(name), None, "{name}");
    }
}

#[test]
fn definitions_are_put_together() {
    let first = Bindings::of_schema(&json!({"properties": {"a": {"x-mcp-header": "A"}}}));
    let mut bindings = first.clone();
    let other = json!({"properties": {
        "b": {"properties": {"a": {"x-mcp-header": "a"}}},
        "c": {"x-mcp-header": "C"},
    }});
    bindings.extend(&Bindings::of_schema(&other));
    let mut tape = Tape::new();
    let args = tape.parse(br#"{"a":1,"b":{"a":2},"c":3}"#, 8).expect("JSON");
    let at = |field: &str| {
        let mirrored = bindings.mirrored(Some(args));
        let binding = bindings.named(field).expect("a field");
        mirrored.by(binding).map(Value::raw).collect::<Vec<_>>()
    };
    assert_eq!(at("mcp-param-a"), ["1", "2"]);
    assert_eq!(at("mcp-param-c"), ["3"]);
    // Fields that both definitions have are stored once.
    let before = bindings.clone();
    bindings.extend(&first);
    assert_eq!(bindings, before);
}

#[test]
fn names_that_some_servers_take_for_one_are_two() {
    let schema = json!({"properties": {"a": {"x-mcp-header": "T-Id"}, "b": {"x-mcp-header": "t_id"}}});
    let bindings = Bindings::of_schema(&schema);
    let fields: Vec<&str> = bindings.all().map(Binding::field).collect();
    assert_eq!(fields, ["mcp-param-t-id", "mcp-param-t_id"]);
    for name in ["MCP-PARAM-T.ID", "mcp-param-t-id", "mcp_param-T_Id"] {
        assert_eq!(bindings.alike(name), bindings.named("mcp-param-t-id"), "{name}");
    }
    for name in ["mcp-param-t", "mcp-param-t-id-", "mcp-param-u", "mcp-param-s", ""] {
        assert_eq!(bindings.alike(name), None, "{name}");
    }
}

#[test]
fn a_field_that_two_properties_claim_mirrors_neither() {
    let of = |properties| Bindings::of_schema(&json!({"properties": properties}));
    let contested = of(json!({
        "a": {"x-mcp-header": "X"},
        "b": {"x-mcp-header": "x", "properties": {"c": {"x-mcp-header": "C"}}},
        "d": {"properties": {"e": {"x-mcp-header": "X"}}},
    }));
    let mut tape = Tape::new();
    let args = tape
        .parse(br#"{"a":1,"b":{"c":2},"d":{"e":3}}"#, 8)
        .expect("JSON");
    let at = |bindings: &Bindings, field| {
        let mirrored = bindings.mirrored(Some(args));
        let binding = bindings.named(field).expect("a field");
        let found: Vec<_> = mirrored.by(binding).map(Value::raw).collect();
        (binding.is_contested(), binding.mirrors_one(), found)
    };
    assert_eq!(at(&contested, "mcp-param-x"), (true, false, vec![]));
    assert_eq!(at(&contested, "mcp-param-c"), (false, true, vec!["2"]));
    assert_eq!(
        contested.path(contested.named("mcp-param-x").expect("a field")),
        ""
    );
    // A second definition, which clients may use, has an effect.
    let good = of(json!({"a": {"x-mcp-header": "X"}}));
    for (mut first, then) in [(contested.clone(), &good), (good.clone(), &contested)] {
        first.extend(then);
        assert_eq!(at(&first, "mcp-param-x"), (false, true, vec!["1"]));
        assert_eq!(at(&first, "mcp-param-c"), (false, true, vec!["2"]));
    }
}

#[test]
fn hostile_annotations_cost_calls_nothing() {
    const MANY: usize = 9_000;
    let annotated = |header: fn(usize) -> String| {
        let properties = (0..MANY).map(|n| (format!("p{n}"), json!({"x-mcp-header": header(n)})));
        json!({"properties": properties.collect::<serde_json::Map<_, _>>()})
    };
    let one = Bindings::of_schema(&annotated(|_| "X".to_owned()));
    assert_eq!((one.all().count(), one.properties.len()), (1, 1));
    // Names that some servers take for one are separate fields.
    let spellings = Bindings::of_schema(&annotated(|n| {
        format!("{n:014b}").replace('0', "-").replace('1', "_")
    }));
    assert_eq!(spellings.all().count(), MANY);
    assert!(spellings.alike(&format!("mcp-param{}", ".".repeat(15))).is_some());
    // As many arguments are compared with as many fields in one pass.
    let members: Vec<String> = (0..MANY).map(|n| format!(r#""p{n}":{n}"#)).collect();
    let text = format!("{{{}}}", members.join(","));
    let mut tape = Tape::new();
    let args = tape.parse(text.as_bytes(), 8).expect("JSON");
    let fields = Bindings::of_schema(&annotated(|n| format!("H{n}")));
    let mirrored = fields.mirrored(Some(args));
    let agree = fields.all().filter(|binding| {
        let number = binding.field().strip_prefix("mcp-param-h");
        mirrored.by(binding).map(Value::raw).eq(number)
    });
    assert_eq!(agree.count(), MANY);
}

#[test]
fn hostile_nesting_is_not_multiplied() {
    // A long chain with many annotations at its end.
    let mut schema = json!({"properties": (0..2_000)
        .map(|n| (n.to_string(), json!({"x-mcp-header": format!("H{n}")})))
        .collect::<serde_json::Map<_, _>>()});
    for _ in 0..50 {
        schema = json!({"properties": {"k".repeat(1_000): schema}});
    }
    let bindings = Bindings::of_schema(&schema);
    assert_eq!(bindings.all().count(), 2_000);
    assert_eq!(bindings.properties.len(), 2_050);
    for _ in 0..50 {
        schema = json!({"properties": {"k": schema}});
    }
    assert!(Bindings::of_schema(&schema).is_empty(), "too deep");
}
