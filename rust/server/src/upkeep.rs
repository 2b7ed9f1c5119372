//! The work of each second, whether or not anybody asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::events::Level;
use crate::gate::Gate;
use crate::issuer_keys;
use crate::phase::Phase;
use crate::threads::{Patrol, Threads};
use crate::upstream_probes;

const PERIOD: Duration = Duration::from_secs(1);

/// A sweep visits every counter about once in this many periods.
const PERIODS_PER_ROUND: usize = 60;
/// And at least this many counters at once.
const LEAST_SWEPT: usize = 1_024;

/// Invalid requests within one period from which on they are a flood.
const FLOOD: u64 = 100;
/// Periods for which a flood that goes on is not told again.
const FLOOD_QUIET_PERIODS: u32 = 10;
/// Periods for which further lines that the decision log drops are not told.
const AUDIT_QUIET_PERIODS: u32 = 10;

/// Sweeps and reports until the server stops, and looks at its threads if it has some.
pub(crate) async fn run(
    gate: Arc<Gate>,
    mut patrol: Option<(Patrol, Arc<Threads>)>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reports = Reports::default();
    loop {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => return,
            _ = ticks.tick() => {
                reports.tick(&gate);
                if let Some((patrol, threads)) = &mut patrol {
                    patrol.look(threads, Instant::now(), &gate.events);
                }
                if let Some(approvals) = &gate.approvals {
                    approvals.sweep();
                }
                free_retired(&gate);
                issuer_keys::renew(&gate);
                upstream_probes::run(&gate);
            }
        }
    }
}

/// Frees compiled states that nobody reads any more, on a thread that decides nothing.
fn free_retired(gate: &Gate) {
    let configurations = gate.in_force.take_retired();
    let states = gate.engine.take_retired();
    if !configurations.is_empty() || !states.is_empty() {
        tokio::task::spawn_blocking(move || drop((configurations, states)));
    }
}

/// The state of the last report.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    invalid_before: u64,
    flood: u64,
    quiet_periods: u32,
    at_capacity: bool,
    audit_quiet_periods: u32,
}

impl Reports {
    pub(crate) fn tick(&mut self, gate: &Gate) {
        let capacity = gate.engine.store().capacity();
        let (now, budget) = (gate.clock.now(), (capacity / PERIODS_PER_ROUND).max(LEAST_SWEPT));
        gate.engine.sweep(now, budget);
        gate.configuration().candidates.sweep(now, budget);
        self.capacity(gate);
        self.flood(gate);
        self.audit(gate);
        for (kind, pace) in [
            ("pep_refused", &gate.paces.peps),
            ("tls_handshake_failed", &gate.paces.handshakes),
            ("http2_flood", &gate.paces.floods),
            ("rate_limit_failed", &gate.paces.rate_limits),
            ("rate_limit_exceeded", &gate.paces.refused_limits),
            ("quota_refused", &gate.paces.quotas),
            ("upstream_failed", &gate.paces.upstreams),
        ] {
            let count = pace.take_suppressed();
            if count > 0 {
                let fields = vec![("refusal", kind.into()), ("count", count.into())];
                gate.events.push(Level::Warning, "refusals_suppressed", fields);
            }
        }
        gate.metrics.take_suppressed(|server, rule, count| {
            let fields = vec![
                ("server", server.into()),
                ("rule", rule.into()),
                ("count", count.into()),
            ];
            gate.events.push(Level::Info, "denials_suppressed", fields);
        });
    }

    fn capacity(&mut self, gate: &Gate) {
        if gate.engine.store().is_follower() {
            // The process that keeps the counters tells it.
            return;
        }
        let (counters, capacity) = gate.engine.counters();
        let full = counters >= capacity;
        if full && !self.at_capacity {
            gate.events.push(
                Level::Warning,
                "counter_capacity_reached",
                vec![("capacity", capacity.into())],
            );
        }
        self.at_capacity = full;
    }

    fn audit(&mut self, gate: &Gate) {
        let Some(audit) = &gate.audit else { return };
        self.audit_quiet_periods = self.audit_quiet_periods.saturating_sub(1);
        if self.audit_quiet_periods == 0 && audit.tell_dropped() {
            self.audit_quiet_periods = AUDIT_QUIET_PERIODS;
        }
    }

