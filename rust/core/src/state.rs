//! The compiled state, swapped as a whole.

mod candidates;
mod grants;
mod servings;
mod setup;

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::Decision;
use crate::compile::{CompileError, CompiledPolicy, Facts};
use crate::grant::Grants;
use crate::policy::{Catalogue, PolicyError, ast};
use crate::rate::RateLimits;
use crate::request::{Caller, DEFAULT_SERVER, Request};

pub use candidates::{Candidate, Candidates};
use servings::{Serving, Servings};
pub use setup::{Setup, SetupError};

/// The assignment of policies to servers.
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

/// The compiled state: policies, servers, grants, the catalogue and rate limits. Swapped as a whole.
///
/// A copy shares all that is compiled with its original.
#[derive(Clone, Debug)]
pub struct State {
    /// 0 until the engine puts the state in force.
    pub(crate) generation: u64,
    policies: Arc<[CompiledPolicy]>,
    /// Indexes of the policies by the key that grants name them by.
    by_key: Arc<ByKey>,
    servings: Arc<Servings>,
    servers: Arc<Servers>,
    grants: Grants,
    facts: Arc<Facts>,
    rate_limits: Arc<RateLimits>,
    candidates: Arc<Candidates>,
}

type ByKey = HashMap<String, u32>;

/// The servers that are known.
#[derive(Debug)]
enum Servers {
    /// Every name is a server, and the first serving decides.
    Every,
    /// The names of all servers.
    Named(NamedServers),
}

/// Servers by name. The names come from the operator, so a fixed hasher is safe.
#[derive(Debug, Default)]
struct NamedServers {
    names: Vec<String>,
    by_name: HashMap<String, u32, FixedState>,
    /// For each server, the serving that decides for callers without configured grants.
    servings: Vec<Option<u32>>,
}

/// The reason why no policy decides for callers without configured grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// No server has this name.
    UnknownServer,
    /// The server has no policy for such callers.
    NoPolicy,
}

/// The grant that a call was charged to, and the server of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Id of the grant; empty if a token was sent that belongs to no grant.
    pub grant: &'a str,
    /// Name of the server.
    pub server: &'a str,
}

