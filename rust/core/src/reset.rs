//! Resets: counts that an operator selects by grant, policy, tool and counter.
//!
//! A count that is kept for more than what was named is left alone: a limit for all grants together is not reset for one of
//! them. Counts by session or by argument are reset for all sessions and all values.

use std::sync::Arc;
use std::time::Duration;

use callgate_counters::lease::{Shared, SharedPolicy, SharedResetError};
use callgate_counters::{Counters, ResetTarget, Sharing, StoreError};

use crate::Now;
use crate::compile::{CategoryPlace, CompiledLimit, CompiledPolicy, Place};
use crate::nearest::did_you_mean;
use crate::request::DEFAULT_SERVER;
use crate::state::State;

/// The longest time for which a reset waits for the store that nodes share.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The names that a reset is for, at least one. A count is reset if it has all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResetNames<'a> {
    /// Id of the grant.
    pub grant: Option<&'a str>,
    /// Name of the policy.
    pub policy: Option<&'a str>,
    /// Name of the tool.
    pub tool: Option<&'a str>,
    /// Name of the counter.
    pub counter: Option<&'a str>,
}

/// The result of a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The limits whose counts begin anew, at least one.
    pub limits: Vec<ResetLimit>,
    /// The limits that the names select as well, but whose counts are kept for more than what was named.
    pub kept: Vec<KeptLimit>,
    /// The number of live counters that the grant had made, if one was named: 0 for an id that nobody uses.
    pub grant_counters: Option<usize>,
}

/// One limit whose counts begin anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetLimit {
    /// Name of the policy.
    pub policy: String,
    /// Rule pointer of the limit.
    pub rule: String,
    /// Name of the counter.
    pub counter: String,
    /// True if its counts are those of all nodes that share them.
    pub is_shared: bool,
}

/// One limit that keeps its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLimit {
    /// The limit.
    pub limit: ResetLimit,
    /// The reason.
    pub reason: KeptReason,
}

/// The reason for which a limit keeps its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptReason {
    /// The limit counts all grants together.
    OtherGrants,
    /// The limit counts other tools as well.
    OtherTools,
}

impl KeptReason {
    /// The reason in words, after the name of the limit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherGrants => "counts all grants together",
            Self::OtherTools => "counts other tools as well",
        }
    }

    /// The advice to whoever wanted nothing but such limits.
    const fn advice(self) -> &'static str {
        match self {
            Self::OtherGrants => "to reset it for all, leave out the grant",
            Self::OtherTools => "to reset it for all, leave out the tool",
        }
    }
}

/// A reset that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The reset names neither a grant, a policy, a tool nor a counter.
    #[error("nothing is named; expected a grant, a policy, a tool or a counter")]
    Unnamed,
    /// No loaded policy has this name.
    #[error("no policy `{name}` is loaded{hint}")]
    UnknownPolicy {
        /// The name.
        name: String,
        /// The nearest name, as the end of a message.
        hint: String,
    },
    /// No limit has this counter.
    #[error("no limit of the loaded policies has the counter `{name}`{hint}")]
    UnknownCounter {
        /// The name.
        name: String,
        /// The nearest name, as the end of a message.
        hint: String,
    },
    /// No limit has all the names.
    #[error("no limit of the loaded policies has all of these names")]
    Unmatched,
    /// Every limit that the names select counts more than what was named.
    #[error(
        "nothing was reset: {}{} {}; {}",
        first.limit.rule,
        if *others > 0 { format!(" (and {others} more)") } else { String::new() },
        first.reason.as_str(),
        first.reason.advice()
    )]
    AllKept {
        /// The first of them.
        first: KeptLimit,
        /// The number of the others.
        others: usize,
    },
    /// The counters cannot be reset.
    #[error(transparent)]
    Counters(callgate_counters::ResetError),
    /// The counters that nodes share were not reset, or may not have been.
    #[error(
        "the shared counters of policy `{policy}`: {reason}; {}",
        if done.is_empty() {
            "no other counter was reset".to_owned()
        } else {
            format!("those of policy `{}` were reset before, and no others", done.join("`, `"))
        }
    )]
    Store {
        /// Name of the policy.
        policy: String,
        /// The reason.
        reason: SharedResetError,
        /// The names of the policies whose shared counters were reset before.
        done: Vec<String>,
    },
}

