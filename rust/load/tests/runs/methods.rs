use std::sync::atomic::Ordering;

use callgate_load::{Method, Options, Report};

use crate::server::{Behaviour, calls, options, run, serve};

/// Checks the properties of every good run.
fn assert_sound(report: &Report, calls_per_request: u64) {
    assert_eq!(report.ended, "complete");
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert!(report.requests > 10, "{report:?}");
    let decisions: u64 = report.outcomes.values().sum();
    assert_eq!(decisions, report.requests * calls_per_request);
    // The calls take turns: half of them are denied.
    let (allow, deny) = (report.outcomes["allow"], report.outcomes["deny"]);
    assert!(allow.abs_diff(deny) <= 8 * calls_per_request, "{report:?}");
    let latency = &report.latency_us;
    assert!(0.0 < latency.min && latency.min <= latency.p50 && latency.p50 <= latency.p99);
    assert!(latency.p99 <= latency.p9999 && latency.p9999 <= latency.max);
    assert!(report.bytes.sent > 0 && report.bytes.received > 0);
    assert!(report.intervals.len() >= 2, "{:?}", report.intervals);
    assert!(report.intervals.iter().all(|interval| interval.elapsed_s > 0.0));
}

#[test]
fn every_method_asks_and_counts() {
    for (method, batch_size, calls_per_request) in [
        (Method::Check, 64, 1),
        (Method::Batch, 6, 6),
        (Method::Stream, 64, 1),
    ] {
        let server = serve(Behaviour::default());
        let report = run(Options {
            method,
            batch_size,
            ..options(&server.address)
        })
        .unwrap();
        assert_sound(&report, calls_per_request);
        // Only answered requests are measured, and every request is in the report.
        assert_eq!(
            server.seen.calls.load(Ordering::Relaxed),
            report.requests * calls_per_request
        );
    }
}

#[test]
fn batches_larger_than_a_window_get_through() {
    let server = serve(Behaviour::default());
    let report = run(Options {
        method: Method::Batch,
        // 4,000 calls are more than the 64 KiB that a peer accepts at once.
        batch_size: 4_000,
        ..options(&server.address)
    })
    .unwrap();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert!(report.requests > 0);
}

#[test]
fn no_more_in_flight_than_asked_for() {
    let server = serve(Behaviour::default());
    run(Options {
        connections: 3,
        streams: 2,
        ..options(&server.address)
    })
    .unwrap();
    let most = server.seen.most_in_flight.load(Ordering::Relaxed);
    assert!((2..=6).contains(&most), "{most}");
}

#[test]
fn a_target_that_allows_fewer_streams_is_heeded_and_told_of() {
    let server = serve(Behaviour {
        max_streams: Some(2),
        ..Behaviour::default()
    });
    let report = run(Options {
        connections: 1,
        streams: 50,
        ..options(&server.address)
    })
    .unwrap();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("2 streams per connection"))
    );
}

#[test]
fn the_warm_up_is_not_in_the_numbers() {
    let server = serve(Behaviour::default());
    let report = run(Options {
        warmup_ms: 300,
        rate: Some(1_000.0),
        ..options(&server.address)
    })
    .unwrap();
    let asked = server.seen.calls.load(Ordering::Relaxed);
    assert_eq!(report.requests + report.generator.unsent, 500);
    assert_eq!(asked + report.generator.unsent, 800);
}

#[test]
fn a_run_that_is_stopped_reports_what_it_measured() {
    let server = serve(Behaviour::default());
    let run = callgate_load::Run::start(
        Options {
            duration_ms: 60_000,
            ..options(&server.address)
        },
        &calls(),
    )
    .unwrap();
    while run.progress().phase != "measure" || run.progress().requests_per_second == 0.0 {
        std::thread::yield_now();
    }
    run.stop();
    let report = run.finish().unwrap();
    assert_eq!(report.ended, "interrupted");
    assert!(report.requests > 0 && report.elapsed_s < 30.0, "{report:?}");
}
