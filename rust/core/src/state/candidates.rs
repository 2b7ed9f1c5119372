//! Candidates: policies that are weighed beside the policies of servers, and decide nothing (`docs/replay.md`).

use std::sync::Arc;

use hashbrown::HashMap;

use super::setup::{SetupError, expected};
use super::{Servers, Serving, Servings, State, load_error};
use crate::compile::{CompiledPolicy, Facts};
use crate::grant::Grants;
use crate::policy::ast;

/// The end of the name of a candidate, so that its counts are not those of a policy that decides.
const SUFFIX: &str = "#candidate";

/// A policy that is weighed beside the policies of some servers.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Decides for every server alike, with labels from its callers.
    state: State,
    servers: Vec<String>,
}

/// The candidates of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    list: Vec<Candidate>,
}

impl Candidate {
    /// Its state: one policy for every server, and no grants, so that callers bring their labels.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The servers beside whose policy it is weighed.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The name of the policy, which ends with `#candidate`.
    pub fn name(&self) -> &str {
        self.compiled().map_or("", |policy| &policy.name)
    }

    /// First 12 hex digits of the SHA-256 of the canonical document.
    pub fn version(&self) -> &str {
        self.compiled().map_or("", CompiledPolicy::version)
    }

    /// SHA-256 of the canonical document, 64 hex digits.
    pub fn digest_hex(&self) -> &str {
        self.compiled().map_or("", |policy| &policy.digest_hex)
    }

    fn compiled(&self) -> Option<&CompiledPolicy> {
        self.state.compiled_policies().first()
    }
}

impl Candidates {
    /// Every candidate with the servers beside whose policy it is weighed.
    pub fn list(&self) -> &[Candidate] {
        &self.list
    }

    /// True if no server has one.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Assembles compiled candidates, which share the facts of the catalogue.
    pub(super) fn build(compiled: Vec<(CompiledPolicy, Vec<String>)>, facts: &Arc<Facts>) -> Self {
        let candidate = |(policy, servers): (CompiledPolicy, Vec<String>)| Candidate {
            state: State {
                generation: 0,
                policies: [policy].into(),
                by_key: Arc::default(),
                servings: Arc::new(Servings::from(vec![Serving {
                    server: None,
                    policy: 0,
                }])),
                servers: Arc::new(Servers::Every),
                grants: Grants::unconfigured(),
                facts: Arc::clone(facts),
                rate_limits: Arc::default(),
                candidates: Arc::default(),
            },
            servers,
        };
        Self {
            list: compiled.into_iter().map(candidate).collect(),
        }
    }
}

/// A document that servers name as their candidate: its file, the policy, and these servers.
pub(super) type Document = (String, ast::Policy, Vec<String>);

/// Finds the documents that servers name as candidates, each once. `policies` are those of the configuration, by key, with the
/// names of their files.
pub(super) fn documents(
    candidates: Vec<(String, String)>,
    policies: &[(String, String, ast::Policy)],
) -> Result<Vec<Document>, SetupError> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut found: Vec<Document> = Vec::new();
    for (server, key) in candidates {
        if let Some((.., servers)) = places.get(&key).and_then(|place| found.get_mut(*place)) {
            servers.push(server);
            continue;
        }
        let Some((_, file, policy)) = policies.iter().find(|(known, ..)| *known == key) else {
            let known = policies.iter().map(|(known, ..)| known.as_str());
            let message = format!("unknown candidate `{key}`; {}", expected("policy", known));
            return Err(SetupError::Server { server, message });
        };
        let mut policy = policy.clone();
        policy.name.push_str(SUFFIX);
        places.insert(key, found.len());
        found.push((file.clone(), policy, vec![server]));
    }
    Ok(found)
}

/// Compiles the documents of candidates.
pub(super) fn compile(documents: Vec<Document>) -> Result<Vec<(CompiledPolicy, Vec<String>)>, SetupError> {
    let compiled = documents.into_iter().map(|(file, policy, servers)| {
        let policy = CompiledPolicy::build(policy).map_err(|fault| load_error(&file, fault))?;
        Ok((policy, servers))
    });
    compiled.collect()
}
