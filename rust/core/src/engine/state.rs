//! Everything compiled, swapped as a whole.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::compile::{CompiledPolicy, Facts, RuleFault};
use crate::policy::{Catalogue, PolicyError, ast};

/// Which policy decides for which server.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "built once per load and taken apart at once"
)]
pub enum Policies {
    /// One policy serves every server.
    EveryServer(ast::Policy),
    /// Policies by server name; other servers are unknown.
    ByServer(Vec<(String, ast::Policy)>),
}

/// Everything compiled: policies by server, and the catalogue. Swapped as a whole.
#[derive(Debug)]
pub struct State {
    policies: Vec<CompiledPolicy>,
    // `None`: the one policy serves every server. Its keys come from the operator, so a fixed hasher is safe.
    by_server: Option<HashMap<String, u32, FixedState>>,
    servers: Vec<String>,
    facts: Facts,
}

impl State {
    /// Compiles policies against a catalogue. Two policies of one name are an error: counts are kept by policy name,
    /// and two policies never share one (`docs/policy.md` section 4).
    pub fn build(policies: Policies, catalogue: Catalogue) -> Result<Self, PolicyError> {
        let (servers, documents): (Vec<String>, Vec<ast::Policy>) = match policies {
            Policies::EveryServer(policy) => {
                let policy = CompiledPolicy::build(policy).map_err(|fault| load_error("<policy>", fault))?;
                let facts = Facts::build(catalogue, policy.asks_input_schema())
                    .map_err(|fault| load_error("<catalogue>", fault))?;
                return Ok(Self {
                    policies: vec![policy],
                    by_server: None,
                    servers: Vec::new(),
                    facts,
                });
            }
            Policies::ByServer(list) => list.into_iter().unzip(),
        };
        let mut by_server = HashMap::with_hasher(FixedState::default());
        let mut by_name: HashMap<String, usize> = HashMap::new();
        let mut compiled = Vec::with_capacity(documents.len());
        for (index, policy) in documents.into_iter().enumerate() {
            let Some(server) = servers.get(index) else { break };
            if by_server
                .insert(server.clone(), u32::try_from(index).unwrap_or(u32::MAX))
                .is_some()
            {
                return Err(load_error(
                    server,
                    RuleFault::new("a second policy for this server, expected one"),
                ));
            }
            if let Some(earlier) = by_name.insert(policy.name.clone(), index) {
                let message = format!(
                    "policy name `{}` is taken by the policy of server `{}`, expected names of their own because counts \
                     are kept by policy name; give one of them another `name`",
                    policy.name,
                    servers.get(earlier).map_or("", String::as_str),
                );
                return Err(load_error(server, RuleFault::new(message)));
            }
            compiled.push(CompiledPolicy::build(policy).map_err(|fault| load_error(server, fault))?);
        }
        let asks = compiled.iter().any(CompiledPolicy::asks_input_schema);
        let facts = Facts::build(catalogue, asks).map_err(|fault| load_error("<catalogue>", fault))?;
        Ok(Self {
            policies: compiled,
            by_server: Some(by_server),
            servers,
            facts,
        })
    }

    /// Every policy, in the order of [`crate::Decision::policy_index`].
    pub fn policies(&self) -> impl ExactSizeIterator<Item = PolicyView<'_>> {
        (0..self.policies.len()).map(|index| PolicyView { state: self, index })
    }

    /// The policy with this [`crate::Decision::policy_index`].
    pub fn policy(&self, index: u32) -> Option<PolicyView<'_>> {
        let index = usize::try_from(index).ok()?;
        (index < self.policies.len()).then_some(PolicyView { state: self, index })
    }

    /// Names of the servers that have a policy of their own; empty where one policy serves every server.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The policy that decides for a server, with its index.
    pub(crate) fn serving(&self, server: &str) -> Option<(u32, &CompiledPolicy)> {
        let index = match &self.by_server {
            None => 0,
            Some(by_server) => *by_server.get(server)?,
        };
        Some((index, self.policies.get(usize::try_from(index).ok()?)?))
    }

    pub(crate) const fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// What metrics and status pages may know of one policy.
#[derive(Clone, Copy, Debug)]
pub struct PolicyView<'s> {
    state: &'s State,
    index: usize,
}

impl<'s> PolicyView<'s> {
    /// The server it decides for; `None` when it serves every server.
    pub fn server(self) -> Option<&'s str> {
        self.state.servers.get(self.index).map(String::as_str)
    }

    /// Its name.
    pub fn name(self) -> &'s str {
        self.compiled().map_or("", |policy| &policy.name)
    }

    /// First 12 hex digits of the SHA-256 of the canonical document.
    pub fn version(self) -> &'s str {
        self.compiled().map_or("", CompiledPolicy::version)
    }

    /// The tools it spells out, in the order of [`crate::Decision::tool_index`].
    pub fn tools(self) -> &'s [String] {
        self.compiled().map_or(&[], |policy| policy.names.listed())
    }

    fn compiled(self) -> Option<&'s CompiledPolicy> {
        self.state.policies.get(self.index)
    }
}

/// The parser has already accepted the documents, so a fault found here belongs to the whole of one.
fn load_error(file: &str, fault: RuleFault) -> PolicyError {
    PolicyError {
        file: file.to_owned(),
        line: 1,
        column: 1,
        message: fault.message,
    }
}