/// Converts an error of the counters' file.
pub(crate) const fn store_error(error: StoreError) -> ResetError {
    ResetError::Counters(callgate_counters::ResetError::Store(error))
}

/// The limits that names select.
#[derive(Debug)]
pub(crate) struct Selection<'s> {
    limits: Vec<SelectedLimit<'s>>,
    kept: Vec<KeptLimit>,
    has_store: bool,
}

#[derive(Debug)]
struct SelectedLimit<'s> {
    policy: &'s CompiledPolicy,
    limit: &'s CompiledLimit,
    /// The policy as nodes share it, if the limit's counts are shared.
    shared: Option<&'s Arc<SharedPolicy>>,
}

/// Selects the limits of the loaded policies that have all of these names.
pub(crate) fn select<'s>(
    state: &'s State,
    names: &ResetNames<'_>,
    has_store: bool,
) -> Result<Selection<'s>, ResetError> {
    if *names == ResetNames::default() {
        return Err(ResetError::Unnamed);
    }
    let all = state.compiled_policies();
    let policies: Vec<&CompiledPolicy> = all
        .iter()
        .filter(|policy| names.policy.is_none_or(|name| policy.name == name))
        .collect();
    if let (Some(name), true) = (names.policy, policies.is_empty()) {
        let known: Vec<&str> = all.iter().map(|policy| policy.name.as_str()).collect();
        return Err(ResetError::UnknownPolicy {
            name: name.to_owned(),
            hint: did_you_mean(name, &known),
        });
    }
    if let Some(name) = names.counter {
        let known: Vec<&str> = policies.iter().flat_map(|policy| counters_of(policy)).collect();
        if !known.contains(&name) {
            return Err(ResetError::UnknownCounter {
                name: name.to_owned(),
                hint: did_you_mean(name, &known),
            });
        }
    }
    let mut selection = Selection {
        limits: Vec::new(),
        kept: Vec::new(),
        has_store,
    };
    for policy in policies {
        let places: Vec<&Place> = match names.tool {
            Some(tool) => places_of(state, policy, tool),
            None => policy.places().collect(),
        };
        for place in places {
            for (_, limit) in policy.limits_of(place) {
                if names.counter.is_none_or(|counter| limit.counter == counter) {
                    selection.add(policy, place, limit, names);
                }
            }
        }
    }
    Ok(selection)
}

/// The counters of every limit of a policy.
fn counters_of(policy: &CompiledPolicy) -> impl Iterator<Item = &str> {
    let limits = policy.places().flat_map(|place| policy.limits_of(place));
    limits.map(|(_, limit)| limit.counter.as_str())
}

/// The places whose rules apply to a tool, at any server.
fn places_of<'s>(state: &'s State, policy: &'s CompiledPolicy, tool: &str) -> Vec<&'s Place> {
    let entry = policy.names.find(tool).entry;
    let mut places: Vec<&Place> = entry.and_then(|entry| policy.tool(entry)).into_iter().collect();
    let servers = state.servers().iter().map(String::as_str);
    for server in servers.chain([DEFAULT_SERVER]) {
        let category = state.facts().of(server, tool).and_then(|facts| facts.category);
        if let Some(CategoryPlace::Rules(place)) = category.map(|category| policy.category(category))
            && !places
                .iter()
                .any(|known| std::ptr::eq(*known, &raw const **place))
        {
            places.push(place);
        }
    }
    places.extend(policy.all_tools());
    places
}

impl<'s> Selection<'s> {
    fn add(
        &mut self,
        policy: &'s CompiledPolicy,
        place: &Place,
        limit: &'s CompiledLimit,
        names: &ResetNames<'_>,
    ) {
        // What is in shadow is counted by each node alone.
        let is_shared = self.has_store && limit.shape.sharing != Sharing::Local && !place.shadowed;
        let shared = policy.shared.get().filter(|_| is_shared);
        let reason = if names.grant.is_some() && !limit.counts_by_grant() {
            Some(KeptReason::OtherGrants)
        } else if names.tool.is_some() && !is_of_one_tool(policy, place, limit) {
            Some(KeptReason::OtherTools)
        } else {
            None
        };
        match reason {
            Some(reason) => self.kept.push(KeptLimit {
                limit: told(policy, limit, is_shared),
                reason,
            }),
            None => self.limits.push(SelectedLimit {
                policy,
                limit,
                shared,
            }),
        }
    }