impl State {
    /// Returns a state that shares everything with this one and has not been in force.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            generation: 0,
            ..self.clone()
        }
    }

    /// Compiles policies against a catalogue, without grants. Two policies of one name are an error: counts are kept by
    /// policy name, and two policies never share one (`docs/policy.md` section 4).
    pub fn build(policies: Policies, catalogue: Catalogue) -> Result<Self, PolicyError> {
        let list = match policies {
            Policies::EveryServer(policy) => {
                let policy = CompiledPolicy::build(policy).map_err(|fault| load_error("<policy>", fault))?;
                let facts = build_facts(catalogue, [&policy])?;
                return Ok(Self {
                    generation: 0,
                    policies: [policy].into(),
                    by_key: Arc::default(),
                    servings: Arc::new(Servings::from(vec![Serving {
                        server: None,
                        policy: 0,
                    }])),
                    servers: Arc::new(Servers::Every),
                    grants: Grants::unconfigured(),
                    facts: Arc::new(facts),
                    rate_limits: Arc::default(),
                    candidates: Arc::default(),
                });
            }
            Policies::ByServer(list) => list,
        };
        let mut by_name: HashMap<String, String> = HashMap::new();
        let mut servers = NamedServers::default();
        let mut compiled = Vec::with_capacity(list.len());
        let mut servings = Vec::with_capacity(list.len());
        for (server, policy) in list {
            let index = index_of(&compiled);
            if servers.by_name.insert(server.clone(), index).is_some() {
                return Err(load_error(
                    &server,
                    CompileError::new("a second policy for this server, expected one"),
                ));
            }
            if let Some(earlier) = by_name.insert(policy.name.clone(), server.clone()) {
                let message = format!(
                    "policy name `{}` is taken by the policy of server `{earlier}`, expected names of their own because \
                     counts are kept by policy name; give one of them another `name`",
                    policy.name,
                );
                return Err(load_error(&server, CompileError::new(message)));
            }
            compiled.push(CompiledPolicy::build(policy).map_err(|fault| load_error(&server, fault))?);
            servings.push(Serving {
                server: Some(index),
                policy: index,
            });
            servers.servings.push(Some(index));
            servers.names.push(server);
        }
        let facts = build_facts(catalogue, &compiled)?;
        Ok(Self {
            generation: 0,
            policies: compiled.into(),
            by_key: Arc::default(),
            servings: Arc::new(Servings::from(servings)),
            servers: Arc::new(Servers::Named(servers)),
            grants: Grants::unconfigured(),
            facts: Arc::new(facts),
            rate_limits: Arc::default(),
            candidates: Arc::default(),
        })
    }

    /// Returns the sequence number of this state among those of the engine: a later state has a greater number.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns every policy with its server, in the order of [`Decision::policy_index`].
    pub fn policies(&self) -> impl ExactSizeIterator<Item = PolicyView<'_>> {
        self.servings.list.iter().map(|serving| PolicyView {
            state: self,
            serving: *serving,
        })
    }

    /// Returns the names of the policies by which a call can need a person's approval.
    pub fn asking_policies(&self) -> impl Iterator<Item = &str> {
        let asking = self.policies.iter().filter(|policy| policy.may_ask());
        asking.map(|policy| policy.name.as_str())
    }

    /// Returns the policy with this [`Decision::policy_index`], at its server.
    pub fn policy(&self, index: u32) -> Option<PolicyView<'_>> {
        let serving = self.servings.list.get(usize::try_from(index).ok()?)?;
        Some(PolicyView {
            state: self,
            serving: *serving,
        })
    }

    /// Returns the names of the known servers; empty if one policy serves every server.
    pub fn servers(&self) -> &[String] {
        match &*self.servers {
            Servers::Every => &[],
            Servers::Named(servers) => &servers.names,
        }
    }

    /// Returns the configured grants.
    pub const fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Returns the configured rate limits.
    pub fn rate_limits(&self) -> &RateLimits {
        &self.rate_limits
    }

    /// Returns the candidates of servers.
    pub const fn candidates(&self) -> &Arc<Candidates> {
        &self.candidates
    }

    /// Returns whether the policy with this [`Decision::policy_index`] is the server's own: that for callers without configured
    /// grants, by whomever it was named.
    pub fn is_own_policy(&self, server: &str, policy_index: u32) -> bool {
        let policy = |index: u32| Some(self.servings.list.get(usize::try_from(index).ok()?)?.policy);
        let own = self.serving(server).ok().and_then(|(index, _)| policy(index));
        own.is_some() && own == policy(policy_index)
    }

    /// Returns the grant that the call was charged to, and the server of the call, for logs.
    pub fn identity<'a>(&'a self, request: &Request<'a>, decision: &Decision<'_>) -> Identity<'a> {
        let configured = decision.grant_index.and_then(|index| self.grants.get(index));
        let grant = match (configured, request.caller) {
            (Some(grant), _) => grant.id(),
            (None, Caller::Named { grant, .. } | Caller::Issued { grant, .. }) => grant,
            (None, Caller::Token(_) | Caller::Contradictory) => "",
        };
        let server = match (configured, request.caller) {
            _ if !request.server.is_empty() => request.server,
            (Some(grant), Caller::Token(_)) => grant.own_server().unwrap_or_default(),
            // No well-formed call, and nothing says for which server.
            (None, Caller::Named { grant: "", .. }) => "",
            _ => DEFAULT_SERVER,
        };
        Identity { grant, server }
    }

    /// Returns the policy that decides for callers without configured grants, with its index.
    pub(crate) fn serving(&self, server: &str) -> Result<(u32, &CompiledPolicy), Unserved> {
        let index = match &*self.servers {
            Servers::Every => Some(0),
            Servers::Named(servers) => {
                let server = servers.by_name.get(server).ok_or(Unserved::UnknownServer)?;
                let server = usize::try_from(*server).ok();
                server.and_then(|server| *servers.servings.get(server)?)
            }
        };
        index
            .and_then(|index| Some((index, self.compiled(index)?)))
            .ok_or(Unserved::NoPolicy)
    }

    /// Returns the compiled policy with this [`Decision::policy_index`].
    pub(crate) fn compiled(&self, index: u32) -> Option<&CompiledPolicy> {
        let serving = self.servings.list.get(usize::try_from(index).ok()?)?;
        self.policies.get(usize::try_from(serving.policy).ok()?)
    }

    /// Returns every policy once, whatever number of servers it decides at.
    pub(crate) fn compiled_policies(&self) -> &[CompiledPolicy] {
        &self.policies
    }

    /// Returns whether a grant may call at a server: it is there, is not revoked, and is for this server.
    pub fn grant_serves(&self, grant: u32, server: &str) -> bool {
        let grant = self.grants.get(grant).filter(|grant| !grant.is_revoked());
        let server = self.server_index(server);
        grant
            .zip(server)
            .is_some_and(|(grant, server)| grant.is_for(server))
    }

    pub(crate) fn server_index(&self, server: &str) -> Option<u32> {
        match &*self.servers {
            Servers::Every => None,
            Servers::Named(servers) => servers.by_name.get(server).copied(),
        }
    }

    pub(crate) fn server_name(&self, index: u32) -> Option<&str> {
        let name = self.servers().get(usize::try_from(index).ok()?)?;
        Some(name)
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// The facts about one policy at one server that metrics and status pages show.
#[derive(Clone, Copy, Debug)]
pub struct PolicyView<'s> {
    state: &'s State,
    serving: Serving,
}

