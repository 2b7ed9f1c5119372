//! Calls that wait for an approval: the freezes and grants of the moment at which they are settled (`docs/policy.md`
//! section 6), and units that cannot be taken any more.

use super::{Desk, brief, config, policy, request};
use crate::approval::{Answer, Decided, HeldCall};
use crate::engine::Setup;
use crate::freeze::{Freeze, FreezeScope, FreezeSource};
use crate::grant::{GrantChange, GrantSpec};
use crate::policy::Catalogue;
use crate::{Caller, Decision, EngineConfig, Pep, PepId, Request, State};

const MOST: usize = 100_000;
/// The end of the grant, and an instant before it.
const END_MS: u64 = 60_000;

fn spec() -> GrantSpec {
    GrantSpec {
        id: "new".to_owned(),
        tokens: Vec::new(),
        server: "a".to_owned(),
        policy: Some("p".to_owned()),
        servers: Vec::new(),
        labels: Vec::new(),
        expires_at_us: Some(END_MS * 1_000),
        revoked: false,
    }
}

/// An engine with one managed grant, whose tool `x` asks and takes the one unit of a limit.
fn desk() -> Desk {
    let text = r#"{"version": "1", "name": "p", "default": "deny", "tools": {
        "x": {"action": "require_approval", "limits": [{"counter": "c", "window": "hour", "max": 1}]},
        "y": {"limits": [{"counter": "c", "window": "hour", "max": 1}]}}}"#;
    let setup = Setup {
        policies: vec![("p".to_owned(), "p.json".to_owned(), policy(text))],
        servers: vec![("a".to_owned(), None)],
        grants: Some(Vec::new()),
        ..Setup::default()
    };
    let desk = Desk::of(State::configure(setup, Catalogue::default()).unwrap(), config());
    assert_eq!(desk.engine.change_grants([GrantChange::Put(spec())]), []);
    desk
}

fn of_grant(tool: &str) -> Request<'_> {
    Request {
        caller: Caller::named("new"),
        pep: Pep {
            id: PepId(1),
            vouches: true,
        },
        server: "a",
        ..request(tool, "{}")
    }
}

impl Desk {
    /// A call that asks, and waits.
    fn hold(&mut self, request: &Request<'_>) -> HeldCall {
        let state = self.engine.snapshot();
        match self
            .engine
            .decide_or_ask(&state, request, self.now, &mut self.scratch, MOST, |_| ())
        {
            Decided::Asked(held) => *held,
            Decided::Decision(decision) => panic!("not asked: {decision:?}"),
        }
    }

    /// Changes the engine between the question about a call and its answer.
    fn after(
        &mut self,
        request: &Request<'_>,
        answer: &Answer,
        change: impl FnOnce(&mut Self),
    ) -> Decision<'static> {
        let state = self.engine.snapshot();
        let held = self.hold(request);
        change(self);
        self.engine
            .settle_answered(&state, held.looked, Some(answer), None, self.now)
            .into_owned()
    }
}

fn approved() -> Answer {
    Answer::Approved { id: "a".to_owned() }
}

