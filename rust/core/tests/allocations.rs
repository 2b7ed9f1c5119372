//! Checks that an allowed call allocates nothing once the buffers have grown.

use callgate_core::engine::Policies;
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{Args, Caller, Engine, EngineConfig, Now, Outcome, Pep, Request, Scratch, State};

#[test]
fn an_allowed_call_allocates_nothing() {
    let text = br#"{"version": "1", "default": "deny",
        "all_tools": {"limits": [{"counter": "all", "window": "hour", "max": 100000, "cost": "args.n"}]},
        "tools": {"get_*": {
            "require": [{"conditions": [{"path": "args.items[*].name", "op": "regex", "value": "^[a-z]+$"}]}],
            "deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 50.5}]}],
            "limits": [{"counter": "c", "window": "minute", "max": 200}]}}}"#;
    let source = Source {
        name: "test",
        stem: "test",
        format: Format::Json,
        bytes: text,
    };
    let state = State::build(
        Policies::EveryServer(parse(&source).unwrap()),
        Catalogue::default(),
    )
    .unwrap();
    let config = EngineConfig {
        counter_capacity: 1_000,
        counters_per_grant: 1_000,
        reservation_ttl_ms: 30_000,
        reservations: callgate_counters::ReservationLimits::in_all(100),
        hash_key: [1; 16],
    };
    let engine = Engine::new(state, config);
    let mut scratch = Scratch::default();
    let request = Request {
        caller: Caller::named("g"),
        pep: Pep::UNNAMED,
        tool: "get_users",
        server: "srv",
        session: None,
        args: Args::Json(br#"{"n": 2, "items": [{"name": "ada"}, {"name": "grace"}]}"#),
        reserve: None,
        pins: None,
        unseen_member: None,
    };
    let mut call = |number: u64| {
        let state = engine.snapshot();
        let decision = engine.decide(
            &state,
            &request,
            Now::from_unix_us(1_000_000 + number),
            &mut scratch,
        );
        assert_eq!(decision.outcome, Outcome::Allow, "{decision:?}");
    };
    (0..50).for_each(&mut call);
    let seen = allocation_counter::measure(|| (50..150).for_each(&mut call));
    assert_eq!(seen.count_total, 0, "{seen:?}");
}
