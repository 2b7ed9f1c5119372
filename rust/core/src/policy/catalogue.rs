//! The catalogue: facts about the servers' tools.

use hashbrown::HashMap;

use super::ast::{Category, Risk};
use super::document::category;
use super::fields::{Fields, word};
use super::read::{Member, Node, Read, check_name, locate, quoted, read};
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
    pub fn parse(source: &Source<'_>) -> Result<Self, PolicyError> {
        read(source)
            .and_then(|document| catalogue(&document))
            .map_err(|error| locate(source, error))
    }
}

fn catalogue(node: &Node) -> Read<Catalogue> {
    let fields = Fields::of(node, "a catalogue", &["version", "servers"])?;
    let version = fields.required("version", "the string `\"1\"`")?;
    let text = version.string("the string `\"1\"`")?;
    if text != "1" {
        return Err(version.error(format!("expected version `1`, got {}", quoted(text))));
    }
    let members = fields
        .required("servers", "an object of servers")?
        .object("an object of servers")?;
    let servers = members.iter().map(server).collect::<Read<_>>()?;
    Ok(Catalogue {
        servers,
        every_server: HashMap::new(),
    })
}

fn server(member: &Member) -> Read<(String, HashMap<String, ToolFacts>)> {
    check_name(&member.key, member.key_at, "the name of a server")?;
    let fields = Fields::of(&member.value, "a server", &["tools"])?;
    let tools = match fields.get("tools") {
        Some(node) => node
            .object("an object of tools")?
            .iter()
            .map(tool)
            .collect::<Read<_>>()?,
        None => HashMap::new(),
    };
    Ok((member.key.clone(), tools))
}

fn tool(member: &Member) -> Read<(String, ToolFacts)> {
    check_name(&member.key, member.key_at, "the name of a tool")?;
    let known = ["category", "risk", "description", "input_schema", "annotations"];
    let fields = Fields::of(&member.value, "a tool", &known)?;
    let category = fields
        .get("category")
        .map(|node| category(node.string("a category")?, node.at))
        .transpose()?;
    let risk = fields.get("risk").map(risk).transpose()?;
    if let Some(node) = fields.get("description") {
        node.string("a description")?;
    }
    if let Some(node) = fields.get("annotations") {
        node.object("an object of annotations")?;
    }
    let input_schema = fields.get("input_schema").map(input_schema).transpose()?;
    Ok((
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
