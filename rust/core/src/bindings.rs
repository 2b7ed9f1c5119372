//! `Mcp-Param-*`: arguments that a tool's input schema has clients repeat in header fields (MCP 2026-07-28, "Custom
//! Headers from Tool Parameters").
//!
//! Who holds the fields against a call is the reader of messages; here is what stands in the schema.

mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::json::Value;

use properties::Properties;

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
    /// Those that are mirrored, and those on the way there.
    properties: Properties,
    /// By the name of the field as [`fold`] has it, and as it is.
    fields: BTreeMap<(String, String), Binding>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    field: String,
    /// The properties that are mirrored there: one, but for definitions that are put together. None of a field that two
    /// properties of one definition claim.
    properties: Vec<usize>,
}

/// The arguments of one call that fields mirror.
#[derive(Clone, Debug)]
pub struct Mirrored<'v>(Vec<Option<Value<'v>>>);

impl Binding {
    /// The field's whole name, in lower case.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Whether it mirrors one argument, as in every definition that clients may use.
    pub fn mirrors_one(&self) -> bool {
        self.properties.len() == 1
    }

    /// Whether two arguments claim it in one definition, so that it mirrors neither.
    pub fn is_contested(&self) -> bool {
        self.properties.is_empty()
    }
}

impl<'v> Mirrored<'v> {
    /// The arguments that a field mirrors, as far as the call has them.
    pub fn by(&self, binding: &Binding) -> impl Iterator<Item = Value<'v>> {
        let properties = binding.properties.iter();
        properties.filter_map(|&property| self.0.get(property).copied().flatten())
    }
}

impl Bindings {
    /// Reads the annotations of an input schema: those that a chain of `properties` leads to, and no others.
    ///
    /// An annotation that is no field name makes a tool definition that clients must not use; it binds nothing here. So do
    /// two annotations with one name: that field mirrors nothing.
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

    /// Whether there is no field, so that there is nothing to check.
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

    /// A field that one of this name is, or is taken for by servers that read `_` and `.` as `-`.
    pub fn alike(&self, name: &str) -> Option<&Binding> {
        let folded = fold(name);
        let mut alike = self.fields.range((folded.clone(), String::new())..);
        alike
            .next()
            .filter(|((own, _), _)| *own == folded)
            .map(|(_, binding)| binding)
    }

    /// Finds the arguments that are mirrored: those of all fields at once, since both arguments and fields can be many.
    pub fn mirrored<'v>(&self, args: Option<Value<'v>>) -> Mirrored<'v> {
        Mirrored(args.map(|args| self.properties.values(args)).unwrap_or_default())
    }

    /// The path of the argument that a field mirrors, for people.
    pub fn path(&self, binding: &Binding) -> String {
        let first = binding.properties.first();
        first.map_or_else(String::new, |&property| self.properties.path(property).join("."))
    }

    /// Takes over what another definition of the same tool says: a field may mirror what either has.
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
                // Most definitions say the same of most properties.
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
                // It leads nowhere.
                self.properties.remove_last();
            }
        }
    }

    /// Has a field mirror a property, unless another one of this definition claims it: then the definition is one that clients
    /// must not use, and nothing says which of the two its server reads.
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
