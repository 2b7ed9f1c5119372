//! `Mcp-Param-*`: arguments that clients repeat in header fields, as a tool's input schema requires (MCP 2026-07-28,
//! "Custom Headers from Tool Parameters").
//!
//! This module reads the schema. The reader of messages checks the fields of a call.

mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::json::Value;

use properties::Properties;

/// The keyword of a property's schema that names its field.
const KEYWORD: &str = "x-mcp-header";

/// The prefix of the names of these fields, in lower case as in HTTP/2.
pub const FIELD_PREFIX: &str = "mcp-param-";

/// The levels of `properties` that are read; a schema of the catalogue has no more.
const MAX_DEPTH: usize = 64;

/// The mirrored arguments of one tool with their fields, built from the input schema of each definition of the tool.
///
/// Takes memory linear in the schema, whatever its nesting: schemas come from servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// The mirrored properties and their parents.
    properties: Properties,
    /// By the field's name, both as [`fold`] returns it and in its own spelling.
    fields: BTreeMap<(String, String), Binding>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    field: String,
    /// The properties that the field mirrors: one, unless definitions were merged; none if two properties of one
    /// definition claim the field.
    properties: Vec<usize>,
}

/// The arguments of one call that fields mirror.
#[derive(Clone, Debug)]
pub struct Mirrored<'v>(Vec<Option<Value<'v>>>);

impl Binding {
    /// The field's full name, in lower case.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Returns whether it mirrors one argument, as in every definition that clients may use.
    pub fn mirrors_one(&self) -> bool {
        self.properties.len() == 1
    }

    /// Returns whether two arguments of one definition claim it, so that it mirrors neither.
    pub fn is_contested(&self) -> bool {
        self.properties.is_empty()
    }
}

impl<'v> Mirrored<'v> {
    /// The arguments that a field mirrors, if the call has them.
    pub fn by(&self, binding: &Binding) -> impl Iterator<Item = Value<'v>> {
        let properties = binding.properties.iter();
        properties.filter_map(|&property| self.0.get(property).copied().flatten())
    }
}

impl Bindings {
    /// Reads the annotations of an input schema, but only those that a chain of `properties` leads to.
    ///
    /// An annotation that is not a valid field name binds nothing, nor do two annotations with one name. Clients must
    /// not use such a tool definition.
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

    /// Returns whether there is no field, and so nothing to check.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Every field.
    pub fn all(&self) -> impl Iterator<Item = &Binding> {
        self.fields.values()
    }

    /// The field of this name, in any case.
    pub fn named(&self, name: &str) -> Option<&Binding> {
        self.fields.get(&(fold(name), name.to_ascii_lowercase()))
    }

    /// The field that servers take this name for if they read `_` and `.` as `-`; the field of this name itself
    /// included.
    pub fn alike(&self, name: &str) -> Option<&Binding> {
        let folded = fold(name);
        let mut alike = self.fields.range((folded.clone(), String::new())..);
        alike
            .next()
            .filter(|((own, _), _)| *own == folded)
            .map(|(_, binding)| binding)
    }

    /// Finds the mirrored arguments of all fields in one pass, because both arguments and fields may be many.
    pub fn mirrored<'v>(&self, args: Option<Value<'v>>) -> Mirrored<'v> {
        Mirrored(args.map(|args| self.properties.values(args)).unwrap_or_default())
    }

    /// The path of the argument that a field mirrors, for messages.
    pub fn path(&self, binding: &Binding) -> String {
        let first = binding.properties.first();
        first.map_or_else(String::new, |&property| self.properties.path(property).join("."))
    }

    /// Adds the fields of another definition of the same tool: a field may mirror the arguments of either.
    pub fn extend(&mut self, other: &Self) {
        let places = self.properties.extend(&other.properties);
        for (name, theirs) in &other.fields {
            let own = self.fields.entry(name.clone()).or_insert_with(|| Binding {
                field: theirs.field.clone(),
                properties: Vec::new(),
            });
            for place in theirs
                .properties
                .iter()
                .filter_map(|&property| places.get(property))
            {
                // Most definitions agree on most properties.
                if !own.properties.contains(place) {
                    own.properties.push(*place);
                }
            }
        }
    }

    fn collect<'s>(&mut self, schema: impl SchemaNode<'s>, parent: Option<usize>, depth: usize) {
        let Some(properties) = schema.member("properties").filter(|_| depth < MAX_DEPTH) else {
            return;
        };
        for (key, property) in properties.members() {
            let place = self.properties.add(parent, key);
            let header = property.member(KEYWORD).and_then(SchemaNode::text);
            let is_bound = header.is_some_and(|header| is_token(header) && self.bind(header, place));
            self.collect(property, Some(place), depth + 1);
            if !is_bound && self.properties.len() == place + 1 {
                // No annotation is below it.
                self.properties.remove_last();
            }
        }
    }

    /// Binds a field to a property, unless another property of this definition claims the field. Clients must not use
    /// such a definition, and its server may read either property.
    fn bind(&mut self, header: &str, property: usize) -> bool {
        let field = [FIELD_PREFIX, &header.to_ascii_lowercase()].concat();
        match self.fields.entry((fold(&field), field)) {
            Entry::Occupied(mut claimed) => {
                claimed.get_mut().properties.clear();
                false
            }
            Entry::Vacant(free) => {
                let field = free.key().1.clone();
                free.insert(Binding {
                    field,
                    properties: vec![property],
                });
                true
            }
        }
    }
}

/// A schema in memory, from any reader.
pub trait SchemaNode<'s>: Copy {
    /// The member with this key, if the node is an object.
    fn member(self, key: &str) -> Option<Self>;
    /// The text, if the node is a string.
    fn text(self) -> Option<&'s str>;
    /// The members, if the node is an object; else none.
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

/// A name as servers read it that turn fields into variables.
fn fold(name: &str) -> String {
    name.chars()
        .map(|character| match character {
            '_' | '.' => '-',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}
