//! Sinks that fail, hang or take nothing, and queues that are full.

use super::*;

#[test]
fn at_best_effort_a_failing_sink_drops_and_counts() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    fake.set(Mood::Full);
    (0..3).for_each(|_| assert_eq!(ask(&gate, "t", "{}"), ""));
    wait_until(|| audit(&gate).dropped() > 0);
    assert_eq!(ask(&gate, "t", "{}"), "");
    wait_until(|| audit(&gate).dropped() + fake.lines().len() as u64 == 4);
    assert_eq!(told(&gate), ["audit_failed"]);
    fake.set(Mood::Works);
    // Whether it works shows when there is something to write.
    wait_until(|| {
        ask(&gate, "t", "{}");
        told(&gate) == ["audit_recovered"]
    });
    ask(&gate, "asks", "{}");
    finish(&gate);
    assert!(fake.lines().iter().any(|line| line["tool"] == "asks"));
}

#[test]
fn a_sink_that_has_nothing_to_write_has_not_recovered() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    fake.set(Mood::TakesNothing);
    wait_until(|| {
        ask(&gate, "t", "{}");
        fake.writes() >= 3
    });
    assert!(told(&gate).iter().all(|event| *event == "audit_failed"));
    // What is lost at the end is told as well.
    finish(&gate);
    let lost = audit(&gate).dropped();
    assert!(lost >= 3);
    let events = gate.events.drain(usize::MAX);
    let dropped: Vec<_> = events
        .iter()
        .filter(|event| event.event == "audit_dropped")
        .collect();
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].fields, [("count", FieldValue::Number(lost))]);
}

#[test]
fn where_required_a_failing_sink_denies_takes_nothing_and_loses_nothing() {
    let (gate, fake) = gate(AuditMode::Required, BATCHES);
    fake.set(Mood::Full);
    let mut allowed = 0;
    // Until the first write has failed, what is decided is queued.
    wait_until(|| {
        let rule = ask(&gate, "t", "{}");
        allowed += u64::from(rule.is_empty());
        rule == "(audit unavailable)"
    });
    assert_eq!(ask(&gate, "once", "{}"), "(audit unavailable)");
    gate.refuse(Protocol::Http, String::new(), |decision| {
        assert_eq!(decision.rule, "(invalid request)");
    });
    assert_eq!(audit(&gate).dropped(), 3);

    fake.set(Mood::Works);
    wait_until(|| {
        ask(&gate, "asks", "{}");
        told(&gate).contains(&"audit_recovered")
    });
    assert_eq!(ask(&gate, "once", "{}"), "", "the denied call took nothing");
    finish(&gate);
    let lines = fake.lines();
    let count = |tool: &str| lines.iter().filter(|line| line["tool"] == tool).count() as u64;
    assert_eq!((count("t"), count("once")), (allowed, 1));
}

#[test]
fn a_full_queue_drops_or_denies_and_never_waits() {
    for mode in [AuditMode::BestEffort, AuditMode::Required] {
        let (gate, fake) = gate(mode, 3);
        fake.set(Mood::Hangs);
        ask(&gate, "t", "{}");
        wait_until(|| fake.writes() == 1);
        let mut calls: u64 = 1;
        let mut last = String::new();
        while audit(&gate).dropped() == 0 {
            last = ask(&gate, "t", "{}");
            calls += 1;
        }
        let expected = match mode {
            AuditMode::BestEffort => "",
            AuditMode::Required => "(audit unavailable)",
        };
        assert_eq!(last, expected);
        fake.set(Mood::Works);
        wait_until(|| {
            ask(&gate, "asks", "{}") == "(approval store unavailable)" && fake.lines().len() as u64 >= calls
        });
        let dropped = audit(&gate).dropped();
        finish(&gate);
        let logged = fake.lines().iter().filter(|line| line["tool"] == "t").count() as u64;
        assert!(dropped >= 1);
        assert_eq!(logged, calls - 1);
    }
}

#[test]
fn a_sink_that_stays_broken_does_not_hold_up_a_stop() {
    let (gate, fake) = gate(AuditMode::Required, BATCHES);
    fake.set(Mood::Full);
    (0..5).for_each(|_| drop(ask(&gate, "t", "{}")));
    finish(&gate);
    assert_eq!(audit(&gate).dropped() + fake.lines().len() as u64, 5);
    assert_eq!(ask(&gate, "t", "{}"), "(audit unavailable)");
}
