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

/// Tools by server and name.
type Servers = HashMap<String, HashMap<String, ToolFacts>>;

impl ToolFacts {
    /// Puts the facts that a person has given in the place of those of a classifier. The risk of another category is not
    /// that of the tool any more.
    fn correct(&mut self, correction: &Self) {
        let is_other = correction.category.is_some() && correction.category != self.category;
        let risk = correction.category.filter(|_| is_other).map(Category::risk);
        self.category = correction.category.or(self.category);
        self.risk = correction.risk.or(risk).or(self.risk);
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

/// The servers with the corrections of people, which must not be used if a fault was collected; `None` only if one was.
fn servers(node: &Node, collected: &mut Collected) -> Option<Servers> {
    let fields = Fields::collect(
        node,
        "a catalogue",
        &["version", "servers", "overrides"],
        collected,
    )?;
    // Nothing is known of other versions.
    collected.read(version(&fields))?;
    let members = fields
        .required("servers", "an object of servers")
        .and_then(|node| node.object("an object of servers"));
    let members = collected.read(members)?;
    let mut servers: Servers = members
        .iter()
        .filter_map(|member| server(member, collected))
        .collect();
    let overrides = fields
        .get("overrides")
        .map(|node| node.object("an object of servers"));
    for member in collected
        .read(overrides.transpose())
        .flatten()
        .unwrap_or_default()
    {
        let tools = override_server(member, collected)?;
        let facts = servers.entry(member.key.clone()).or_default();
        for (tool, correction) in tools {
            // A tool that its server does not list at the moment keeps its correction.
            facts.entry(tool).or_default().correct(&correction);
        }
    }
    Some(servers)
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
    let known = ["tools", "title", "version", "source", "scanned_at"];
    let fields = Fields::collect(&member.value, "a server", &known, collected)?;
    for text in ["title", "version", "scanned_at"] {
        let text = fields.get(text).map(|node| node.string("a text"));
        collected.read(text.transpose());
    }
    let source = fields
        .get("source")
        .map(|node| node.object("an object of a URL or a command"));
    collected.read(source.transpose());
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
    let known = [
        "category",
        "risk",
        "confidence",
        "evidence",
        "attributes",
        "title",
        "description",
        "input_schema",
        "output_schema",
        "annotations",
        "digest",
    ];
    let fields = Fields::collect(&member.value, "a tool", &known, collected)?;
    let (category, risk) = classification(&fields, collected);
    for text in ["evidence", "title", "description", "digest"] {
        let text = fields.get(text).map(|node| node.string("a text"));
        collected.read(text.transpose());
    }
    let annotations = fields
        .get("annotations")
        .map(|node| node.object("an object of annotations"));
    collected.read(annotations.transpose());
    let confidence = fields
        .get("confidence")
        .map(|node| node.number("a number from 0 to 1"));
    collected.read(confidence.transpose());
    let output_schema = fields
        .get("output_schema")
        .map(|node| node.object("a JSON Schema"));
    collected.read(output_schema.transpose());
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

/// The corrections of one server's tools.
fn override_server(member: &Member, collected: &mut Collected) -> Option<Vec<(String, ToolFacts)>> {
    collected.read(check_name(&member.key, member.key_at, "the name of a server"));
    let tools = collected.read(member.value.object("an object of tools"))?;
    let corrections = tools.iter().filter_map(|member| correction(member, collected));
    Some(corrections.collect())
}

/// A person's correction of one tool.
fn correction(member: &Member, collected: &mut Collected) -> Option<(String, ToolFacts)> {
    collected.read(check_name(&member.key, member.key_at, "the name of a tool"));
    let known = ["category", "risk", "attributes", "reason"];
    let fields = Fields::collect(&member.value, "a correction", &known, collected)?;
    let (category, risk) = classification(&fields, collected);
    let reason = fields.get("reason").map(|node| node.string("a text"));
    collected.read(reason.transpose());
    let facts = ToolFacts {
        category,
        risk,
        input_schema: None,
    };
    Some((member.key.clone(), facts))
}

/// Category and risk of a tool, after its further classification was checked.
fn classification(fields: &Fields<'_>, collected: &mut Collected) -> (Option<Category>, Option<Risk>) {
    let category = fields
        .get("category")
        .map(|node| category(node.string("a category")?, node.at));
    let category = collected.read(category.transpose()).flatten();
    let risk = collected.read(fields.get("risk").map(risk).transpose()).flatten();
    if let Some(node) = fields.get("attributes") {
        attributes(node, collected);
    }
    (category, risk)
}

/// Checks what a tool reads, sees and sends: each attribute is true or false.
fn attributes(node: &Node, collected: &mut Collected) {
    let known = [
        "private_data",
        "untrusted_content",
        "sends_out",
        "reversible",
        "open_world",
    ];
    let Some(fields) = Fields::collect(node, "attributes", &known, collected) else {
        return;
    };
    for name in known {
        let value = fields.get(name).map(|node| node.boolean("true or false"));
        collected.read(value.transpose());
    }
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