    /// Resets the counts.
    pub(crate) fn perform(
        self,
        counters: &Counters,
        names: &ResetNames<'_>,
        now: Now,
    ) -> Result<Reset, ResetError> {
        let Self { limits, mut kept, .. } = self;
        if limits.is_empty() {
            if kept.is_empty() {
                return Err(ResetError::Unmatched);
            }
            let first = kept.remove(0);
            return Err(ResetError::AllKept {
                first,
                others: kept.len(),
            });
        }
        let grant_counters = names.grant.map(|grant| counters.len_of(grant));
        // First what can fail as a whole.
        reset_shared(&limits, counters, names)?;
        let local = limits.iter().filter(|one| one.shared.is_none());
        let targets = targets_of(local, names);
        if !targets.is_empty() {
            counters.reset(&targets, now).map_err(ResetError::Counters)?;
        }
        let told = |one: &SelectedLimit<'_>| told(one.policy, one.limit, one.shared.is_some());
        Ok(Reset {
            limits: limits.iter().map(told).collect(),
            kept,
            grant_counters,
        })
    }
}

/// Resets the counts that nodes share, policy by policy.
fn reset_shared(
    limits: &[SelectedLimit<'_>],
    counters: &Counters,
    names: &ResetNames<'_>,
) -> Result<(), ResetError> {
    let mut done: Vec<String> = Vec::new();
    for one in limits {
        let (Some(policy), Some(store)) = (one.shared, counters.shared()) else {
            continue;
        };
        if done.contains(&policy.name) {
            continue;
        }
        let is_of_it = |one: &&SelectedLimit<'_>| one.shared.is_some_and(|other| other.name == policy.name);
        let targets = targets_of(limits.iter().filter(is_of_it), names);
        if let Err(reason) = Shared::reset(store, policy, &targets, STORE_PATIENCE) {
            return Err(ResetError::Store {
                policy: policy.name.clone(),
                reason,
                done,
            });
        }
        done.push(policy.name.clone());
    }
    Ok(())
}

/// The counts of these limits that have the names.
fn targets_of<'t, 's: 't>(
    limits: impl Iterator<Item = &'t SelectedLimit<'s>>,
    names: &ResetNames<'t>,
) -> Vec<ResetTarget<'t>> {
    let mut limits = limits.peekable();
    let is_any = limits.peek().is_some();
    if let (
        Some(grant),
        ResetNames {
            policy: None,
            tool: None,
            counter: None,
            ..
        },
    ) = (names.grant.filter(|_| is_any), names)
    {
        // All that is kept by this grant, as one.
        return vec![ResetTarget {
            spec: None,
            grant: Some(grant),
            tool: None,
        }];
    }
    let mut targets: Vec<ResetTarget<'_>> = Vec::new();
    for SelectedLimit { limit, .. } in limits {
        let target = ResetTarget {
            spec: Some(&limit.spec),
            grant: names.grant,
            tool: names.tool.filter(|_| limit.counts_by_tool()),
        };
        // Several limits can share a count.
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

/// True if a limit that applies to a tool has counts for it alone: by its scope, or because it stands under the tool's own
/// name and shares no count with a limit elsewhere.
fn is_of_one_tool(policy: &CompiledPolicy, place: &Place, limit: &CompiledLimit) -> bool {
    let is_shared = || {
        policy
            .places()
            .filter(|other| !std::ptr::eq(*other, place))
            .any(|other| policy.limits_of(other).any(|(_, other)| other.spec == limit.spec))
    };
    limit.counts_by_tool() || limit.one_tool && !is_shared()
}

fn told(policy: &CompiledPolicy, limit: &CompiledLimit, is_shared: bool) -> ResetLimit {
    ResetLimit {
        policy: policy.name.clone(),
        rule: limit.rule.clone(),
        counter: limit.counter.clone(),
        is_shared,
    }
}
