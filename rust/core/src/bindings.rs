//! `Mcp-Param-*`: arguments that a tool's input schema has clients repeat in header fields (MCP 2026-07-28, "Custom
//! Headers from Tool Parameters").
//!
//! Who holds the fields against a call is the reader of messages; here is what stands in the schema.

use std::collections::BTreeMap;

use crate::json::Value;

/// The keyword of a property's schema that names its field.
const KEYWORD: &str = "x-mcp-header";

/// What the names of these fields begin with, in lower case, as HTTP/2 has them.
pub const FIELD_PREFIX: &str = "mcp-param-";

/// Levels of `properties` that are looked into; a schema of the catalogue has no more.
const MAX_DEPTH: usize = 64;

/// Which arguments of one tool are mirrored, and where. Made once for each definition of a tool, of its input schema.
///
/// Takes memory linear in the schema, however it is nested: servers write these themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// The properties on the way to those that are mirrored, each after the one that it is in.
    steps: Vec<Step>,
    /// By the name of the field as [`fold`] has it.
    fields: BTreeMap<String, Vec<Binding>>,
}

/// One property.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    key: Box<str>,
    /// The property that it is in; `None` at the top.
    parent: Option<usize>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    field: String,
    /// The properties that are mirrored there: one, but for definitions that are put together.
    properties: Vec<usize>,
}

impl Binding {
    /// The field's whole name, in lower case.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Whether it mirrors one argument, as in every definition that clients may use.
    pub fn mirrors_one(&self) -> bool {
        self.properties.len() == 1
    }
}

impl Bindings {
    /// Reads the annotations of an input schema: those that a chain of `properties` leads to, and no others.
    ///
    /// An annotation that is no field name makes a tool definition that clients must not use; it binds nothing here.
    ///
    /// ```
    /// use callgate_core::bindings::Bindings;
    ///
    /// let schema = serde_json::json!({"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
    /// let bindings = Bindings::of_schema(&schema);
    /// let fields: Vec<&str> = bindings.all().map(|binding| binding.field()).collect();
    /// assert_eq!(fields, ["mcp-param-region"]);
    /// ```
    pub fn of_schema<'s>(schema: impl SchemaNode<'s>) -> Self {
        let mut bindings = Self::default();
        bindings.collect(schema, None, 0);
        bindings
    }

    /// Whether no argument is mirrored, so that there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Every field.
    pub fn all(&self) -> impl Iterator<Item = &Binding> {
        self.fields.values().flatten()
    }

    /// The fields that one of this name is, or is taken for by servers that read `_` and `.` as `-`.
    pub fn alike(&self, name: &str) -> &[Binding] {
        self.fields.get(&fold(name)).map_or(&[], Vec::as_slice)
    }

    /// The arguments that a field mirrors, as far as a call has them.
    pub fn arguments<'b, 'v>(
        &'b self,
        binding: &'b Binding,
        args: Option<Value<'v>>,
    ) -> impl Iterator<Item = Value<'v>> + 'b
    where
        'v: 'b,
    {
        binding.properties.iter().filter_map(move |&property| {
            let mut way = self.way(property).into_iter().rev();
            way.try_fold(args?, Value::get)
        })
    }

    /// The path of the argument that a field mirrors, for people.
    pub fn path(&self, binding: &Binding) -> String {
        let way = binding.properties.first().map(|&property| self.way(property));
        let mut keys = way.unwrap_or_default();
        keys.reverse();
        keys.join(".")
    }

    /// Takes over what another definition of the same tool says: a field may mirror what either has.
    pub fn extend(&mut self, other: &Self) {
        let before = self.steps.len();
        self.steps.extend(other.steps.iter().map(|step| Step {
            key: step.key.clone(),
            parent: step.parent.map(|parent| parent + before),
        }));
        for binding in other.all() {
            let properties = binding.properties.iter().map(|property| property + before);
            self.bind(binding.field.clone(), properties.collect());
        }
    }

    fn collect<'s>(&mut self, schema: impl SchemaNode<'s>, parent: Option<usize>, depth: usize) {
        let Some(properties) = schema.member("properties").filter(|_| depth < MAX_DEPTH) else {
            return;
        };
        for (key, property) in properties.members() {
            let step = self.steps.len();
            self.steps.push(Step {
                key: key.into(),
                parent,
            });
            let header = property.member(KEYWORD).and_then(SchemaNode::text);
            let is_bound = header.is_some_and(is_token);
            if let Some(header) = header.filter(|_| is_bound) {
                let field = [FIELD_PREFIX, &header.to_ascii_lowercase()].concat();
                self.bind(field, vec![step]);
            }
            self.collect(property, Some(step), depth + 1);
            if !is_bound && self.steps.len() == step + 1 {
                // It leads nowhere.
                self.steps.pop();
            }
        }
    }

    /// Two properties with one field make a definition that clients must not use: the field is either's then.
    fn bind(&mut self, field: String, properties: Vec<usize>) {
        let alike = self.fields.entry(fold(&field)).or_default();
        match alike.iter_mut().find(|binding| binding.field == field) {
            Some(binding) => binding.properties.extend(properties),
            None => alike.push(Binding { field, properties }),
        }
    }

    /// The keys that lead to a property, the last one first.
    fn way(&self, property: usize) -> Vec<&str> {
        let mut keys = Vec::new();
        let mut next = self.steps.get(property);
        while let Some(step) = next {
            keys.push(&*step.key);
            next = step.parent.and_then(|parent| self.steps.get(parent));
        }
        keys
    }
}

