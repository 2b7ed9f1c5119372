//! Cells by label values: bounded, whatever callers send, and never lost in a reload.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use callgate_core::{Decision, Outcome, State};

use super::PolicyInfo;
use super::pace::Pace;
use super::parts::Parts;

/// `server` where one policy serves every server: the names are the callers'.
const ANY_SERVER: &str = "(any)";
/// `server` of servers that nobody configured.
const UNKNOWN_SERVER: &str = "(unknown)";
/// `tool` of tools that the policy names neither in full nor by a pattern, and the value of anything beyond [`MAX_CELLS`].
const OTHER: &str = "(other)";

/// Label sets of one metric. Policies bound them, but many reloads could still add up.
const MAX_CELLS: usize = 100_000;

/// Parts of a tool's cell: few, because there may be many tools.
const TOOL_PARTS: usize = 4;

/// Decisions on one tool of one server.
#[derive(Debug, Default)]
pub(super) struct ToolCell(Parts<[AtomicU64; Outcome::ALL.len()], TOOL_PARTS>);

impl ToolCell {
    pub(super) fn count(&self, outcome: Outcome) {
        if let Some(cell) = self.0.own().and_then(|cells| cells.get(index(outcome))) {
            count(cell);
        }
    }

    /// The decisions with this outcome.
    pub(super) fn decisions(&self, outcome: Outcome) -> u64 {
        self.0.sum(|cells| cells.get(index(outcome)))
    }
}

fn index(outcome: Outcome) -> usize {
    let index = Outcome::ALL.into_iter().position(|one| one == outcome);
    index.unwrap_or_default()
}

/// Denials by one rule at one server.
#[derive(Debug, Default)]
pub(super) struct RuleCell {
    pub(super) count: AtomicU64,
    pub(super) pace: Pace,
}

type RuleCells = HashMap<String, Arc<RuleCell>>;

/// The cells of one server.
#[derive(Debug)]
pub(super) struct ServerCells {
    pub(super) server: String,
    // By `Decision::tool_index`, then the rest.
    tools: Vec<Arc<ToolCell>>,
    other: Arc<ToolCell>,
    rules: Arc<ArcSwap<RuleCells>>,
}

impl ServerCells {
    pub(super) fn tool(&self, decision: &Decision<'_>) -> &ToolCell {
        let index = decision.tool_index.and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.tools.get(index))
            .unwrap_or(&self.other)
    }

    /// The cell of a rule; the map is copied when a rule denies for the first time, and only read from then on.
    pub(super) fn rule(&self, rule: &str) -> Arc<RuleCell> {
        let known = self.rules.load();
        if let Some(cell) = known.get(rule) {
            return Arc::clone(cell);
        }
        let rule = if known.len() < MAX_CELLS { rule } else { OTHER };
        let fresh = Arc::new(RuleCell::default());
        self.rules.rcu(|rules| {
            let mut rules = RuleCells::clone(rules);
            rules.entry(rule.to_owned()).or_insert_with(|| Arc::clone(&fresh));
            rules
        });
        self.rules.load().get(rule).map_or(fresh, Arc::clone)
    }
}

/// The cells that belong to one compiled state, by its indexes.
#[derive(Debug)]
pub(super) struct Table {
    // By `Decision::policy_index`.
    policies: Vec<ServerCells>,
    // Of calls that were refused before a policy was reached.
    servers: HashMap<String, ServerCells>,
    unknown: ServerCells,
}

impl Table {
    /// `asked` is called where no policy decided, and says which server was meant.
    pub(super) fn server<'s>(
        &self,
        decision: &Decision<'_>,
        asked: impl FnOnce() -> &'s str,
    ) -> &ServerCells {
        let index = decision
            .policy_index
            .and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.policies.get(index))
            .or_else(|| self.servers.get(asked()))
            .unwrap_or(&self.unknown)
    }
}

/// Every cell there ever was, by its labels.
#[derive(Debug, Default)]
pub(super) struct Registry {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    tools: BTreeMap<String, BTreeMap<String, Arc<ToolCell>>>,
    tool_cells: usize,
    rules: BTreeMap<String, Arc<ArcSwap<RuleCells>>>,
}

impl Registry {
    /// The table of a state: cells whose labels are known go on counting.
    pub(super) fn table(&self, state: &State) -> Table {
        let mut known = self.lock();
        let mut serves_every = false;
        let policies = state
            .policies()
            .map(|policy| {
                serves_every |= policy.server().is_none();
                known.server(policy.server().unwrap_or(ANY_SERVER), policy.tools_and_patterns())
            })
            .collect();
        let servers = state.servers().iter();
        let servers = servers
            .map(|server| (server.clone(), known.server(server, &[])))
            .collect();
        let unknown = known.server(if serves_every { ANY_SERVER } else { UNKNOWN_SERVER }, &[]);
        Table {
            policies,
            servers,
            unknown,
        }
    }

    /// Visits every tool's cell with its server and name.
    pub(super) fn each_tool(&self, mut visit: impl FnMut(&str, &str, &ToolCell)) {
        for (server, tools) in &self.lock().tools {
            for (tool, cell) in tools {
                visit(server, tool, cell);
            }
        }
    }

    /// Visits every rule's cell with its server and rule pointer.
    pub(super) fn each_rule(&self, mut visit: impl FnMut(&str, &str, &RuleCell)) {
        for (server, rules) in &self.lock().rules {
            for (rule, cell) in rules.load().iter() {
                visit(server, rule, cell);
            }
        }
    }

    /// Locks the maps, also after a panic: no step under the lock leaves them half-changed.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn server(&mut self, server: &str, tools: &[String]) -> ServerCells {
        ServerCells {
            server: server.to_owned(),
            tools: tools.iter().map(|tool| self.tool(server, tool)).collect(),
            other: self.tool(server, OTHER),
            rules: Arc::clone(self.rules.entry(server.to_owned()).or_default()),
        }
    }

    fn tool(&mut self, server: &str, tool: &str) -> Arc<ToolCell> {
        let tools = self.tools.entry(server.to_owned()).or_default();
        if let Some(cell) = tools.get(tool) {
            return Arc::clone(cell);
        }
        let tool = if self.tool_cells < MAX_CELLS { tool } else { OTHER };
        self.tool_cells += 1;
        Arc::clone(tools.entry(tool.to_owned()).or_default())
    }
}

/// Adds one. Relaxed: a count that publishes nothing else.
pub(super) fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

/// The policies of a state, under the labels that its decisions get.
pub(super) fn policies(state: &State) -> Vec<PolicyInfo> {
    state
        .policies()
        .map(|policy| PolicyInfo {
            server: policy.server().unwrap_or(ANY_SERVER).to_owned(),
            policy: policy.name().to_owned(),
            version: policy.version().to_owned(),
        })
        .collect()
}
