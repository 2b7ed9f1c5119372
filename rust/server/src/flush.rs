//! Writing counters in a file to disk, away from the threads that decide.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::clock::read_clocks;
use crate::events::Level;
use crate::gate::Gate;
use crate::phase::Phase;

/// A failure that goes on is told again after this long.
const QUIET: Duration = Duration::from_secs(60);

/// Flushes once in an interval until the server stops; whoever has the engine closes the file after that.
pub(crate) async fn run(gate: Arc<Gate>, mut phase: watch::Receiver<Phase>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reports = Reports::default();
    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase >= Phase::Closed) => return,
            _ = ticks.tick() => {}
        }
        let gate = Arc::clone(&gate);
        // It waits for a disk.
        let ticked = tokio::task::spawn_blocking(move || {
            reports.tick(&gate);
            reports
        });
        let Ok(after) = ticked.await else { return };
        reports = after;
    }
}

/// The state of the last report.
#[derive(Debug, Default)]
struct Reports {
    told: Option<Instant>,
    growth_failures: u64,
    growth_told: Option<Instant>,
    sharing_fault: Option<String>,
}

impl Reports {
    fn tick(&mut self, gate: &Gate) {
        let store = gate.engine.store();
        self.tell_sharing(gate, store.sharing_fault());
        if store.is_follower() {
            // The process that keeps the file flushes it.
            return;
        }
        let started = Instant::now();
        let flushed = read_clocks()
            .map_err(|error| format!("the clocks cannot be read: {error}"))
            .and_then(|reading| store.flush(&reading).map_err(|error| error.to_string()));
        let failure = flushed.as_ref().err().map(String::as_str);
        gate.metrics.store.flushed(started.elapsed(), failure);
        match flushed {
            Ok(()) => self.told = None,
            Err(error) => tell(
                gate,
                &mut self.told,
                Level::Error,
                "counters_flush_failed",
                &error,
            ),
        }
        let (failures, reason) = store.growth_failures();
        if failures > self.growth_failures {
            self.growth_failures = failures;
            tell(
                gate,
                &mut self.growth_told,
                Level::Error,
                "counters_growth_failed",
                &reason,
            );
        }
    }
}

impl Reports {
    /// Reports once that the counters cannot be shared, or not be reached, and again after a recovery.
    fn tell_sharing(&mut self, gate: &Gate, fault: Option<String>) {
        if let Some(fault) = fault.as_ref().filter(|_| self.sharing_fault != fault) {
            tell(gate, &mut None, Level::Warning, "counters_sharing_failed", fault);
        }
        self.sharing_fault = fault;
    }
}

fn tell(gate: &Gate, told: &mut Option<Instant>, level: Level, event: &'static str, error: &str) {
    if told.is_none_or(|told| told.elapsed() >= QUIET) {
        *told = Some(Instant::now());
        // Not cut like a caller's name: it holds a path and what to do.
        let error = crate::events::FieldValue::Text(error.to_owned());
        gate.events.push(level, event, vec![("error", error)]);
    }
}

#[cfg(test)]
mod tests {
    use callgate_core::engine::Policies;
    use callgate_core::policy::{Catalogue, Format, Source, parse};
    use callgate_core::{Engine, EngineConfig, State};
    use callgate_counters::ReadClocks;

    use super::*;
    use crate::clock::{Clock, ManualClock, SystemClock};
    use crate::in_force::Parts;
    use crate::testing;

    fn state() -> State {
        let source = Source {
            name: "p",
            stem: "p",
            format: Format::Json,
            bytes: br#"{"version": "1", "default": "allow"}"#,
        };
        let policies = Policies::EveryServer(parse(&source).unwrap());
        State::build(policies, Catalogue::default()).unwrap()
    }

    fn config() -> EngineConfig {
        EngineConfig {
            counter_capacity: 10,
            counters_per_grant: 10,
            reservation_ttl_ms: 1,
            reservations: callgate_counters::ReservationLimits::in_all(1),
            hash_key: [1; 16],
        }
    }

    fn gate(engine: Engine) -> Gate {
        let clock = Clock::System(SystemClock::new());
        Gate::new(Arc::new(engine), clock, Parts::default())
    }

    #[test]
    fn flushes_are_counted_and_timed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counters");
        let engine = Engine::open(state(), config(), &path, read_clocks).unwrap();
        let gate = gate(engine);
        let mut reports = Reports::default();
        reports.tick(&gate);
        reports.tick(&gate);
        assert_eq!(gate.metrics.store.duration().count, 2);
        let errors = gate.metrics.store.errors(gate.engine.store());
        let errors: Vec<_> = errors
            .iter()
            .map(|error| (error.operation, error.count))
            .collect();
        assert_eq!(errors, [("flush", 0), ("grow", 0)]);
        assert!(gate.events.drain(10).is_empty());
        assert_eq!(gate.metrics.store.last_failure(), None);

        // Why the last one failed is known until one succeeds.
        let elsewhere = folder.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        reports.tick(&gate);
        let failure = gate.metrics.store.last_failure().unwrap();
        assert!(failure.contains("were removed or replaced"), "{failure}");
        std::fs::rename(&elsewhere, &path).unwrap();
        reports.tick(&gate);
        assert_eq!(gate.metrics.store.last_failure(), None);
    }

    #[test]
    fn who_does_not_keep_the_file_neither_flushes_nor_is_silent_about_faults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counters");
        let share = || Engine::open_shared(state(), config(), &path, ReadClocks::new(read_clocks)).unwrap();
        let (holder, follower) = (share(), gate(share()));
        let mut reports = Reports::default();
        reports.tick(&follower);
        assert_eq!(follower.metrics.store.duration().count, 0);
        assert!(follower.events.drain(10).is_empty());

        holder.store().close(&read_clocks().unwrap()).unwrap();
        let alone = Engine::open(state(), config(), &path, read_clocks).unwrap();
        for _ in 0..2 {
            assert_eq!(follower.engine.counters().0, 0, "nobody answers");
            reports.tick(&follower);
        }
        let events = follower.events.drain(10);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event, "counters_sharing_failed");

        alone.store().close(&read_clocks().unwrap()).unwrap();
        assert_eq!(follower.engine.counters().0, 0);
        reports.tick(&follower);
        assert_eq!(
            follower.metrics.store.duration().count,
            1,
            "it keeps the file now"
        );
    }

    #[test]
    fn a_failure_that_goes_on_is_told_once() {
        let policy = r#"{"version": "1", "default": "allow"}"#;
        let gate = testing::gate(policy, 10, &ManualClock::new(1_700_000_000_000_000));
        let mut told = None;
        for _ in 0..3 {
            tell(
                &gate,
                &mut told,
                Level::Error,
                "counters_flush_failed",
                "the disk is gone",
            );
        }
        let events = gate.events.drain(10);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event, "counters_flush_failed");
    }
}
