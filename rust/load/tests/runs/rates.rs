use std::time::Duration;

use callgate_load::{Method, Options};

use crate::server::{Behaviour, options, run, serve};

#[test]
fn a_fixed_rate_is_kept() {
    for method in [Method::Check, Method::Stream] {
        let server = serve(Behaviour::default());
        let report = run(Options {
            method,
            rate: Some(400.0),
            duration_ms: 1_000,
            ..options(&server.address)
        })
        .unwrap();
        // As many as were due, on any machine: each is answered or accounted for.
        assert_eq!(report.requests + report.generator.unsent, 400, "{report:?}");
        assert!(report.generator.delay_us.is_some());
    }
}

/// Half a second of silence in two seconds: callers at a fixed rate hit it in a quarter of their calls, and wait a
/// quarter of a second on average. A generator that waits for each answer would see it once per stream.
#[test]
fn a_stall_shows_in_the_percentiles_of_a_fixed_rate() {
    let stalling = || {
        serve(Behaviour {
            stall: Some((Duration::from_millis(500), Duration::from_secs(1))),
            ..Behaviour::default()
        })
    };
    let load = |address: &str, rate| Options {
        connections: 1,
        streams: 1,
        rate,
        duration_ms: 2_000,
        ..options(address)
    };
    let server = stalling();
    let open = run(load(&server.address, Some(200.0))).unwrap();
    assert!(open.latency_us.p99 > 800_000.0, "{:?}", open.latency_us);
    assert!(open.latency_us.max < 3_000_000.0, "{:?}", open.latency_us);
    // A quarter of the calls or more were due in the silence.
    assert!(open.latency_us.p90 > 400_000.0, "{:?}", open.latency_us);
    assert_eq!(open.requests + open.generator.unsent, 400);

    let server = stalling();
    let closed = run(load(&server.address, None)).unwrap();
    assert!(closed.latency_us.p90 < 400_000.0, "{:?}", closed.latency_us);
    assert!(closed.latency_us.max > 800_000.0, "{:?}", closed.latency_us);
    assert!(closed.notes.iter().any(|note| note.contains("hide queueing")));
}

#[test]
fn a_target_too_slow_for_the_rate_is_told_of() {
    let server = serve(Behaviour {
        stall: Some((Duration::ZERO, Duration::from_millis(700))),
        ..Behaviour::default()
    });
    let report = run(Options {
        connections: 1,
        streams: 2,
        rate: Some(1_000.0),
        ..options(&server.address)
    })
    .unwrap();
    assert!(report.generator.unsent > 400, "{report:?}");
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("never sent")),
        "{:?}",
        report.warnings
    );
}

/// The backlog of the warm-up must not be all that is sent: at a billion requests per second it never ends.
#[test]
fn a_rate_far_above_capacity_is_measured() {
    for (method, rate) in [
        (Method::Check, 1e6),
        (Method::Check, 1e9),
        (Method::Batch, 1e9),
        (Method::Stream, 1e9),
    ] {
        let server = serve(Behaviour::default());
        let report = run(Options {
            method,
            rate: Some(rate),
            warmup_ms: 300,
            ..options(&server.address)
        })
        .unwrap();
        assert!(report.requests > 0, "{method:?} at {rate}: {report:?}");
        assert!(report.outcomes.values().sum::<u64>() >= report.requests);
        assert!(report.latency_us.max > 0.0);
        // Every request that was due is accounted for.
        let failed: u64 = report.errors.values().map(|errors| errors.count).sum();
        let due = report.requests + failed + report.generator.unsent;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "half a second of requests"
        )]
        let expected = (rate / 2.0) as u64;
        assert!(due.abs_diff(expected) <= 1, "{due} of {expected}");
    }
}
