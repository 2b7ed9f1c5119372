//! Section 2, step 1: configured grants.

use super::{Desk, brief, config, policy, request};
use crate::engine::{FORCED_PANIC_TOOL, Setup};
use crate::grant::{GrantSpec, Token, TokenKey, TokenSpec};
use crate::policy::Catalogue;
use crate::{Args, Caller, Decision, Now, Pep, PepId, Request, ReservationId, State};

pub(super) const HOUR_US: u64 = 3_600_000_000;

const VOUCHING: Pep = Pep {
    id: PepId(1),
    vouches: true,
};

fn key() -> TokenKey {
    TokenKey::new([8; 32])
}

fn spec(id: &str) -> GrantSpec {
    GrantSpec {
        id: id.to_owned(),
        tokens: vec![key().digest(Token::new(&format!("cgt_{id}"))).into()],
        server: "one".to_owned(),
        policy: Some("p".to_owned()),
        servers: Vec::new(),
        labels: vec![("team".to_owned(), "ops".to_owned())],
        expires_at_us: None,
        revoked: false,
    }
}

/// Servers `one`, `two` and `srv`; a grant for each way to be one.
pub(super) fn setup() -> Setup {
    let text = r#"{"version": "1", "name": "p", "default": "deny", "tools": {
        "x": {"limits": [{"counter": "c", "window": "minute", "max": 1}]},
        "ops": {"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "ops"}]}]},
        "at": {"require": [{"conditions": [{"path": "server", "op": "eq", "value": "one"}]}]},
        "me": {"require": [{"conditions": [{"path": "grant.id", "op": "eq", "value": "fine"}]}]},
        "none": {"require": [{"conditions": [{"path": "grant.labels.other", "op": "exists", "value": false}]}]}}}"#;
    let servers = ["one", "two", "srv"].map(|server| (server.to_owned(), Some("p".to_owned())));
    Setup {
        policies: vec![("p".to_owned(), "p.json".to_owned(), policy(text))],
        servers: servers.into(),
        grants: Some(vec![
            spec("fine"),
            GrantSpec {
                revoked: true,
                expires_at_us: Some(0),
                policy: None,
                ..spec("revoked")
            },
            GrantSpec {
                expires_at_us: Some(HOUR_US),
                policy: None,
                ..spec("hour")
            },
            GrantSpec {
                policy: None,
                ..spec("bare")
            },
            GrantSpec {
                server: "srv".to_owned(),
                ..spec("srv")
            },
            GrantSpec {
                tokens: Vec::new(),
                ..spec("tokenless")
            },
        ]),
        grant_key: Some(key()),
        ..Setup::default()
    }
}

pub(super) fn desk() -> Desk {
    Desk::of(State::configure(setup(), Catalogue::default()).unwrap(), config())
}

fn by_token<'a>(tool: &'a str, token: &'a str, server: &'a str) -> Request<'a> {
    Request {
        caller: Caller::new("", token, &[]),
        server,
        ..request(tool, "{}")
    }
}

fn by_id<'a>(tool: &'a str, grant: &'a str, server: &'a str) -> Request<'a> {
    Request {
        caller: Caller::named(grant),
        pep: VOUCHING,
        server,
        ..request(tool, "{}")
    }
}

#[test]
fn a_token_brings_its_grant_labels_server_and_policy() {
    let mut desk = desk();
    for server in ["one", ""] {
        for tool in ["ops", "at", "me", "none"] {
            assert_eq!(
                brief(&desk.decide(&by_token(tool, "cgt_fine", server))),
                "allow ",
                "{tool}"
            );
        }
    }
    let snapshot = desk.engine.snapshot();
    let request = by_token("x", "cgt_fine", "");
    let decision = desk.decide(&request);
    let identity = snapshot.identity(&request, &decision);
    assert_eq!((identity.grant, identity.server), ("fine", "one"));
    assert_eq!(
        (
            decision.policy.as_ref(),
            decision.policy_index,
            decision.grant_index
        ),
        ("p", Some(0), Some(0))
    );
    // Counted under the id, whichever way the grant was named.
    assert_eq!(
        brief(&desk.decide(&by_id("x", "fine", "one"))),
        "rate_limited /tools/x/limits/c"
    );
    assert_eq!(brief(&desk.decide(&by_id("x", "tokenless", "one"))), "allow ");
    assert_eq!(brief(&desk.decide(&by_token("x", "cgt_srv", ""))), "allow ");
}

