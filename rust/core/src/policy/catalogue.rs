//! The catalogue: facts about the servers' tools.

use hashbrown::HashMap;

use super::ast::{Category, Risk};
use super::collected::Collected;
use super::document::category;
use super::fields::{Fields, word};
use super::read::{DocumentError, Member, Node, Read, check_name, locate, locate_all, quoted, read};
use super::schema::compile_schema;
use super::{PolicyError, Source};

/// The catalogue's facts about one tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolFacts {
    /// The kind of its effect.
    pub category: Option<Category>,
    /// The harm that it can do.
    pub risk: Option<Risk>,
    /// Its input schema, which compiles and stays within the caps of `schema`.
    pub input_schema: Option<serde_json::Value>,
}

/// The tools of the known servers.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// By server, then by tool.
    pub servers: HashMap<String, HashMap<String, ToolFacts>>,
    /// Tools of all servers (the short form of Python).
    pub every_server: HashMap<String, ToolFacts>,
}

impl Catalogue {
    /// Reads a catalogue file: `{"version": "1", "servers": {"srv": {"tools": {"create-ami": {"category": "Write", ...}}}}}`.
    ///
    /// # Errors
    ///
    /// The fault that is found first.
    pub fn parse(source: &Source<'_>) -> Result<Self, PolicyError> {
        catalogue(source).map_err(|mut faults| locate(source, faults.swap_remove(0)))
    }

    /// Every fault of a catalogue file, in document order; none if [`Catalogue::parse`] accepts it. At most 100.
    pub fn faults(source: &Source<'_>) -> Vec<PolicyError> {
        locate_all(source, catalogue(source).err().unwrap_or_default())
    }
}

/// The catalogue, or its faults: at least one.
fn catalogue(source: &Source<'_>) -> Result<Catalogue, Vec<DocumentError>> {
    let document = read(source).map_err(|fault| vec![fault])?;
    let mut collected = Collected::default();
    match servers(&document, &mut collected) {
        Some(servers) if collected.is_sound() => Ok(Catalogue {
            servers,
            every_server: HashMap::new(),
        }),
        _ => Err(collected.into_faults()),
    }
}

/// The servers, which must not be used if a fault was collected; `None` only if one was.
fn servers(node: &Node, collected: &mut Collected) -> Option<HashMap<String, HashMap<String, ToolFacts>>> {
    let fields = Fields::collect(node, "a catalogue", &["version", "servers"], collected)?;
    // Nothing is known of other versions.
    collected.read(version(&fields))?;
    let members = fields
        .required("servers", "an object of servers")
        .and_then(|node| node.object("an object of servers"));
    let members = collected.read(members)?;
    Some(
        members
            .iter()
            .filter_map(|member| server(member, collected))
            .collect(),
    )
}

fn version(fields: &Fields<'_>) -> Read<()> {
    let version = fields.required("version", "the string `\"1\"`")?;
    let text = version.string("the string `\"1\"`")?;
    if text != "1" {
        return Err(version.error(format!("expected version `1`, got {}", quoted(text))));
    }
    Ok(())
}

fn server(member: &Member, collected: &mut Collected) -> Option<(String, HashMap<String, ToolFacts>)> {
    collected.read(check_name(&member.key, member.key_at, "the name of a server"));
    let fields = Fields::collect(&member.value, "a server", &["tools"], collected)?;
    let tools = fields
        .get("tools")
        .map_or(Ok([].as_slice()), |node| node.object("an object of tools"));
    let tools = collected.read(tools)?;
    let tools = tools
        .iter()
        .filter_map(|member| tool(member, collected))
        .collect();
    Some((member.key.clone(), tools))
}

fn tool(member: &Member, collected: &mut Collected) -> Option<(String, ToolFacts)> {
    collected.read(check_name(&member.key, member.key_at, "the name of a tool"));
    let known = ["category", "risk", "description", "input_schema", "annotations"];
    let fields = Fields::collect(&member.value, "a tool", &known, collected)?;
    let category = fields
        .get("category")
        .map(|node| category(node.string("a category")?, node.at));
    let category = collected.read(category.transpose()).flatten();
    let risk = collected.read(fields.get("risk").map(risk).transpose()).flatten();
    let description = fields.get("description").map(|node| node.string("a description"));
    collected.read(description.transpose());
    let annotations = fields
        .get("annotations")
        .map(|node| node.object("an object of annotations"));
    collected.read(annotations.transpose());
    let input_schema = fields.get("input_schema").map(input_schema);
    let input_schema = collected.read(input_schema.transpose()).flatten();
    Some((
        member.key.clone(),
        ToolFacts {
            category,
            risk,
            input_schema,
        },
    ))
}

fn risk(node: &Node) -> Read<Risk> {
    let index = word(node, &Risk::ALL.map(Risk::as_str))?;
    Ok(Risk::ALL.into_iter().nth(index).unwrap_or(Risk::Critical))
}

fn input_schema(node: &Node) -> Read<serde_json::Value> {
    node.object("a JSON Schema of type `object`")?;
    let schema = node.to_serde()?;
    compile_schema(&schema).map_err(|message| node.error(message))?;
    Ok(schema)
}