/// A schema in memory, whoever has read it.
pub trait SchemaNode<'s>: Copy {
    /// The member of this key, of an object.
    fn member(self, key: &str) -> Option<Self>;
    /// The text, of a string.
    fn text(self) -> Option<&'s str>;
    /// The members, of an object; none of anything else.
    fn members(self) -> impl Iterator<Item = (&'s str, Self)>;
}

impl<'s> SchemaNode<'s> for Value<'s> {
    fn member(self, key: &str) -> Option<Self> {
        self.get(key)
    }

    fn text(self) -> Option<&'s str> {
        self.as_str()
    }

    fn members(self) -> impl Iterator<Item = (&'s str, Self)> {
        Value::members(self)
    }
}

impl<'s> SchemaNode<'s> for &'s serde_json::Value {
    fn member(self, key: &str) -> Option<Self> {
        self.get(key)
    }

    fn text(self) -> Option<&'s str> {
        self.as_str()
    }

    fn members(self) -> impl Iterator<Item = (&'s str, Self)> {
        let members = self.as_object().into_iter().flatten();
        members.map(|(key, value)| (key.as_str(), value))
    }
}

/// A field name (RFC 9110 section 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A name as servers read it that make variables of fields.
fn fold(name: &str) -> String {
    name.chars()
        .map(|character| match character {
            '_' | '.' => '-',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
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
        // However it was read.
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
        let args = tape.parse(br#"{"a":1,"b":{"c":"x"},"c":2}"#, 8).expect("JSON");
        let at = |field: &str, args| {
            let [binding] = bindings.alike(field) else {
                panic!("one field")
            };
            let found = bindings.arguments(binding, args);
            found.map(Value::raw).collect::<Vec<_>>()
        };
        assert_eq!(at("Mcp-Param-A", Some(args)), ["1"]);
        assert_eq!(at("mcp_param.c", Some(args)), ["\"x\""]);
        assert_eq!(at("mcp-param-c", args.get("b")), [""; 0]);
        assert_eq!(at("mcp-param-a", None), [""; 0]);
        assert!(bindings.alike("mcp-param-b").is_empty());
    }

    #[test]
    fn definitions_are_put_together() {
        let mut bindings = Bindings::of_schema(&json!({"properties": {"a": {"x-mcp-header": "A"}}}));
        let other = json!({"properties": {
            "b": {"properties": {"a": {"x-mcp-header": "a"}}},
            "c": {"x-mcp-header": "C"},
        }});
        bindings.extend(&Bindings::of_schema(&other));
        let mut tape = Tape::new();
        let args = tape.parse(br#"{"a":1,"b":{"a":2},"c":3}"#, 8).expect("JSON");
        let at = |field: &str| {
            let found = bindings.alike(field).iter();
            let found = found.flat_map(|binding| bindings.arguments(binding, Some(args)));
            found.map(Value::raw).collect::<Vec<_>>()
        };
        assert_eq!(at("mcp-param-a"), ["1", "2"]);
        assert_eq!(at("mcp-param-c"), ["3"]);
    }

    #[test]
    fn names_that_some_servers_take_for_one_are_two() {
        let schema = json!({"properties": {"a": {"x-mcp-header": "T-Id"}, "b": {"x-mcp-header": "t_id"}}});
        let bindings = Bindings::of_schema(&schema);
        let alike = bindings.alike("MCP-PARAM-T.ID").iter();
        assert_eq!(
            alike.map(Binding::field).collect::<Vec<_>>(),
            ["mcp-param-t-id", "mcp-param-t_id"]
        );
    }

    #[test]
    fn hostile_nesting_is_not_multiplied() {
        // A long way, and many annotations at its end.
        let mut schema = json!({"properties": (0..2_000)
            .map(|n| (n.to_string(), json!({"x-mcp-header": format!("H{n}")})))
            .collect::<serde_json::Map<_, _>>()});
        for _ in 0..50 {
            schema = json!({"properties": {"k".repeat(1_000): schema}});
        }
        let bindings = Bindings::of_schema(&schema);
        assert_eq!(bindings.all().count(), 2_000);
        assert_eq!(bindings.steps.len(), 2_050);
        for _ in 0..50 {
            schema = json!({"properties": {"k": schema}});
        }
        assert!(Bindings::of_schema(&schema).is_empty(), "too deep");
    }
}
