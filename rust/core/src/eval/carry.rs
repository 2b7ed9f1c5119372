//! Counts that this node has kept alone before nodes shared them: their units go to the store (`docs/scaling.md`).
//!
//! A count's identity is a hash, under one key here and under another one at the store. So a count is carried over if all values
//! that it is kept by can be named: grants, tools and servers that the configuration or the operator names. All others are
//! counted, so that nothing is lost in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use callgate_counters::lease::{BringError, Brought, BroughtCount, Shared, SharedPolicy};
use callgate_counters::{KeyHasher, Sharing};

use super::admission::AdmittedRequest;
use super::limits::{self, Keys};
use crate::Now;
use crate::compile::{CompiledLimit, CompiledPolicy};
use crate::engine::Engine;
use crate::grant::Grant;
use crate::policy::ast::Scope;
use crate::request::DEFAULT_SERVER;
use crate::state::State;

/// The longest time for which the counts of one policy are carried over.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names by which counts may be kept, beside those of the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct CarryNames<'n> {
    /// Ids of grants.
    pub grants: &'n [String],
    /// Names of tools.
    pub tools: &'n [String],
}

/// The numbers of counts of this node with units in use, by outcome of the move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovedCounts {
    /// Counts whose units were added to those of the store.
    pub moved: usize,
    /// Counts whose units were added before.
    pub known: usize,
    /// Counts that this node goes on keeping alone.
    pub local: usize,
    /// Counts whose values cannot be named: of limits by session or argument, and of grants and tools that nobody has named.
    pub left: usize,
}

/// Counts that were not carried over.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// No counts are shared.
    #[error("no counters are shared here; expected `counters.shared` in the configuration")]
    NotShared,
    /// The counters are in memory.
    #[error(
        "the counters of this callgate are in memory, so it has none of before; expected `counters.store` to name the file that \
         was in use"
    )]
    InMemory,
    /// The store does not answer.
    #[error("the counters of policy `{policy}`: {reason}; {moved} counters were moved before")]
    Store {
        /// Name of the policy.
        policy: String,
        /// The reason.
        reason: BringError,
        /// Counts of policies before it.
        moved: usize,
    },
}

/// The counts of one policy that go to the store, by their keys here.
type Moving = BTreeMap<u128, BroughtCount>;

impl Engine {
    /// Adds the units of shared counts that this node has kept alone so far to those of the store, each count once. Blocks as
    /// long as the store takes.
    pub fn carry_over(
        &self,
        state: &State,
        names: &CarryNames<'_>,
        now: Now,
    ) -> Result<MovedCounts, CarryError> {
        let counters = self.store();
        let store = counters.shared().ok_or(CarryError::NotShared)?;
        let hash_key = *counters.hash_key().ok_or(CarryError::InMemory)?;
        let in_use: BTreeSet<u128> = counters.in_use(now).into_iter().map(|key| key.0).collect();
        let resets = counters.resets();
        let mut grants: Vec<&str> = state.grants().iter().map(Grant::id).collect();
        grants.extend(names.grants.iter().map(String::as_str));
        let mut servers: Vec<&str> = state.servers().iter().map(String::as_str).collect();
        servers.push(DEFAULT_SERVER);
        let mut local: BTreeSet<u128> = BTreeSet::new();
        let mut all: Vec<(Arc<SharedPolicy>, Moving)> = Vec::new();
        for policy in state.compiled_policies() {
            let tools = names.tools.iter().map(String::as_str);
            let spelled = policy.names.spelled().iter().map(String::as_str);
            let values = Values {
                grants: &grants,
                tools: &tools.chain(spelled).collect::<Vec<_>>(),
                servers: &servers,
            };
            let shared = policy.shared.get();
            let shared_resets = shared.and_then(|shared| shared.resets.current());
            let here = Keys {
                hash_key: &hash_key,
                shared_key: None,
                resets: resets.as_deref(),
                shared_resets: shared_resets.as_deref(),
                early: &[],
            };
            let mut moving = Moving::new();
            for (limit, is_shared) in limits_of(policy) {
                let there = Keys {
                    shared_key: Some(store.hash_key()),
                    ..here
                };
                values.each(limit, |call| {
                    let Ok(key) = limits::key(call, None, here, limit) else {
                        return;
                    };
                    if !in_use.contains(&key.0) {
                        return;
                    }
                    if !is_shared {
                        local.insert(key.0);
                    } else if let Ok(there) = limits::key(call, None, there, limit) {
                        moving.entry(key.0).or_insert_with(|| BroughtCount {
                            key: there,
                            shape: limit.shape(true),
                            units: counters.units_in_use(key, now),
                        });
                    }
                });
            }
            if let Some(shared) = shared.filter(|_| !moving.is_empty()) {
                all.push((Arc::clone(shared), moving));
            }
        }
        let moved: BTreeSet<u128> = all
            .iter()
            .flat_map(|(_, moving)| moving.keys().copied())
            .collect();
        local.retain(|key| !moved.contains(key));
        let mut carried = MovedCounts {
            local: local.len(),
            left: in_use.len() - moved.len() - local.len(),
            ..MovedCounts::default()
        };
        let source = source(&hash_key);
        for (policy, moving) in all {
            let counts = moving.into_values().filter(|count| !count.units.is_empty());
            match Shared::bring(store, &policy, &source, counts.collect(), PATIENCE) {
                Ok(Brought { added, known }) => {
                    carried.moved += added;
                    carried.known += known;
                }
                Err(reason) => {
                    return Err(CarryError::Store {
                        policy: policy.name.clone(),
                        reason,
                        moved: carried.moved,
                    });
                }
            }
        }
        Ok(carried)
    }
}

/// A word for the counters of this node, which does not tell their key.
fn source(hash_key: &[u8; 16]) -> String {
    // No specification is zero, so no count has this identity.
    let mut hasher = KeyHasher::new(hash_key, &[0; 16]);
    hasher.str("source");
    format!("{:032x}", hasher.finish().0)
}

/// The limits of a policy, each with true if nodes share its counts. What is in shadow is counted by each node alone.
fn limits_of(policy: &CompiledPolicy) -> impl Iterator<Item = (&CompiledLimit, bool)> {
    policy.places().flat_map(|place| {
        let limits = policy.limits_of(place);
        limits.map(|(_, limit)| (limit, limit.shape.sharing != Sharing::Local && !place.shadowed))
    })
}

/// The values by which counts may be kept.
struct Values<'v> {
    grants: &'v [&'v str],
    tools: &'v [&'v str],
    servers: &'v [&'v str],
}

impl Values<'_> {
    /// Calls `work` with a call for each count of a limit that can be named; of a limit by session for calls without one.
    fn each(&self, limit: &CompiledLimit, mut work: impl FnMut(&AdmittedRequest<'_>)) {
        if limit.scope.iter().any(|part| matches!(part, Scope::Args(_))) {
            return;
        }
        let any = [""].as_slice();
        let grants = if limit.counts_by_grant() { self.grants } else { any };
        let tools = if limit.counts_by_tool() { self.tools } else { any };
        let is_by_server = limit.scope.contains(&Scope::Server);
        let servers = if is_by_server { self.servers } else { any };
        for grant in grants {
            for tool in tools {
                for server in servers {
                    work(&AdmittedRequest::of_names(grant, tool, server));
                }
            }
        }
    }
}
