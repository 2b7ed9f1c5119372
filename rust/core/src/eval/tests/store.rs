//! Counts that nodes share: what a call asks the store for, and what the answers lead to.

use std::sync::Arc;

use callgate_counters::lease::{Ask, Counted, Returned, Shared, TakenUnits, Verdict};
use callgate_counters::{CountKey, Demand, Micros, Sharing, View};

use super::{Desk, brief, policy, request};
use crate::approval::{Decided, HeldCall, StoreAnswer, StoreAsk};
use crate::engine::{Policies, Reset, ResetError, ResetNames};
use crate::policy::Catalogue;
use crate::{Decision, Request, State};

const UNIT: u64 = Micros::ONE.0;

/// An engine that shares counts, and its store.
struct Node {
    desk: Desk,
    shared: Arc<Shared>,
}

impl Node {
    fn rules(rules: &str) -> Self {
        let mut desk = Desk::rules(rules);
        let shared = Arc::new(Shared::new([9; 16]));
        desk.engine.share(Arc::clone(&shared));
        desk.at_ms(1_000);
        Self { desk, shared }
    }

    fn limit(more: &str) -> Self {
        Self::rules(&format!(
            r#"{{"limits": [{{"counter": "c", "window": "hour", "max": 3{more}}}]}}"#
        ))
    }

    /// Lets the lease of the policy last for a minute.
    fn lease(&self) {
        let policy = self.shared.policy("policy");
        policy.lease_until_us(60_000_000, policy.changes());
    }

    fn lend(&self, demand: &Demand, units: u64) {
        let lent = self
            .desk
            .engine
            .store()
            .lend(demand, "g1", Micros(units * UNIT), self.desk.now);
        assert_eq!(lent, Ok(()));
    }

    /// Decides a call to `x`, or holds it for the store.
    fn begin(&mut self, request: &Request<'_>) -> Result<HeldCall, Box<Decision<'static>>> {
        let state = self.desk.engine.snapshot();
        let Desk {
            engine, scratch, now, ..
        } = &mut self.desk;
        match engine.decide_or_ask(&state, request, *now, scratch, 1_000, |_| ()) {
            Decided::Asked(held) => Ok(*held),
            Decided::Decision(decision) => Err(Box::new(decision.into_owned())),
        }
    }

    fn held(&mut self) -> HeldCall {
        self.begin(&request("x", "{}")).unwrap()
    }

    fn decided(&mut self) -> String {
        brief(&self.begin(&request("x", "{}")).unwrap_err())
    }

    fn finish(&self, held: HeldCall, counted: Counted) -> Decision<'static> {
        let HeldCall {
            looked,
            question,
            store,
        } = held;
        assert!(question.is_none());
        let store = store.map(|asked| StoreAnswer { asked, counted });
        let state = self.desk.engine.snapshot();
        self.desk
            .engine
            .settle_answered(&state, looked, None, store, self.desk.now)
            .into_owned()
    }

    /// The counts whose units went back to the store.
    fn returned(&self) -> Vec<CountKey> {
        let asks = self.shared.take_asks();
        asks.into_iter()
            .filter_map(|ask| match ask {
                Ask::Return(returned) => Some(returned.key),
                _ => None,
            })
            .collect()
    }

    /// The answer of a store that takes the units of the first count of a call.
    fn granted(&self, held: &HeldCall) -> Counted {
        let [demand, ..] = &*held.store.as_ref().unwrap().demands else {
            panic!("nothing is asked for");
        };
        let taken = Returned {
            policy: 0,
            key: demand.key,
            shape: demand.shape,
            amount: demand.cost,
            stamp_us: 77,
        };
        Counted {
            verdict: Verdict::Granted,
            views: vec![View {
                remaining: Micros(2 * UNIT),
                ..View::default()
            }],
            taken: TakenUnits::new(&self.shared, vec![taken]),
            ..Counted::default()
        }
    }
}

fn asked(held: &HeldCall) -> Vec<(Sharing, u64)> {
    let store = held.store.as_ref().unwrap();
    assert_eq!((store.policy.name.as_str(), &*store.grant), ("policy", "g1"));
    let demands = store.demands.iter();
    demands
        .map(|demand| (demand.shape.sharing, demand.cost.0 / UNIT))
        .collect()
}

