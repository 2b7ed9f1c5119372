//! Room of the counters over many reloads.

#![expect(
    clippy::unwrap_used,
    reason = "a test helper that cannot go on fails its test"
)]

use callgate_core::engine::{Engine, EngineConfig, Policies, Scratch, State};
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{Args, Caller, Now, Outcome, Pep, Request};
use callgate_counters::{ClockReading, ReservationLimits};

fn state(max: u64) -> State {
    let text = format!(
        r#"{{"version": "1", "name": "p", "default": "deny", "tools": {{"t": {{"limits": [{{"counter": "c", "max": {max}, "window": "second"}}]}}}}}}"#
    );
    let source = Source {
        name: "p.json",
        stem: "p",
        format: Format::Json,
        bytes: text.as_bytes(),
    };
    let policies = Policies::EveryServer(parse(&source).unwrap());
    State::build(policies, Catalogue::default()).unwrap()
}

fn config() -> EngineConfig {
    EngineConfig {
        counter_capacity: 1_000,
        counters_per_grant: 1_000,
        reservation_ttl_ms: 1_000,
        reservations: ReservationLimits::in_all(10),
        hash_key: [1; 16],
    }
}

/// Reloads, each with another `max`, and a call after each: in memory and in a file.
#[test]
fn reloads_with_new_limits_need_no_more_room() {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let path = folder.path().join("counters");
    let reading = ClockReading {
        boot_id: [1; 16],
        boot_us: 1,
        unix_us: 1,
    };
    let in_file = Engine::open(state(1), config(), &path, || Ok(reading)).unwrap();
    for engine in [Engine::new(state(1), config()), in_file] {
        let mut most = 0;
        for max in 1..4_500 {
            engine.reload(state(max));
            let now = Now::from_unix_us(max * 1_500_000);
            let request = Request {
                tool: "t",
                args: Args::Json(b"{}"),
                caller: Caller::new("g", "", &[]),
                server: "",
                pep: Pep::UNNAMED,
                session: None,
                reserve: None,
                pins: None,
                unseen_member: None,
            };
            let snapshot = engine.snapshot();
            let decision = engine.decide(&snapshot, &request, now, &mut Scratch::default());
            assert_eq!(decision.outcome, Outcome::Allow, "{max}: {decision:?}");
            drop(decision);
            drop(snapshot);
            engine.sweep(now, 100);
            engine.store().flush(&reading).unwrap();
            most = most.max(engine.store().blocks());
        }
        assert!(most <= 4, "{most} blocks");
    }
    assert!(std::fs::metadata(&path).unwrap().len() < 4 << 20);
}
