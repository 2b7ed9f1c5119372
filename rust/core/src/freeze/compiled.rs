//! Freezes as calls meet them.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{Freeze, FreezeScope, format_seconds};
use crate::policy::NamePattern;

/// Freezes by what they stop; of several for the same, the one that ends last.
#[derive(Clone, Debug, Default)]
pub struct Freezes {
    all: Option<Stop>,
    servers: ByName<Stop>,
    grants: ByName<Stop>,
    tools: ByName<Vec<(NamePattern, Stop)>>,
}

/// The names come from the operator, so a fixed hasher is safe.
type ByName<V> = HashMap<Box<str>, V, FixedState>;

/// The reason and the end of a freeze.
#[derive(Clone, Debug)]
struct Stop {
    reason: Box<str>,
    until_us: Option<u64>,
}

impl Freezes {
    /// Compiles freezes in any order.
    pub fn new<'f>(freezes: impl IntoIterator<Item = &'f Freeze>) -> Self {
        let mut compiled = Self::default();
        for freeze in freezes {
            let stop = Stop {
                reason: freeze.reason().into(),
                until_us: freeze.until_us(),
            };
            match freeze.scope() {
                FreezeScope::All => keep_later(&mut compiled.all, stop),
                FreezeScope::Server(server) => insert(&mut compiled.servers, server, stop),
                FreezeScope::Grant(grant) => insert(&mut compiled.grants, grant, stop),
                FreezeScope::Tool { server, matcher, .. } => {
                    let tools = compiled.tools.entry(server.as_str().into()).or_default();
                    tools.push((matcher.clone(), stop));
                }
            }
        }
        compiled
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.servers.is_empty() && self.grants.is_empty() && self.tools.is_empty()
    }

    /// The message for a call that a freeze stops at a time: that of the first in the order all, server, grant, tool; of
    /// several patterns of tools, that of the one that ends last. Without a tool, the first three.
    pub fn message(&self, server: &str, grant: &str, tool: &str, unix_us: u64) -> Option<String> {
        let holds = |stop: &&Stop| stop.until_us.is_none_or(|until_us| unix_us < until_us);
        if let Some(stop) = self.all.as_ref().filter(holds) {
            return Some(stop.message("all calls of tools"));
        }
        if let Some(stop) = self.servers.get(server).filter(holds) {
            return Some(stop.message("all calls at this server"));
        }
        if let Some(stop) = self.grants.get(grant).filter(holds) {
            return Some(stop.message("all calls of this caller"));
        }
        let tools = self.tools.get(server).filter(|_| !tool.is_empty())?;
        let matching = tools.iter().filter(|(pattern, _)| pattern.matches(tool));
        let latest = matching.map(|(_, stop)| stop).max_by_key(|stop| stop.end());
        latest
            .filter(holds)
            .map(|stop| stop.message("all calls of this tool"))
    }
}

impl Stop {
    /// The end, for comparison: none is the latest.
    fn end(&self) -> u64 {
        self.until_us.unwrap_or(u64::MAX)
    }

    // A model reads it: it names nothing that only operators can do.
    fn message(&self, calls: &str) -> String {
        let reason = &self.reason;
        match self.until_us {
            Some(until_us) => format!(
                "an operator has stopped {calls} until {}; do not repeat this one before then; the reason: {reason}",
                format_seconds(until_us)
            ),
            None => format!("an operator has stopped {calls}; do not repeat this one; the reason: {reason}"),
        }
    }
}

fn insert(stops: &mut ByName<Stop>, name: &str, stop: Stop) {
    match stops.get_mut(name) {
        Some(before) if before.end() >= stop.end() => {}
        Some(before) => *before = stop,
        None => {
            stops.insert(name.into(), stop);
        }
    }
}

fn keep_later(before: &mut Option<Stop>, stop: Stop) {
    if before.as_ref().is_none_or(|before| before.end() < stop.end()) {
        *before = Some(stop);
    }
}