#[test]
fn counts_are_leased_where_there_is_a_store_unless_the_policy_says_otherwise() {
    for (more, sharing) in [
        ("", Some(Sharing::Leased)),
        (r#", "shared": "leased""#, Some(Sharing::Leased)),
        (r#", "shared": "strict""#, Some(Sharing::Strict)),
        (r#", "align": "calendar""#, Some(Sharing::Strict)),
        (r#", "shared": "local""#, None),
        (r#", "at_max": "require_approval""#, None),
        // More millionths than a store counts exactly.
        (r#", "counter": "d", "max": 9007199255"#, None),
    ] {
        let rules = format!(r#"{{"limits": [{{"counter": "c", "window": "hour", "max": 3{more}}}]}}"#);
        let rules = rules.replace(
            r#""counter": "c", "window": "hour", "max": 3, "counter""#,
            r#""window": "hour", "counter""#,
        );
        let mut node = Node::rules(&rules);
        match (node.begin(&request("x", "{}")), sharing) {
            (Ok(held), Some(sharing)) => assert_eq!(asked(&held), [(sharing, 1)], "{more}"),
            (Err(decision), None) => assert_eq!(brief(&decision), "allow ", "{more}"),
            (begun, sharing) => panic!("{more}: {begun:?}, expected {sharing:?}"),
        }
    }
}

#[test]
fn a_share_admits_calls_without_the_store() {
    let mut node = Node::limit("");
    let held = node.held();
    let [demand] = &*held.store.as_ref().unwrap().demands else {
        panic!("one count");
    };
    node.lend(demand, 2);
    assert!(
        node.begin(&request("x", "{}")).is_ok(),
        "without a lease no share counts"
    );
    node.lease();
    assert_eq!(node.decided(), "allow ");
    let last = node.begin(&request("x", "{}")).unwrap_err();
    assert_eq!(
        (brief(&last), last.limits[0].remaining),
        ("allow ".to_owned(), Micros(0))
    );
    assert_eq!(asked(&node.held()), [(Sharing::Leased, 1)]);
    // The lease ends before the window does.
    node.desk.at_ms(70_000);
    node.lend(demand, 1);
    assert_eq!(asked(&node.held()), [(Sharing::Leased, 1)]);
}

#[test]
fn a_share_that_has_grown_admits_the_call_that_waited() {
    let mut node = Node::limit("");
    node.lease();
    let held = node.held();
    node.lend(&held.store.as_ref().unwrap().demands[0].clone(), 1);
    let granted = || Counted {
        verdict: Verdict::Granted,
        views: vec![View::default()],
        ..Counted::default()
    };
    assert_eq!(brief(&node.finish(held, granted())), "allow ");
    // Another call was faster.
    let held = node.held();
    assert_eq!(
        brief(&node.finish(held, granted())),
        "rate_limited /tools/x/limits/c"
    );
    // The lease has ended meanwhile.
    let held = node.held();
    node.lend(&held.store.as_ref().unwrap().demands[0].clone(), 1);
    node.shared.policy("policy").end_lease();
    assert_eq!(
        brief(&node.finish(held, granted())),
        "deny (counter store unavailable)"
    );
    node.lease();
    assert_eq!(node.decided(), "allow ", "what was taken then is free again");
}

#[test]
fn strict_units_are_those_of_the_store() {
    let mut node = Node::limit(r#", "shared": "strict""#);
    let held = node.held();
    let granted = node.granted(&held);
    let decision = node.finish(held, granted);
    assert_eq!(brief(&decision), "allow ");
    assert_eq!(decision.limits[0].remaining, Micros(2 * UNIT));
    assert!(node.returned().is_empty(), "they are spent");
    let held = node.held();
    let refused = Counted {
        verdict: Verdict::Refused,
        views: vec![View {
            wait_us: 5_000_000,
            ..View::default()
        }],
        ..Counted::default()
    };
    let decision = node.finish(held, refused);
    assert_eq!(brief(&decision), "rate_limited /tools/x/limits/c");
    assert_eq!(decision.retry_after_ms, Some(5_000));
}

#[test]
fn strict_units_go_back_where_the_call_is_not_allowed() {
    let mut node = Node::rules(
        r#"{"limits": [{"counter": "c", "window": "hour", "max": 3, "shared": "strict"},
                       {"counter": "own", "window": "hour", "max": 1, "shared": "local"}]}"#,
    );
    let first = node.held();
    let second = node.held();
    let (one, other) = (node.granted(&first), node.granted(&second));
    assert_eq!(brief(&node.finish(first, one)), "allow ");
    assert!(node.returned().is_empty());
    let key = second.store.as_ref().unwrap().demands[0].key;
    assert_eq!(
        brief(&node.finish(second, other)),
        "rate_limited /tools/x/limits/own"
    );
    assert_eq!(node.returned(), [key]);
    // Nobody is asked for a call that this node refuses anyway.
    assert_eq!(node.decided(), "rate_limited /tools/x/limits/own");
}

#[test]
fn a_roll_back_gives_strict_units_back() {
    let mut node = Node::limit(r#", "shared": "strict""#);
    let id = crate::ReservationId::new(5);
    let call = Request {
        reserve: Some(id),
        ..request("x", "{}")
    };
    let held = node.begin(&call).unwrap();
    let granted = node.granted(&held);
    let key = held.store.as_ref().unwrap().demands[0].key;
    assert_eq!(node.finish(held, granted).reservation, Some(id));
    assert!(node.returned().is_empty());
    assert!(
        node.desk
            .engine
            .roll_back(id, crate::Pep::UNNAMED.id, node.desk.now)
    );
    assert_eq!(node.returned(), [key]);
    assert!(
        !node
            .desk
            .engine
            .roll_back(id, crate::Pep::UNNAMED.id, node.desk.now)
    );
}

#[test]
fn a_store_that_does_not_answer_refuses_unless_the_limit_says_otherwise() {
    for (more, answer) in [
        ("", "deny (counter store unavailable)"),
        (
            r#", "on_store_failure": "deny""#,
            "deny (counter store unavailable)",
        ),
        (r#", "on_store_failure": "allow""#, "allow "),
        (r#", "on_store_failure": "allow", "shared": "strict""#, "allow "),
    ] {
        let mut node = Node::limit(more);
        let held = node.held();
        assert_eq!(brief(&node.finish(held, Counted::default())), answer, "{more}");
    }
    // One limit that refuses is enough, and a limit of this node goes on.
    let mut node = Node::rules(
        r#"{"limits": [{"counter": "c", "window": "hour", "max": 3, "on_store_failure": "allow"},
                       {"counter": "d", "window": "hour", "max": 3}]}"#,
    );
    let held = node.held();
    assert_eq!(
        brief(&node.finish(held, Counted::default())),
        "deny (counter store unavailable)"
    );
    let mut node = Node::rules(
        r#"{"limits": [{"counter": "c", "window": "hour", "max": 3, "on_store_failure": "allow"},
                       {"counter": "own", "window": "hour", "max": 1, "shared": "local"}]}"#,
    );
    for answer in ["allow ", "rate_limited /tools/x/limits/own"] {
        let decision = match node.begin(&request("x", "{}")) {
            Ok(held) => node.finish(held, Counted::default()),
            Err(decision) => *decision,
        };
        assert_eq!(brief(&decision), answer);
    }
}

#[test]
fn a_refusal_of_the_store_is_remembered_for_a_moment() {
    let mut node = Node::limit("");
    node.lease();
    let key = node.held().store.unwrap().demands[0].key;
    node.shared.note_refused(key, Micros(0), 1_100_000, 9_000_000);
    let decision = node.begin(&request("x", "{}")).unwrap_err();
    assert_eq!(brief(&decision), "rate_limited /tools/x/limits/c");
    assert_eq!(decision.retry_after_ms, Some(8_000));
    node.desk.at_ms(1_101);
    assert!(node.begin(&request("x", "{}")).is_ok(), "then it is asked again");
}

#[test]
fn a_look_takes_nothing_and_knows_what_the_store_has_said() {
    let mut node = Node::limit("");
    let explain = |node: &mut Node| {
        let state = node.desk.engine.snapshot();
        let Desk {
            engine, scratch, now, ..
        } = &mut node.desk;
        let explained = engine.explain(&state, &request("x", "{}"), *now, scratch);
        let peek = engine.peek(&state, &request("x", "{}"), *now, scratch);
        let count = peek.limits[0].count.unwrap();
        (
            brief(&explained.decision),
            count.remaining.0 / UNIT,
            count.retry_after_ms,
        )
    };
    assert_eq!(
        explain(&mut node),
        ("allow ".to_owned(), 3, Some(0)),
        "nothing is known"
    );
    node.lease();
    let key = node.held().store.unwrap().demands[0].key;
    node.shared.note_left(key, Micros(UNIT));
    let held = node.held();
    node.lend(&held.store.as_ref().unwrap().demands[0].clone(), 1);
    assert_eq!(explain(&mut node), ("allow ".to_owned(), 2, Some(0)));
    assert_eq!(node.decided(), "allow ");
    assert_eq!(explain(&mut node), ("allow ".to_owned(), 1, Some(0)));
    node.shared.note_refused(key, Micros(0), 1_100_000, 9_000_000);
    let refused = "rate_limited /tools/x/limits/c".to_owned();
    assert_eq!(explain(&mut node), (refused, 0, Some(8_000)));
}

#[test]
fn the_worker_is_told_that_a_share_runs_low_each_time_that_it_has_halved() {
    let mut node = Node::rules(r#"{"limits": [{"counter": "c", "window": "hour", "max": 100000}]}"#);
    node.lease();
    let held = node.held();
    let demand = held.store.as_ref().unwrap().demands[0].clone();
    node.lend(&demand, 1_000);
    node.shared.take_asks();
    let mut told = Vec::new();
    for left in (0..1_000_u64).rev() {
        // Longer than the pace of such messages.
        node.desk.at_ms(10_000 + (1_000 - left) * 15);
        node.lease();
        assert_eq!(node.decided(), "allow ");
        let asks = node.shared.take_asks();
        if asks.iter().any(|ask| matches!(ask, Ask::Low { .. })) {
            told.push(left);
        }
    }
    assert!(told.len() < 40, "{told:?}");
    for pair in told.windows(2) {
        assert!(pair[1] * 2 + 1 >= pair[0], "{told:?}");
    }
    assert!(told.iter().any(|left| (125..=250).contains(left)), "{told:?}");
}

#[test]
fn a_reload_that_changes_limits_ends_the_lease_before_calls_meet_them() {
    let mut node = Node::limit("");
    node.lease();
    let held = node.held();
    node.lend(&held.store.as_ref().unwrap().demands[0].clone(), 3);
    assert_eq!(node.decided(), "allow ");
    let state = |max: u32| {
        let rules = format!(r#"{{"limits": [{{"counter": "c", "window": "hour", "max": {max}}}]}}"#);
        let text = format!(r#"{{"version": "1", "default": "allow", "tools": {{"x": {rules}}}}}"#);
        State::build(Policies::EveryServer(policy(&text)), Catalogue::default()).unwrap()
    };
    node.desk.engine.reload(state(3));
    assert_eq!(node.decided(), "allow ", "the same limits");
    node.desk.engine.reload(state(1));
    assert_eq!(asked(&node.held()), [(Sharing::Leased, 1)]);
    let policy = node.shared.policy("policy");
    policy.lease_until_us(60_000_000, policy.changes() - 1);
    assert_eq!(policy.lease_end_us(), 0, "the worker has not seen the change");
    node.lease();
    assert_eq!(node.decided(), "allow ");
}

#[test]
fn people_are_asked_before_the_store() {
    for sharing in ["leased", "strict"] {
        let mut node = Node::rules(&format!(
            r#"{{"action": "require_approval",
                 "limits": [{{"counter": "c", "window": "hour", "max": 3, "shared": "{sharing}"}}]}}"#
        ));
        let held = node.held();
        assert!(held.question.is_some());
        assert_eq!(held.store.unwrap().demands.len(), 1, "{sharing}");
    }
}

#[test]
fn a_limit_in_shadow_makes_no_call_wait() {
    for more in ["", r#", "shared": "strict""#] {
        let mut node = Node::rules(&format!(
            r#"{{"mode": "shadow", "limits": [{{"counter": "c", "window": "hour", "max": 3{more}}}]}}"#
        ));
        assert_eq!(node.decided(), "allow ", "{more}");
    }
}

/// Resets counts while a worker answers: with the resets of the ask, as the store would number them.
fn reset(node: &Node, grant: Option<&str>) -> Result<Reset, ResetError> {
    let names = ResetNames {
        grant,
        counter: Some("c"),
        ..ResetNames::default()
    };
    let state = node.desk.engine.snapshot();
    std::thread::scope(|scope| {
        let made = scope.spawn(|| node.desk.engine.reset(&state, &names, node.desk.now));
        let ask = loop {
            let asks = node.shared.take_asks().into_iter();
            let mut resets = asks.filter_map(|ask| match ask {
                Ask::Reset(ask) => Some(ask),
                _ => None,
            });
            if let Some(ask) = resets.next() {
                break ask;
            }
            std::thread::yield_now();
        };
        let resets = &ask.policy.resets;
        let planned = resets.plan(&ask).unwrap();
        let number = planned.latest + 1;
        let lines: Vec<_> = planned.made.into_iter().map(|name| (name, number)).collect();
        assert!(resets.merge(&lines));
        ask.answer(Ok(()));
        made.join().unwrap()
    })
}

#[test]
fn shared_counts_are_reset_at_the_store() {
    for sharing in ["leased", "strict"] {
        let mut node = Node::limit(&format!(r#", "shared": "{sharing}""#));
        let before = node.held().store.unwrap().demands[0].key;
        let done = reset(&node, Some("other")).unwrap();
        assert!(done.limits[0].is_shared, "{done:?}");
        let key = |node: &mut Node| node.held().store.unwrap().demands[0].key;
        assert_eq!(key(&mut node), before, "the count of another grant");
        reset(&node, Some("g1")).unwrap();
        let first = key(&mut node);
        assert_ne!(first, before, "{sharing}");
        reset(&node, None).unwrap();
        assert!(![before, first].contains(&key(&mut node)), "{sharing}");
    }
}

#[test]
fn a_call_that_waits_takes_from_the_count_of_now() {
    let mut node = Node::limit(r#", "shared": "strict""#);
    let held = node.held();
    reset(&node, None).unwrap();
    let StoreAsk {
        mut demands,
        mut scopes,
        policy,
        grant,
    } = held.store.clone().unwrap();
    scopes.renew_keys(
        node.shared.hash_key(),
        &grant,
        policy.resets.current(),
        &mut demands,
    );
    let later = node.held();
    let mut counted = node.granted(&later);
    counted.keys = later
        .store
        .unwrap()
        .demands
        .iter()
        .map(|demand| demand.key)
        .collect();
    assert_eq!(demands[0].key, counted.keys[0]);
    let decision = node.finish(held, counted);
    assert_eq!(brief(&decision), "allow ");
    assert_eq!(node.returned(), [], "they are the call's");
}

#[test]
fn a_reset_without_the_store_says_so_and_resets_nothing() {
    let node = Node::limit("");
    node.shared.close();
    let names = ResetNames {
        counter: Some("c"),
        ..ResetNames::default()
    };
    let state = node.desk.engine.snapshot();
    let error = node.desk.engine.reset(&state, &names, node.desk.now).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the shared counters of policy `policy`: the store of shared counters cannot be reached, so they were not reset; no other \
         counter was reset"
    );
}

#[test]
fn limits_in_shadow_are_reset_here_alone() {
    let node = Node::rules(
        r#"{"mode": "shadow", "limits": [{"counter": "c", "window": "hour", "max": 3, "shared": "strict"}]}"#,
    );
    node.shared.close();
    let names = ResetNames {
        counter: Some("c"),
        ..ResetNames::default()
    };
    let state = node.desk.engine.snapshot();
    let done = node.desk.engine.reset(&state, &names, node.desk.now).unwrap();
    assert!(!done.limits[0].is_shared, "{done:?}");
}