#[test]
fn the_order_of_refusals() {
    let mut desk = desk();
    let mut rule = |request: &Request<'_>| {
        let decision = desk.decide(request);
        assert!(!decision.message.contains("cgt_"), "{}", decision.message);
        assert_eq!(decision.policy_index, None);
        decision.rule.into_owned()
    };
    for (token, server, expected) in [
        ("cgt_fine", "three", "(unknown server)"),
        ("nothing", "three", "(unknown server)"),
        ("nothing", "one", "(unknown grant)"),
        ("nothing", "", "(unknown grant)"),
        ("CGT_FINE", "one", "(unknown grant)"),
        ("cgt_Fine", "", "(unknown grant)"),
        ("cgt_fine ", "one", "(unknown grant)"),
        ("fine", "one", "(unknown grant)"),
        ("cgt_fine", "two", "(unknown grant)"),
        ("cgt_revoked", "two", "(unknown grant)"),
        ("cgt_revoked", "one", "(grant revoked)"),
        ("cgt_bare", "one", "(no policy)"),
        ("cgt_hour", "one", "(no policy)"),
    ] {
        assert_eq!(rule(&by_token("x", token, server)), expected, "{token} {server}");
    }
    for (grant, server, expected) in [
        ("fine", "three", "(unknown server)"),
        ("other", "one", "(unknown grant)"),
        ("FINE", "one", "(unknown grant)"),
        // No server named is `srv`: only a token brings its own.
        ("fine", "", "(unknown grant)"),
        ("revoked", "one", "(grant revoked)"),
        ("bare", "one", "(no policy)"),
    ] {
        assert_eq!(rule(&by_id("x", grant, server)), expected, "{grant} {server}");
    }
    let malformed = Request {
        args: Args::Json(b"[]"),
        ..by_token("x", "nothing", "three")
    };
    assert_eq!(rule(&malformed), "(invalid request)");
    desk.now = Now::from_unix_us(HOUR_US);
    assert_eq!(
        brief(&desk.decide(&by_token("x", "cgt_hour", "one"))),
        "deny (grant expired)"
    );
    desk.now = Now::from_unix_us(HOUR_US - 1);
    assert_eq!(
        brief(&desk.decide(&by_token("x", "cgt_hour", "one"))),
        "deny (no policy)"
    );
}

#[test]
fn a_token_past_its_end_is_answered_as_an_unknown_one() {
    let mut setup = setup();
    setup.grants.as_mut().unwrap()[0].tokens.push(TokenSpec {
        digest: key().digest(Token::new("cgt_old")),
        until_us: Some(HOUR_US),
    });
    let mut desk = Desk::of(State::configure(setup, Catalogue::default()).unwrap(), config());
    desk.now = Now::from_unix_us(HOUR_US - 1);
    for token in ["cgt_old", "cgt_fine"] {
        assert_eq!(brief(&desk.decide(&by_token("me", token, "one"))), "allow ");
    }
    desk.now = Now::from_unix_us(HOUR_US);
    assert_eq!(brief(&desk.decide(&by_token("me", "cgt_fine", "one"))), "allow ");
    for server in ["one", ""] {
        let [ended, unknown] = ["cgt_old", "cgt_no"].map(|token| desk.decide(&by_token("me", token, server)));
        assert_eq!(brief(&ended), "deny (unknown grant)");
        assert_eq!((&ended.rule, &ended.message), (&unknown.rule, &unknown.message));
        // Logs alone say whose token it was.
        assert_eq!((ended.grant_index, unknown.grant_index), (Some(0), None));
    }
}

/// The grants of `setup`, and one for the servers `one` and `two`.
pub(super) fn setup_of_several() -> Setup {
    let mut setup = setup();
    let servers = [("two", "p"), ("one", "p")].map(|(server, policy)| (server.to_owned(), policy.to_owned()));
    setup.grants.as_mut().unwrap().push(GrantSpec {
        server: String::new(),
        policy: None,
        servers: servers.into(),
        ..spec("both")
    });
    setup
}

