//! Calls generated from policies: for each tool, some that meet its rules and some that break each of them.
//!
//! Candidates are tried on a separate engine that takes no units, until one is decided as intended: only the engine
//! knows the meaning of a policy. If none is found the last one stays, because a load test can use any call.

mod draft;
mod leaves;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod values;

use callgate_core::engine::{Engine, EngineConfig, Explanation, Policies, Scratch, State};
use callgate_core::policy::ast::{Policy, Schema};
use callgate_core::policy::{Catalogue, ToolFacts};
use callgate_core::{Now, Outcome};
use callgate_proto::decision::v1::CheckRequest;
use serde_json::Value;

use super::random::Random;
use crate::error::LoadError;
use draft::{Draft, with_core};
use leaves::{Group, groups, rules_of};

/// The highest number of distinct grants, and so of generated calls.
const MAX_GRANTS: usize = 1_000_000;

/// Attempts to find a call that is decided as intended.
const MAX_TRIES: usize = 200;

/// Distinct calls per tool that meet the rules.
const MEETING: usize = 4;

/// Tools that no policy names.
const UNKNOWN_TOOLS: usize = 3;

/// Monday, 2 March 2026, 12:00 UTC: rules about the time of day are evaluated in office hours.
const NOW: Now = Now::from_unix_us(1_772_452_800_000_000);

/// The settings of the generator.
#[derive(Clone, Copy, Debug)]
pub struct Generate {
    /// Distinct grants: `grant-000001` and so on.
    pub grants: usize,
    /// The seed; the same seed gives the same calls.
    pub seed: u64,
}

/// Generates calls.
pub(super) fn generate(
    policies: Policies,
    catalogue: Catalogue,
    how: Generate,
) -> Result<Vec<CheckRequest>, LoadError> {
    if !(1..=MAX_GRANTS).contains(&how.grants) {
        return Err(LoadError::Option(format!(
            "`grants` is {}: expected 1 to {MAX_GRANTS}",
            how.grants
        )));
    }
    let documents: Vec<(Option<String>, Policy)> = match &policies {
        Policies::EveryServer(policy) => vec![(None, policy.clone())],
        Policies::ByServer(list) => list
            .iter()
            .map(|(server, policy)| (Some(server.clone()), policy.clone()))
            .collect(),
    };
    let facts = catalogue.clone();
    let mut maker = Maker {
        oracle: Oracle::new(State::build(policies, catalogue)?),
        random: Random::new(how.seed),
    };
    let mut drafts = Vec::new();
    for (server, policy) in &documents {
        for (server, tool, facts) in tools(server.as_deref(), policy, &facts) {
            maker.drafts_of(server.as_deref(), &tool, facts.as_ref(), policy, &mut drafts);
        }
        for number in 1..=UNKNOWN_TOOLS {
            let tool = format!("no-such-tool-{number}");
            drafts.push(Draft::new(server.as_deref(), &tool, Value::Null));
        }
    }
    let mut requests: Vec<_> = (0..drafts.len().max(how.grants))
        .zip(drafts.iter().cycle())
        .map(|(number, draft)| draft.request(&format!("grant-{:06}", number % how.grants + 1)))
        .collect();
    maker.random.shuffle(&mut requests);
    Ok(requests)
}

/// The tools of the calls: those that the policy names, one for each of its patterns, and those of the catalogue.
fn tools(
    server: Option<&str>,
    policy: &Policy,
    catalogue: &Catalogue,
) -> Vec<(Option<String>, String, Option<ToolFacts>)> {
    let of_server = |wanted: &str| catalogue.servers.get(wanted).into_iter().flatten();
    let mut known: Vec<(Option<String>, String, Option<ToolFacts>)> = Vec::new();
    let shared = catalogue.every_server.iter();
    known.extend(shared.map(|(tool, facts)| (server.map(str::to_owned), tool.clone(), Some(facts.clone()))));
    for (name, tools) in &catalogue.servers {
        if server.is_none_or(|server| server == name) {
            let tools = tools.iter();
            known.extend(tools.map(|(tool, facts)| (Some(name.clone()), tool.clone(), Some(facts.clone()))));
        }
    }
    // Maps have no order, and the same seed must give the same calls.
    known.sort_by(|(a, b, _), (c, d, _)| (a, b).cmp(&(c, d)));
    for pattern in policy
        .tools
        .iter()
        .map(|entry| &entry.pattern)
        .chain(&policy.hide)
    {
        let name = text::name_of(pattern);
        if !known.iter().any(|(_, tool, _)| *tool == name) {
            let facts = of_server(callgate_core::request::DEFAULT_SERVER)
                .find(|(tool, _)| **tool == name)
                .map(|(_, facts)| facts.clone());
            known.push((server.map(str::to_owned), name, facts));
        }
    }
    known
}

