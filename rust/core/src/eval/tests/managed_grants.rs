//! Managed grants: they change while a state is in force, and stay when another is loaded.

use super::{Desk, brief, config, policy, request};
use crate::engine::Setup;
use crate::grant::{GrantChange, GrantSpec};
use crate::policy::Catalogue;
use crate::{Caller, Pep, PepId, State};

/// A state with these servers, and these policies under their names; `loaded` is a grant of the configuration.
fn state(servers: &[&str], policies: &[&str]) -> State {
    let one = |name: &&str| {
        let text = format!(
            r#"{{"version": "1", "name": "{name}", "default": "allow", "tools": {{
                "x": {{"limits": [{{"counter": "c", "window": "minute", "max": 1}}]}}}}}}"#
        );
        ((*name).to_owned(), format!("{name}.json"), policy(&text))
    };
    let setup = Setup {
        policies: policies.iter().map(one).collect(),
        servers: servers
            .iter()
            .map(|server| ((*server).to_owned(), None))
            .collect(),
        grants: Some(vec![spec("loaded", "a", "p")]),
        ..Setup::default()
    };
    State::configure(setup, Catalogue::default()).unwrap()
}

fn spec(id: &str, server: &str, policy: &str) -> GrantSpec {
    GrantSpec {
        id: id.to_owned(),
        tokens: Vec::new(),
        server: server.to_owned(),
        policy: Some(policy.to_owned()),
        servers: Vec::new(),
        labels: Vec::new(),
        expires_at_us: None,
        revoked: false,
    }
}

fn put(id: &str, server: &str, policy: &str) -> GrantChange {
    GrantChange::Put(spec(id, server, policy))
}

impl Desk {
    /// `outcome rule policy` of a call of tool `t` for a grant at a server.
    fn of_grant(&mut self, tool: &str, grant: &str, server: &str) -> String {
        let request = crate::Request {
            caller: Caller::named(grant),
            pep: Pep {
                id: PepId(1),
                vouches: true,
            },
            server,
            ..request(tool, "{}")
        };
        let decision = self.decide(&request);
        format!("{} {}", brief(&decision), decision.policy)
    }
}

#[test]
fn a_changed_grant_is_in_force_at_once_and_keeps_its_counts() {
    let mut desk = Desk::of(state(&["a", "b"], &["p", "q"]), config());
    assert_eq!(desk.of_grant("t", "new", "a"), "deny (unknown grant) ");
    let before = desk.engine.snapshot().generation();
    assert_eq!(desk.engine.change_grants([put("new", "a", "q")]), []);
    assert_eq!(desk.engine.snapshot().generation(), before + 1);
    assert_eq!(desk.of_grant("x", "new", "a"), "allow  q");
    assert_eq!(desk.of_grant("x", "new", "a"), "rate_limited /tools/x/limits/c q");
    assert_eq!(desk.of_grant("t", "new", "b"), "deny (unknown grant) ");
    let mut labelled = spec("new", "a", "q");
    labelled.labels.push(("team".to_owned(), "ops".to_owned()));
    assert_eq!(desk.engine.change_grants([GrantChange::Put(labelled)]), []);
    assert_eq!(desk.of_grant("x", "new", "a"), "rate_limited /tools/x/limits/c q");
    let revoked = GrantSpec {
        revoked: true,
        ..spec("new", "a", "q")
    };
    assert_eq!(desk.engine.change_grants([GrantChange::Put(revoked)]), []);
    assert_eq!(desk.of_grant("t", "new", "a"), "deny (grant revoked) ");
    assert_eq!(
        desk.engine.change_grants([GrantChange::Remove("new".to_owned())]),
        []
    );
    assert_eq!(desk.of_grant("t", "new", "a"), "deny (unknown grant) ");
    assert_eq!(desk.of_grant("t", "loaded", "a"), "allow  p");
}

#[test]
fn what_was_compiled_is_shared_unless_a_policy_decides_at_another_server() {
    let desk = Desk::of(state(&["a", "b"], &["p", "q"]), config());
    let before = desk.engine.snapshot();
    assert_eq!(desk.engine.change_grants([put("one", "a", "p")]), []);
    let same = desk.engine.snapshot();
    assert!(same.decides_as(&before));
    assert_eq!(desk.engine.change_grants([put("two", "b", "q")]), []);
    let more = desk.engine.snapshot();
    assert!(!more.decides_as(&before));
    assert_eq!((before.policies().len(), more.policies().len()), (1, 2));
    let added = more.policy(1).unwrap();
    assert_eq!((added.server(), added.name()), (Some("b"), "q"));
    assert!(before.policy(1).is_none());
}

#[test]
fn managed_grants_stay_when_another_state_is_loaded() {
    let mut desk = Desk::of(state(&["a", "b"], &["p", "q"]), config());
    let changes = [put("one", "a", "p"), put("two", "b", "q"), put("early", "c", "r")];
    assert_eq!(desk.engine.change_grants(changes), []);
    let unserved = |desk: &Desk| {
        let state = desk.engine.snapshot();
        let mut faults: Vec<_> = state
            .grants()
            .managed()
            .filter_map(|grant| Some(format!("{}: {}", grant.id(), state.unserved(grant)?)))
            .collect();
        faults.sort();
        faults
    };
    assert_eq!(unserved(&desk), ["early: unknown server `c`"]);
    assert_eq!(desk.of_grant("t", "early", "c"), "deny (unknown server) ");
    // Other indexes of servers and policies, and all names are there.
    desk.engine.reload(state(&["c", "b", "a"], &["r", "q", "p"]));
    assert_eq!(desk.of_grant("t", "one", "a"), "allow  p");
    assert_eq!(desk.of_grant("t", "two", "b"), "allow  q");
    assert_eq!(desk.of_grant("t", "early", "c"), "allow  r");
    assert_eq!(unserved(&desk), [""; 0]);
    // Then a policy and a server are gone, and come again.
    desk.engine.reload(state(&["a", "c"], &["p"]));
    assert_eq!(desk.of_grant("t", "one", "a"), "allow  p");
    assert_eq!(desk.of_grant("t", "two", "b"), "deny (unknown server) ");
    assert_eq!(desk.of_grant("t", "early", "c"), "deny (no policy) ");
    assert_eq!(
        unserved(&desk),
        ["early: unknown policy `r`", "two: unknown server `b`"]
    );
    desk.engine.reload(state(&["a", "b", "c"], &["p", "q", "r"]));
    assert_eq!(desk.of_grant("t", "two", "b"), "allow  q");
    assert_eq!(desk.of_grant("t", "early", "c"), "allow  r");
}
