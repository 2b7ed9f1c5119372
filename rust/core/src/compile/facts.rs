//! The compiled catalogue: facts about a tool for its calls.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::CompileError;
use crate::bindings::Bindings;
use crate::policy::ast::{Category, Risk};
use crate::policy::schema::{SchemaCheck, compile_schema};
use crate::policy::{Catalogue, ToolFacts};

type Tools = HashMap<String, ToolFactsCompiled, FixedState>;

/// The catalogue's facts, by server and tool.
#[derive(Debug)]
pub(crate) struct Facts {
    servers: HashMap<String, Tools, FixedState>,
    every_server: Tools,
}

/// The catalogue's facts about one tool.
#[derive(Debug, Default)]
pub(crate) struct ToolFactsCompiled {
    pub(crate) category: Option<Category>,
    pub(crate) risk: Option<Risk>,
    /// The tool's own input schema, only if a policy needs it.
    pub(crate) input_schema: Option<SchemaCheck>,
    /// The arguments that clients mirror according to its input schema; `None` if there are none.
    pub(crate) bindings: Option<Box<Bindings>>,
}

impl Facts {
    pub(crate) fn build(catalogue: Catalogue, with_schemas: bool) -> Result<Self, CompileError> {
        let mut servers = HashMap::with_hasher(FixedState::default());
        for (server, tools) in catalogue.servers {
            servers.insert(server, compile(tools, with_schemas)?);
        }
        Ok(Self {
            servers,
            every_server: compile(catalogue.every_server, with_schemas)?,
        })
    }

    /// The facts about this tool at this server, or else about this tool at every server.
    pub(crate) fn of(&self, server: &str, tool: &str) -> Option<&ToolFactsCompiled> {
        // A look-up in an empty map still hashes, and most engines have no catalogue.
        let here = if self.servers.is_empty() {
            None
        } else {
            self.servers.get(server).and_then(|tools| tools.get(tool))
        };
        here.or_else(|| {
            if self.every_server.is_empty() {
                None
            } else {
                self.every_server.get(tool)
            }
        })
    }
}

fn compile(tools: HashMap<String, ToolFacts>, with_schemas: bool) -> Result<Tools, CompileError> {
    let mut compiled = HashMap::with_hasher(FixedState::default());
    for (name, facts) in tools {
        let bindings = facts.input_schema.as_ref().map(Bindings::of_schema);
        let input_schema = match facts.input_schema {
            Some(schema) if with_schemas => Some(compile_schema(&schema).map_err(|reason| {
                CompileError::new(format!(
                    "input schema of tool `{name}` does not compile: {reason}"
                ))
            })?),
            _ => None,
        };
        compiled.insert(
            name,
            ToolFactsCompiled {
                category: facts.category,
                risk: facts.risk,
                input_schema,
                bindings: bindings.filter(|bindings| !bindings.is_empty()).map(Box::new),
            },
        );
    }
    Ok(compiled)
}
