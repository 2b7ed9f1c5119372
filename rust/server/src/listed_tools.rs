//! The tools that servers list, held against the names in their policies: a rule for a tool that does not exist protects nothing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use callgate_core::State;
use callgate_core::engine::PolicyView;
use callgate_core::nearest::probable;

/// The most tools that are kept of one server. Of a server with more, nothing is told.
const MAX_TOOLS: usize = 10_000;

/// The most warnings that are kept, so that none is told twice; policies that are reloaded often begin anew.
const MAX_TOLD: usize = 10_000;

/// The most warnings about one list.
const MAX_TOLD_OF_LIST: usize = 20;

/// The tools that servers have listed so far, and the names that were told to be missing among them.
#[derive(Debug, Default)]
pub(crate) struct ListedTools {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By server: every tool that was in one of its whole lists. Servers show more tools to some clients than to others.
    servers: HashMap<String, BTreeSet<String>>,
    /// The policy, its version and the tool of each warning.
    told: HashSet<(String, String, String)>,
}

/// A name in a policy that no server of the policy has listed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnlistedTool {
    pub(crate) policy: String,
    pub(crate) tool: String,
    /// The listed tool whose name is probably meant.
    pub(crate) nearest: Option<String>,
}

impl ListedTools {
    /// Takes the names of a whole list of a server; returns what is to be told of its policies. `servers` are all servers.
    pub(crate) fn take<'n>(
        &self,
        state: &State,
        servers: &[&str],
        server: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Vec<UnlistedTool> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner {
            servers: listed,
            told,
        } = &mut *inner;
        // Servers that are no longer configured are given up.
        listed.retain(|name, _| name == server || servers.contains(&name.as_str()));
        let tools = listed.entry(server.to_owned()).or_default();
        for name in names {
            if tools.len() < MAX_TOOLS && !tools.contains(name) {
                tools.insert(name.to_owned());
            }
        }
        let mut unlisted = Vec::new();
        for policy in state.policies() {
            if policy.server().is_some_and(|of| of != server) {
                continue;
            }
            // A policy at several servers names tools of each of them.
            let mut of_policy: Vec<&str> = match policy.server() {
                None => servers.to_vec(),
                Some(_) => state
                    .policies()
                    .filter(|other| other.name() == policy.name())
                    .filter_map(PolicyView::server)
                    .collect(),
            };
            of_policy.push(server);
            let sets: Option<Vec<&BTreeSet<String>>> = of_policy.iter().map(|one| listed.get(*one)).collect();
            let Some(sets) = sets else { continue };
            if sets.iter().any(|set| set.len() >= MAX_TOOLS) {
                continue;
            }
            for tool in policy.tools() {
                if sets.iter().any(|set| set.contains(tool)) || unlisted.len() >= MAX_TOLD_OF_LIST {
                    continue;
                }
                if told.len() >= MAX_TOLD {
                    told.clear();
                }
                let key = (
                    policy.name().to_owned(),
                    policy.version().to_owned(),
                    tool.clone(),
                );
                if told.insert(key) {
                    let known: Vec<&str> = sets
                        .iter()
                        .flat_map(|set| set.iter().map(String::as_str))
                        .collect();
                    unlisted.push(UnlistedTool {
                        policy: policy.name().to_owned(),
                        tool: tool.clone(),
                        nearest: probable(tool, &known).map(str::to_owned),
                    });
                }
            }
        }
        unlisted
    }
}

#[cfg(test)]
mod tests {
    use callgate_core::engine::Policies;
    use callgate_core::policy::{self, Catalogue};

    use super::*;

    fn one(name: &str, text: &str) -> policy::ast::Policy {
        let source = policy::Source {
            name: "p.json",
            stem: name,
            format: policy::Format::Json,
            bytes: text.as_bytes(),
        };
        policy::parse(&source).unwrap()
    }

    fn of(policies: Policies) -> State {
        State::build(policies, Catalogue::default()).unwrap()
    }

    const POLICY: &str = r#"{"version":"1","default":"deny","hide":["secret"],"tools":{"read_file":{},"write_file":{},"x_*":{}}}"#;

    fn take(
        tools: &ListedTools,
        state: &State,
        servers: &[&str],
        server: &str,
        names: &[&str],
    ) -> Vec<(String, Option<String>)> {
        let unlisted = tools.take(state, servers, server, names.iter().copied());
        unlisted.into_iter().map(|one| (one.tool, one.nearest)).collect()
    }

    #[test]
    fn a_name_that_the_server_lacks_is_told_once_with_the_nearest() {
        let state = of(Policies::ByServer(vec![("a".into(), one("p", POLICY))]));
        let tools = ListedTools::default();
        let listed = ["read_file", "writefile", "else"];
        assert_eq!(
            take(&tools, &state, &["a"], "a", &listed),
            [
                ("write_file".to_owned(), Some("writefile".to_owned())),
                ("secret".to_owned(), None)
            ]
        );
        assert_eq!(take(&tools, &state, &["a"], "a", &listed), []);
        // Another server has another policy, or none.
        assert_eq!(take(&tools, &state, &["a", "b"], "b", &["z"]), []);
    }

    #[test]
    fn what_some_clients_are_shown_counts() {
        let state = of(Policies::ByServer(vec![("a".into(), one("p", POLICY))]));
        let tools = ListedTools::default();
        let all = ["read_file", "write_file", "secret"];
        assert_eq!(take(&tools, &state, &["a"], "a", &all), []);
        assert_eq!(take(&tools, &state, &["a"], "a", &["read_file"]), []);
    }

    #[test]
    fn a_policy_of_several_servers_waits_for_all_of_them() {
        let state = of(Policies::EveryServer(one("p", POLICY)));
        let tools = ListedTools::default();
        assert_eq!(take(&tools, &state, &["a", "b"], "a", &["read_file"]), []);
        assert_eq!(
            take(&tools, &state, &["a", "b"], "b", &["secret", "write_fil"]),
            [("write_file".to_owned(), Some("write_fil".to_owned()))]
        );
    }
}