struct Maker {
    oracle: Oracle,
    random: Random,
}

impl Maker {
    /// Adds calls that meet the rules of a tool, and as many that break one.
    fn drafts_of(
        &mut self,
        server: Option<&str>,
        tool: &str,
        facts: Option<&ToolFacts>,
        policy: &Policy,
        drafts: &mut Vec<Draft>,
    ) {
        let rules = rules_of(policy, tool, facts.and_then(|facts| facts.category));
        let groups = groups(&rules, &mut self.random);
        let inline = rules.iter().find_map(|rules| match &rules.schema {
            Some(Schema::Inline(schema)) => Some(schema),
            Some(Schema::Input) | None => None,
        });
        let schema = inline.or_else(|| facts.and_then(|facts| facts.input_schema.as_ref()));
        let mut meeting: Vec<Draft> = Vec::new();
        for _ in 0..MEETING {
            let args = schema.map_or(Value::Null, |schema| schema::fitting(schema, &mut self.random));
            let draft = self.meet(Draft::new(server, tool, args), &groups);
            if !meeting.contains(&draft) {
                meeting.push(draft);
            }
        }
        let mut breaking = Vec::new();
        if let Some(base) = meeting.first() {
            for group in &groups {
                for leaf in 0..group.len() {
                    breaking.extend(self.violate(base, group, leaf..leaf + 1));
                }
                if group.len() > 1 {
                    breaking.extend(self.violate(base, group, 0..group.len()));
                }
            }
        }
        let repeated = meeting.len().max(breaking.len());
        drafts.extend(meeting.into_iter().cycle().take(repeated));
        drafts.extend(breaking);
    }

    /// A call that is not denied, if one can be found.
    fn meet(&mut self, mut draft: Draft, groups: &[Group<'_>]) -> Draft {
        // A path that contains other paths is set before them.
        let mut leaves: Vec<_> = groups.iter().flatten().collect();
        leaves.sort_by_key(|leaf| leaf.path.steps.len());
        for leaf in &leaves {
            let value = self.random.pick(&leaf.good).cloned().flatten();
            draft.set(leaf.path, value);
        }
        for _ in 0..MAX_TRIES {
            let explanation = self.oracle.explain(&draft);
            if explanation.decision.outcome != Outcome::Deny {
                break;
            }
            // Choose anew what the denying check reads; everything, if the explanation does not name it.
            let looked_at = explanation.steps.last().map_or(&[][..], |step| &step.conditions);
            let guilty: Vec<_> = leaves
                .iter()
                .filter(|leaf| looked_at.is_empty() || looked_at.iter().any(|met| met.path == leaf.path.text))
                .collect();
            let Some(leaf) = self.random.pick(&guilty) else {
                break;
            };
            // Sometimes from the other side: a value between two bounds may be listed with either.
            let side = if self.random.below(4) == 0 {
                &leaf.bad
            } else {
                &leaf.good
            };
            let value = self.random.pick(side).cloned().flatten();
            draft.set(leaf.path, value);
        }
        draft
    }

    /// The same call with some conditions of a check inverted, if that denies it or requires an approval.
    fn violate(&mut self, base: &Draft, group: &Group<'_>, which: std::ops::Range<usize>) -> Option<Draft> {
        let before = self.oracle.explain(base).decision;
        let most = group.iter().map(|leaf| leaf.bad.len()).max().unwrap_or(0);
        for number in 0..most * which.len().min(4) {
            let mut draft = base.clone();
            for leaf in group.get(which.clone())? {
                let value = if number < most {
                    leaf.bad.get(number % leaf.bad.len().max(1))
                } else {
                    self.random.pick(&leaf.bad)
                };
                draft.set(leaf.path, value.cloned().flatten());
            }
            let after = self.oracle.explain(&draft).decision;
            if (after.outcome, &after.rule) != (before.outcome, &before.rule) {
                return Some(draft);
            }
        }
        None
    }
}

/// An engine that explains the decision on a draft.
struct Oracle {
    engine: Engine,
    scratch: Scratch,
}

impl Oracle {
    fn new(state: State) -> Self {
        let config = EngineConfig {
            counter_capacity: 1_024,
            counters_per_grant: 1_024,
            reservation_ttl_ms: 1,
            reservations: callgate_counters::ReservationLimits::in_all(1),
            hash_key: [0; 16],
        };
        Self {
            engine: Engine::new(state, config),
            scratch: Scratch::default(),
        }
    }

    fn explain(&mut self, draft: &Draft) -> Explanation {
        let snapshot = self.engine.snapshot();
        let request = draft.request("grant");
        with_core(&request, |request| {
            self.engine.explain(&snapshot, request, NOW, &mut self.scratch)
        })
    }
}