/// Every answer, and the decision that it leads to where nothing has changed.
fn answers() -> [(Answer, &'static str); 6] {
    let (id, rule) = ("a".to_owned(), "/tools/x/approval".to_owned());
    [
        (approved(), "allow "),
        (
            Answer::Denied {
                id: id.clone(),
                rule: rule.clone(),
                reason: String::new(),
                until_us: 0,
            },
            "deny /tools/x/approval",
        ),
        (
            Answer::Waiting {
                id,
                rule,
                approvers: Vec::new(),
                until_us: 0,
            },
            "approval_required /tools/x/approval",
        ),
        (Answer::AtCapacity { of_grant: true }, "deny (approval capacity)"),
        (Answer::TooManyWait { of_grant: true }, "deny (approval capacity)"),
        (Answer::Unavailable, "deny (approval store unavailable)"),
    ]
}

fn freeze(desk: &Desk) {
    let scope = FreezeScope::new(None, None, Some("new")).unwrap();
    let freeze = Freeze::new(scope, "stop", None).unwrap();
    desk.engine.set_freezes(FreezeSource::Program, vec![freeze]);
}

#[test]
fn an_answer_is_worth_nothing_where_the_call_was_stopped_meanwhile() {
    type Change = fn(&mut Desk);
    let changes: [(&str, Change); 6] = [
        ("deny (grant revoked)", |desk| {
            let revoked = GrantSpec {
                revoked: true,
                ..spec()
            };
            assert_eq!(desk.engine.change_grants([GrantChange::Put(revoked)]), []);
        }),
        ("deny (grant expired)", |desk| {
            desk.at_ms(END_MS);
        }),
        ("deny (grant expired)", |desk| {
            let shorter = GrantSpec {
                expires_at_us: Some(0),
                ..spec()
            };
            assert_eq!(desk.engine.change_grants([GrantChange::Put(shorter)]), []);
        }),
        ("deny (unknown grant)", |desk| {
            let removed = GrantChange::Remove("new".to_owned());
            assert_eq!(desk.engine.change_grants([removed]), []);
        }),
        ("deny (frozen)", |desk| freeze(desk)),
        // What is known of the caller comes first, as for every call.
        ("deny (grant expired)", |desk| {
            freeze(desk);
            desk.at_ms(END_MS);
        }),
    ];
    for (answer, undisturbed) in answers() {
        let mut desk = desk();
        let decision = desk.after(&of_grant("x"), &answer, |desk| {
            desk.at_ms(END_MS - 1);
        });
        assert_eq!(brief(&decision), undisturbed);
        for (expected, change) in changes {
            let mut desk = self::desk();
            let decision = desk.after(&of_grant("x"), &answer, change);
            assert_eq!(brief(&decision), expected, "{answer:?}");
            assert_eq!((decision.approval.as_ref(), decision.fingerprint), ("", None));
            // Back as it was, the one unit is there.
            desk.at_ms(0);
            desk.engine.set_freezes(FreezeSource::Program, Vec::new());
            assert_eq!(desk.engine.change_grants([GrantChange::Put(spec())]), []);
            assert_eq!(brief(&desk.decide(&of_grant("y"))), "allow ");
        }
    }
}

#[test]
fn a_freeze_that_ended_meanwhile_stops_nothing() {
    let mut desk = desk();
    let until = |desk: &Desk, ms: u64| {
        let scope = FreezeScope::new(None, None, None).unwrap();
        let freeze = Freeze::new(scope, "stop", Some(ms * 1_000)).unwrap();
        desk.engine.set_freezes(FreezeSource::Program, vec![freeze]);
    };
    let decision = desk.after(&of_grant("x"), &approved(), |desk| {
        until(desk, 10);
        desk.at_ms(10);
    });
    assert_eq!(brief(&decision), "allow ");
}

#[test]
fn an_approved_call_meets_the_counts_of_now() {
    let mut desk = desk();
    let decision = desk.after(&of_grant("x"), &approved(), |desk| {
        assert_eq!(brief(&desk.decide(&of_grant("y"))), "allow ");
    });
    assert_eq!(brief(&decision), "rate_limited /tools/x/limits/c");
    assert_eq!(decision.retry_after_ms, Some(3_600_000));

    // No new count can be kept.
    let tight = EngineConfig {
        counters_per_grant: 1,
        ..config()
    };
    let text = r#"{"version": "1", "default": "allow", "tools": {"x": {"action": "require_approval",
        "limits": [{"counter": "c", "window": "hour", "max": 1, "scope": "args.n"}]},
        "y": {"limits": [{"counter": "c", "window": "hour", "max": 1, "scope": "args.n"}]}}}"#;
    let mut desk = Desk::of(
        State::build(super::Policies::EveryServer(policy(text)), Catalogue::default()).unwrap(),
        tight,
    );
    let decision = desk.after(&request("x", r#"{"n": 1}"#), &approved(), |desk| {
        assert_eq!(brief(&desk.decide(&request("y", r#"{"n": 2}"#))), "allow ");
    });
    assert_eq!(brief(&decision), "deny (counter capacity)");
}

#[test]
fn too_many_approvals_and_too_many_calls_are_told_apart() {
    let message = |answer: &Answer| desk().after(&of_grant("x"), answer, |_| ()).message.into_owned();
    let pending = message(&Answer::AtCapacity { of_grant: true });
    assert!(
        pending.contains("too many approvals of this grant are pending"),
        "{pending}"
    );
    for (of_grant, whose) in [(true, "calls of this grant wait"), (false, "calls wait")] {
        let waiting = message(&Answer::TooManyWait { of_grant });
        assert!(
            waiting.contains(&format!("too many {whose} for answers now")),
            "{waiting}"
        );
        assert!(!waiting.contains("pending"), "{waiting}");
    }
}