impl<'s> PolicyView<'s> {
    /// Returns the server at which the policy decides; `None` if it serves every server.
    pub fn server(self) -> Option<&'s str> {
        self.state.server_name(self.serving.server?)
    }

    /// Returns the name of the policy.
    pub fn name(self) -> &'s str {
        self.compiled().map_or("", |policy| &policy.name)
    }

    /// Returns the first 12 hex digits of the SHA-256 of the canonical document.
    pub fn version(self) -> &'s str {
        self.compiled().map_or("", CompiledPolicy::version)
    }

    /// Returns the tools that the policy names in full.
    pub fn tools(self) -> &'s [String] {
        self.compiled().map_or(&[], |policy| policy.names.spelled())
    }

    /// Returns the tools that the policy names, in full and then by patterns, in the order of
    /// [`crate::Decision::tool_index`].
    pub fn tools_and_patterns(self) -> &'s [String] {
        self.compiled().map_or(&[], |policy| policy.names.listed())
    }

    fn compiled(self) -> Option<&'s CompiledPolicy> {
        self.state
            .policies
            .get(usize::try_from(self.serving.policy).ok()?)
    }
}

/// Returns the index of the next element. Nobody has 2^32 servers or policies.
fn index_of<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

fn build_facts<'p>(
    catalogue: Catalogue,
    policies: impl IntoIterator<Item = &'p CompiledPolicy>,
) -> Result<Facts, PolicyError> {
    let with_schemas = policies.into_iter().any(CompiledPolicy::asks_input_schema);
    Facts::build(catalogue, with_schemas).map_err(|fault| load_error("<catalogue>", fault))
}

/// Converts a fault of compilation. The parser has already accepted the documents, so the fault belongs to the whole
/// document.
fn load_error(file: &str, fault: CompileError) -> PolicyError {
    PolicyError {
        file: file.to_owned(),
        line: 1,
        column: 1,
        message: fault.message,
    }
}