#[test]
fn a_grant_of_several_servers_has_to_be_told_which() {
    let setup = setup_of_several();
    let mut desk = Desk::of(State::configure(setup, Catalogue::default()).unwrap(), config());
    for (server, expected) in [
        ("one", "allow "),
        ("two", "deny /tools/at/require/server-eq"),
        ("srv", "deny (unknown grant)"),
        ("three", "deny (unknown server)"),
        ("", "deny (invalid request)"),
    ] {
        for request in [by_token("at", "cgt_both", server), by_id("at", "both", server)] {
            let decision = desk.decide(&request);
            assert_eq!(brief(&decision), expected, "{request:?}");
            let snapshot = desk.engine.snapshot();
            let identity = snapshot.identity(&request, &decision);
            if server.is_empty() {
                assert_eq!(identity.grant, "both");
            } else {
                assert_eq!(identity.server, server);
            }
        }
    }
    let decision = desk.decide(&by_token("at", "cgt_both", ""));
    assert!(
        decision.message.contains("name the server"),
        "{}",
        decision.message
    );
}

#[test]
fn a_caller_is_recognised_as_a_call_of_it_would_be() {
    let mut desk = desk();
    for (token, server) in [
        ("cgt_fine", "one"),
        ("cgt_fine", ""),
        ("cgt_fine", "two"),
        ("cgt_fine", "three"),
        ("cgt_revoked", "one"),
        ("cgt_hour", "one"),
        ("cgt_bare", "one"),
        ("CGT_fine", "one"),
        ("cgt_fine", "NUL \0"),
    ] {
        let call = by_token("ops", token, server);
        let judged = brief(&desk.decide(&call));
        let no_call = Request { tool: "", ..call };
        let (snapshot, now) = (desk.engine.snapshot(), desk.now);
        let recognised = desk.engine.recognise(&snapshot, &no_call, now);
        assert_eq!(brief(&recognised), judged, "{token} {server}");
        let is_known = recognised.policy_index.is_some();
        assert_eq!(is_known, recognised.outcome == crate::Outcome::Allow);
    }
    let snapshot = desk.engine.snapshot();
    let nobody = desk.engine.recognise(&snapshot, &by_id("", "", "one"), desk.now);
    assert_eq!(nobody.rule, "(invalid request)");
}

#[test]
fn a_grant_is_named_by_its_id_only_by_who_vouches() {
    let mut desk = desk();
    let mut ask = |caller, pep| {
        desk.decide(&Request {
            caller,
            pep,
            ..by_id("ops", "fine", "one")
        })
    };
    let told = |decision: &Decision<'_>| decision.message.contains("`grant_token`");
    let not_vouching = Pep {
        vouches: false,
        ..VOUCHING
    };
    for pep in [Pep::UNNAMED, not_vouching] {
        let decision = ask(Caller::named("fine"), pep);
        assert_eq!(brief(&decision), "deny (unknown grant)");
        assert!(told(&decision), "{}", decision.message);
        assert_eq!(decision.grant_index, None, "nothing is told of who exists");
    }
    assert_eq!(brief(&ask(Caller::named("fine"), VOUCHING)), "allow ");

    let labels = [("team", "ops")];
    for caller in [
        Caller::new("fine", "", &labels),
        Caller::new("", "cgt_fine", &labels),
        Caller::new("fine", "cgt_fine", &[]),
        Caller::new("", "", &[]),
    ] {
        assert_eq!(
            brief(&ask(caller, VOUCHING)),
            "deny (invalid request)",
            "{caller:?}"
        );
    }
}

#[test]
fn a_token_in_the_place_of_a_name_is_not_repeated() {
    let mut desk = desk();
    let token = "cgt_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
    for request in [by_id("ops", token, "one"), by_id("ops", "fine", token)] {
        let message = desk.decide(&request).message.into_owned();
        assert!(message.contains("`cgt_0123...`"), "{message}");
        assert!(!message.contains("01234"), "{message}");
    }
}

#[test]
fn without_configured_grants_a_token_is_nobody_s() {
    let mut setup = setup();
    setup.grants = None;
    setup.servers.push(("bare".to_owned(), None));
    let mut desk = Desk::of(State::configure(setup, Catalogue::default()).unwrap(), config());
    assert_eq!(
        brief(&desk.decide(&by_token("x", "cgt_fine", "one"))),
        "deny (unknown grant)"
    );
    assert_eq!(
        brief(&desk.decide(&by_token("x", "cgt_fine", "three"))),
        "deny (unknown server)"
    );
    let labels = [("team", "ops")];
    let named = Request {
        caller: Caller::Named {
            grant: "anyone",
            labels: &labels,
        },
        ..by_id("ops", "", "two")
    };
    assert_eq!(brief(&desk.decide(&named)), "allow ");
    let both = Request {
        caller: Caller::new("anyone", "cgt_fine", &[]),
        ..named
    };
    assert_eq!(brief(&desk.decide(&both)), "deny (invalid request)");
    assert_eq!(
        brief(&desk.decide(&Request {
            server: "bare",
            ..named
        })),
        "deny (no policy)"
    );
}

