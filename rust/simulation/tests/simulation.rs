//! Small runs: `max` holds over all nodes, and the figures are those of the capacity model.

#![expect(
    clippy::unwrap_used,
    reason = "a run that cannot be made is a failure of its test"
)]

use callgate_simulation::capacity::Forecast;
use callgate_simulation::figures::Figures;
use callgate_simulation::replay::{RealServer, calls};
use callgate_simulation::scenario::{Network, NodeSkew, Scenario};
use callgate_simulation::suite::base;
use callgate_simulation::world::World;

const SECOND_US: u64 = 1_000_000;
/// The most script calls for each renewal below `max`: small shares change their sizes. Eleven seeds made 1.6 to 3.1.
const MOST_CALLS: f64 = 4.0;

/// Twenty nodes with one half of the calls at one of them, and limits that admit half of the calls.
fn small(name: &str) -> Scenario {
    Scenario {
        grants: 8,
        node_skew: NodeSkew::Busy(0.5),
        window_us: 2 * SECOND_US,
        warm_us: 9 * SECOND_US,
        measured_us: 4 * SECOND_US,
        ..base(name, 20, 1_000.0)
    }
}

/// Runs to the end, where every interval was held against an exact log.
fn run(scenario: &Scenario) -> Figures {
    let (figures, _) = World::new(scenario.clone()).unwrap().run().unwrap();
    let verdicts = figures.admitted + figures.refused + figures.unavailable;
    // A call that waits at either end of the measured time is counted in one of both.
    assert!(
        figures.offered.abs_diff(verdicts) <= 50,
        "each call has one verdict: {figures:?}"
    );
    figures
}

#[test]
fn below_max_calls_do_not_grow_with_decisions() {
    let scenario = Scenario {
        max_part: 2.0,
        measured_us: 4 * SECOND_US,
        ..base("below max", 20, 4_000.0)
    };
    let (figures, forecast) = (run(&scenario), Forecast::new(&scenario));
    assert_eq!(forecast.asked_counts, 0);
    let part = figures.calls_per_second() / forecast.renewals_per_second;
    assert!((0.95..=MOST_CALLS).contains(&part), "{figures:?} {forecast:?}");
    assert_eq!((figures.refused, figures.unavailable), (0, 0));
}

#[test]
fn at_max_the_model_bounds_the_calls() {
    let scenario = small("at max");
    let (figures, forecast) = (run(&scenario), Forecast::new(&scenario));
    assert_eq!(forecast.asked_counts, scenario.grants);
    let calls = figures.calls_per_second();
    assert!(
        forecast.renewals_per_second < calls && calls < forecast.most_calls_per_second,
        "{calls} calls/s; {forecast:?}"
    );
    assert!(
        figures.redis_part() < forecast.most_redis_part,
        "{figures:?} {forecast:?}"
    );
    assert!(figures.usable() > 0.95, "{figures:?}");
    assert_eq!(figures.unavailable, 0);
}

#[test]
fn lost_messages_pass_no_limit() {
    let scenario = Scenario {
        network: Network {
            loss: 0.02,
            ..Network::default()
        },
        node_skew: NodeSkew::Moving(0.5, SECOND_US),
        ..small("lossy")
    };
    let figures = run(&scenario);
    assert!(figures.unavailable > 0, "nothing was lost: {figures:?}");
    assert!(figures.admitted > figures.ideal / 2, "{figures:?}");
}

#[test]
fn answers_that_come_later_than_calls_wait_still_bring_shares() {
    let scenario = Scenario {
        max_part: 2.0,
        // There and back it takes longer than a call waits, and than a node pauses between two renewals.
        network: Network {
            least_us: 400_000.0,
            ..Network::default()
        },
        ..small("slow")
    };
    let figures = run(&scenario);
    assert!(figures.usable() > 0.7, "{figures:?}");
}

#[test]
fn nodes_do_not_ask_again_and_again_while_a_server_recovers() {
    // A server without data grants nothing for half a lease.
    let scenario = Scenario {
        warm_us: SECOND_US,
        measured_us: 3 * SECOND_US,
        ..small("recovery")
    };
    let (figures, forecast) = (run(&scenario), Forecast::new(&scenario));
    assert_eq!(figures.unavailable, figures.offered);
    assert!(
        figures.calls_per_second() < MOST_CALLS * forecast.renewals_per_second,
        "{figures:?} {forecast:?}"
    );
}

#[test]
fn one_seed_gives_one_run() {
    let scenario = Scenario {
        warm_us: 6 * SECOND_US,
        measured_us: SECOND_US,
        ..small("seed")
    };
    let other = Scenario {
        seed: 2,
        ..scenario.clone()
    };
    let text = |scenario: &Scenario| format!("{:?}", run(scenario));
    assert_eq!(text(&scenario), text(&scenario));
    assert_ne!(text(&scenario), text(&other));
}

#[test]
fn redis_answers_as_the_simulated_server_does() {
    let scenario = Scenario {
        node_skew: NodeSkew::Moving(0.7, SECOND_US),
        measured_us: SECOND_US,
        ..small("replay")
    };
    let calls = calls(scenario).unwrap();
    assert!(calls.len() > 100, "{}", calls.len());
    let folder = tempfile::tempdir().unwrap();
    let mut server = RealServer::start(folder.path()).unwrap();
    server.replay(&calls).unwrap();
    assert!(server.call_us().unwrap() > 0.0);
}