    fn flood(&mut self, gate: &Gate) {
        let invalid = gate.metrics.invalid_requests();
        let fresh = invalid - self.invalid_before;
        self.invalid_before = invalid;
        self.quiet_periods = self.quiet_periods.saturating_sub(1);
        if fresh >= FLOOD {
            self.flood += fresh;
        }
        if self.flood > 0 && self.quiet_periods == 0 {
            gate.events.push(
                Level::Warning,
                "invalid_request_flood",
                vec![("count", self.flood.into())],
            );
            self.flood = 0;
            self.quiet_periods = FLOOD_QUIET_PERIODS;
        }
    }
}

#[cfg(test)]
mod tests {
    use callgate_core::{Args, Caller, Pep, Request};

    use super::*;
    use crate::clock::ManualClock;
    use crate::events::{Event, FieldValue};
    use crate::testing;

    const POLICY: &str = r#"{
        "version": "1",
        "default": "deny",
        "tools": {"t": {"limits": [{"counter": "c", "window": "minute", "max": 1}]}}
    }"#;

    /// Rule of the decision for one call.
    fn ask(gate: &Gate, grant: &str, tool: &str) -> String {
        let request = Request {
            caller: Caller::named(grant),
            pep: Pep::UNNAMED,
            tool,
            server: "srv",
            session: None,
            args: Args::NONE,
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        gate.decide(&request, |decision| decision.rule.to_string())
    }

    /// Events of one tick other than single denials.
    fn tick(reports: &mut Reports, gate: &Gate) -> Vec<Event> {
        reports.tick(gate);
        gate.events
            .drain(usize::MAX)
            .into_iter()
            .filter(|event| event.event != "denied")
            .collect()
    }

    fn told(events: &[Event]) -> Vec<(&'static str, Option<&FieldValue>)> {
        events
            .iter()
            .map(|event| (event.event, event.fields.last().map(|(_, value)| value)))
            .collect()
    }

    #[test]
    fn full_counters_are_told_once_and_swept_when_idle() {
        let clock = ManualClock::new(1_700_000_000_000_000);
        let (gate, mut reports) = (testing::gate(POLICY, 1, &clock), Reports::default());
        assert_eq!(ask(&gate, "g", "t"), "");
        let events = tick(&mut reports, &gate);
        assert_eq!(
            told(&events),
            [("counter_capacity_reached", Some(&FieldValue::Number(1)))]
        );
        assert!(tick(&mut reports, &gate).is_empty());
        assert_eq!(ask(&gate, "h", "t"), "(counter capacity)");

        clock.advance_us(3_600_000_000);
        // A counter is given up in its own time: after a few rounds at most.
        for _ in 0..PERIODS_PER_ROUND {
            reports.tick(&gate);
        }
        assert_eq!(ask(&gate, "h", "t"), "");
    }

    #[test]
    fn a_flood_of_invalid_requests_is_told_at_intervals() {
        let clock = ManualClock::new(1_700_000_000_000_000);
        let (gate, mut reports) = (testing::gate(POLICY, 1, &clock), Reports::default());
        let flood = || (0..FLOOD).for_each(|_| assert_eq!(ask(&gate, "", "t"), "(invalid request)"));
        flood();
        let events = tick(&mut reports, &gate);
        let suppressed = FieldValue::Number(FLOOD - 10);
        assert_eq!(
            told(&events),
            [
                ("invalid_request_flood", Some(&FieldValue::Number(FLOOD))),
                ("denials_suppressed", Some(&suppressed))
            ]
        );
        // It goes on, and is told again only later, with everything since.
        for _ in 1..FLOOD_QUIET_PERIODS {
            flood();
            assert!(
                tick(&mut reports, &gate)
                    .iter()
                    .all(|event| event.event == "denials_suppressed")
            );
        }
        flood();
        let events = tick(&mut reports, &gate);
        let since = FieldValue::Number(FLOOD * u64::from(FLOOD_QUIET_PERIODS));
        assert_eq!(
            told(&events).first(),
            Some(&("invalid_request_flood", Some(&since)))
        );
        // A few are none, however long it was quiet before.
        for _ in 0..2 * FLOOD_QUIET_PERIODS {
            ask(&gate, "", "t");
            assert!(
                tick(&mut reports, &gate)
                    .iter()
                    .all(|event| event.event == "denials_suppressed")
            );
        }
    }
}
