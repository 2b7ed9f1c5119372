//! Section 2, step 1: callers that callgate has made out by the token of an issuer.

use super::grants::{HOUR_US, desk, setup, setup_of_several};
use super::{Desk, brief, config, request};
use crate::engine::Setup;
use crate::grant::GrantSpec;
use crate::policy::Catalogue;
use crate::{Caller, Now, Request, State};

const OPS: [(&str, &str); 1] = [("team", "ops")];

fn issued<'a>(
    tool: &'a str,
    grant: &'a str,
    labels: &'a [(&'a str, &'a str)],
    server: &'a str,
) -> Request<'a> {
    Request {
        caller: Caller::Issued { grant, labels },
        server,
        ..request(tool, "{}")
    }
}

/// The same servers, without any grant: no list, or an empty one.
fn desk_without_grants(grants: Option<Vec<GrantSpec>>) -> Desk {
    let setup = Setup { grants, ..setup() };
    Desk::of(State::configure(setup, Catalogue::default()).unwrap(), config())
}

#[test]
fn a_configured_grant_of_that_id_is_the_caller() {
    let mut desk = desk();
    // Its labels, and not those of the proof.
    let other = [("team", "sales"), ("other", "x")];
    for tool in ["ops", "at", "me", "none"] {
        assert_eq!(
            brief(&desk.decide(&issued(tool, "fine", &other, "one"))),
            "allow ",
            "{tool}"
        );
    }
    for (grant, rule) in [
        ("revoked", "(grant revoked)"),
        ("bare", "(no policy)"),
        ("hour", "(no policy)"),
    ] {
        let decision = desk.decide(&issued("x", grant, &OPS, "one"));
        assert_eq!((decision.rule.as_ref(), decision.policy_index), (rule, None));
        assert!(decision.grant_index.is_some(), "{grant}");
    }
    desk.now = Now::from_unix_us(HOUR_US);
    assert_eq!(
        desk.decide(&issued("x", "hour", &OPS, "one")).rule,
        "(grant expired)"
    );
}

#[test]
fn who_is_locked_out_at_one_server_is_so_at_all_of_them() {
    let decision_at = |server| {
        desk()
            .decide(&issued("ops", "revoked", &OPS, server))
            .rule
            .into_owned()
    };
    assert_eq!(
        ["one", "two"].map(decision_at),
        ["(grant revoked)", "(grant revoked)"]
    );
}

#[test]
fn a_list_of_servers_is_the_whole_of_what_its_caller_may_use() {
    let setup = setup_of_several();
    let mut desk = Desk::of(State::configure(setup, Catalogue::default()).unwrap(), config());
    for (server, expected) in [
        ("one", "allow "),
        ("srv", "deny (unknown grant)"),
        ("three", "deny (unknown server)"),
        ("", "deny (invalid request)"),
    ] {
        assert_eq!(
            brief(&desk.decide(&issued("ops", "both", &OPS, server))),
            expected,
            "{server}"
        );
    }
}

#[test]
fn anybody_else_falls_under_the_server_s_own_policy() {
    for mut desk in [
        desk(),
        desk_without_grants(None),
        desk_without_grants(Some(Vec::new())),
    ] {
        // `srv` is a grant of another server.
        for grant in ["somebody", "srv"] {
            let ops = issued("ops", grant, &OPS, "one");
            let decision = desk.decide(&ops);
            assert_eq!(brief(&decision), "allow ", "{grant}");
            assert_eq!((decision.grant_index, decision.policy.as_ref()), (None, "p"));
            let state = desk.engine.snapshot();
            let identity = state.identity(&ops, &decision);
            assert_eq!((identity.grant, identity.server), (grant, "one"));
            assert_eq!(
                brief(&desk.decide(&issued("ops", grant, &[("team", "sales")], "one"))),
                "deny /tools/ops/require/grant.labels.team-eq"
            );
            assert_eq!(
                brief(&desk.decide(&issued("ops", grant, &[], "one"))),
                "deny /tools/ops/require/grant.labels.team-eq"
            );
            // Units are its own.
            assert_eq!(brief(&desk.decide(&issued("x", grant, &[], "one"))), "allow ");
            assert_eq!(
                brief(&desk.decide(&issued("x", grant, &[], "one"))),
                "rate_limited /tools/x/limits/c"
            );
        }
        let decision = desk.decide(&issued("x", "somebody", &OPS, "nowhere"));
        assert_eq!(brief(&decision), "deny (unknown server)");
    }
}

#[test]
fn a_server_without_a_policy_of_its_own_serves_configured_grants_alone() {
    let servers = [("one", None), ("two", Some("p".to_owned())), ("srv", None)];
    let setup = Setup {
        servers: servers.map(|(name, policy)| (name.to_owned(), policy)).into(),
        ..setup()
    };
    let mut desk = Desk::of(State::configure(setup, Catalogue::default()).unwrap(), config());
    assert_eq!(
        brief(&desk.decide(&issued("x", "somebody", &OPS, "one"))),
        "deny (no policy)"
    );
    assert_eq!(brief(&desk.decide(&issued("x", "fine", &OPS, "one"))), "allow ");
    assert_eq!(
        brief(&desk.decide(&issued("x", "somebody", &OPS, "two"))),
        "allow "
    );
}

#[test]
fn a_proof_of_nobody_is_no_request() {
    let mut desk = desk();
    for grant in ["", "a\0b"] {
        let request = issued("x", grant, &OPS, "one");
        assert_eq!(brief(&desk.decide(&request)), "deny (invalid request)");
        let state = desk.engine.snapshot();
        assert!(desk.engine.listing(&state, &request, desk.now).is_none());
    }
}

#[test]
fn lists_are_those_of_the_same_caller() {
    let desk = desk();
    let state = desk.engine.snapshot();
    let shows = |grant| {
        let request = issued("", grant, &OPS, "one");
        let listing = desk.engine.listing(&state, &request, desk.now)?;
        Some((listing.could_allow("ops"), listing.could_allow("unknown")))
    };
    assert_eq!(shows("somebody"), Some((true, false)));
    assert_eq!(shows("fine"), Some((true, false)));
    assert_eq!(shows("revoked"), None);
}