#[test]
fn an_empty_list_of_grants_is_nobody() {
    let setup = || Setup {
        grants: Some(Vec::new()),
        ..setup()
    };
    let mut desk = Desk::of(State::configure(setup(), Catalogue::default()).unwrap(), config());
    let nobody = |desk: &mut Desk| {
        let asked = [
            by_id("x", "anyone", "one"),
            by_id("x", "fine", "one"),
            by_token("x", "cgt_fine", "one"),
            by_token("x", "cgt_fine", ""),
        ];
        for request in asked {
            for pep in [VOUCHING, Pep::UNNAMED] {
                let decision = desk.decide(&Request { pep, ..request });
                assert_eq!(brief(&decision), "deny (unknown grant)", "{request:?}");
            }
        }
    };
    nobody(&mut desk);
    // Labels are a grant's here, as where there is one.
    let labelled = Request {
        caller: Caller::new("anyone", "", &[("team", "ops")]),
        ..by_id("x", "", "one")
    };
    assert_eq!(brief(&desk.decide(&labelled)), "deny (invalid request)");

    let without = Setup {
        grants: None,
        ..setup()
    };
    desk.engine
        .reload(State::configure(without, Catalogue::default()).unwrap());
    assert_eq!(brief(&desk.decide(&by_id("x", "anyone", "one"))), "allow ");
    desk.engine
        .reload(State::configure(setup(), Catalogue::default()).unwrap());
    nobody(&mut desk);
}

#[test]
fn a_reload_revokes_and_keeps_counts() {
    let mut desk = desk();
    let request = by_token("x", "cgt_fine", "one");
    assert_eq!(brief(&desk.decide(&request)), "allow ");
    let mut changed = setup();
    changed.grants.as_mut().unwrap()[0].revoked = true;
    desk.engine
        .reload(State::configure(changed, Catalogue::default()).unwrap());
    assert_eq!(brief(&desk.decide(&request)), "deny (grant revoked)");
    desk.engine
        .reload(State::configure(setup(), Catalogue::default()).unwrap());
    assert_eq!(brief(&desk.decide(&request)), "rate_limited /tools/x/limits/c");
}

#[test]
fn a_state_that_is_read_is_not_retired() {
    let desk = desk();
    let read = desk.engine.snapshot();
    let new = || State::configure(setup(), Catalogue::default()).unwrap();
    desk.engine.reload(new());
    assert!(desk.engine.take_retired().is_empty());
    drop(read);
    assert_eq!(desk.engine.take_retired().len(), 1);
    desk.engine.reload(new());
    desk.engine.reload(new());
    assert_eq!(
        desk.engine.take_retired().len(),
        1,
        "the one before was freed by the reload"
    );
}

#[test]
fn a_reservation_is_settled_by_who_reserved() {
    let mut desk = desk();
    let (other, id) = (PepId(2), ReservationId::new);
    let held = |number| Request {
        reserve: Some(id(number)),
        ..by_id("x", "fine", "one")
    };
    assert_eq!(brief(&desk.decide(&held(1))), "allow ");
    assert!(!desk.engine.roll_back(id(1), other, desk.now));
    assert!(!desk.engine.commit(id(1), Pep::UNNAMED.id, desk.now));
    assert_eq!(brief(&desk.decide(&held(2))), "rate_limited /tools/x/limits/c");
    assert!(desk.engine.roll_back(id(1), VOUCHING.id, desk.now));
    assert_eq!(brief(&desk.decide(&held(3))), "allow ");
    assert!(desk.engine.commit(id(3), VOUCHING.id, desk.now));
    assert!(!desk.engine.roll_back(id(3), VOUCHING.id, desk.now));
}

#[test]
fn a_panic_is_a_denial_and_the_engine_goes_on() {
    let mut desk = desk();
    let failed = desk.decide(&by_token(FORCED_PANIC_TOOL, "cgt_fine", ""));
    assert_eq!(brief(&failed), "deny (internal error)");
    assert_eq!(brief(&desk.decide(&by_token("x", "cgt_fine", ""))), "allow ");
}
