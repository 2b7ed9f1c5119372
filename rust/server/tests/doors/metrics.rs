//! Metrics, and events for the log.

use callgate_core::policy::Catalogue;
use callgate_server::{Event, FieldValue, MetricsSnapshot, ServerConfig, duration_bounds_ns};

use super::identity::{config, granted};
use super::support::{POLICY, Rig, state, state_by_server};

fn ask(rig: &Rig, server: &str, tool: &str) -> u16 {
    rig.post(&format!(r#"{{"grant":"g","tool":"{tool}","server":"{server}"}}"#))
        .status
}

fn decisions(metrics: &MetricsSnapshot) -> Vec<(&str, &str, &str, u64)> {
    let labels = metrics.decisions.iter();
    labels
        .map(|one| (one.server.as_str(), one.tool.as_str(), one.outcome, one.count))
        .collect()
}

fn denials(metrics: &MetricsSnapshot) -> Vec<(&str, &str, u64)> {
    let mut denials: Vec<_> = metrics
        .denials
        .iter()
        .map(|one| (one.server.as_str(), one.rule.as_str(), one.count))
        .collect();
    denials.sort_unstable();
    denials
}

#[test]
fn labels_are_bounded_whatever_callers_send() {
    let rig = Rig::new();
    for number in 0..5 {
        ask(&rig, &format!("server-{number}"), &format!("tool-{number}"));
        ask(&rig, &format!("server-{number}"), "capped");
    }
    let metrics = rig.server.metrics();
    assert_eq!(
        decisions(&metrics),
        [
            ("(any)", "(other)", "deny", 5),
            ("(any)", "capped", "allow", 2),
            ("(any)", "capped", "rate_limited", 3)
        ]
    );
    assert_eq!(
        denials(&metrics),
        [
            ("(any)", "(default deny)", 5),
            ("(any)", "/tools/capped/limits/calls", 3)
        ]
    );
    assert_eq!(metrics.duration.counts.len(), duration_bounds_ns().len() + 1);
    assert_eq!((metrics.duration.count, metrics.counters), (10, 1));
    assert!(metrics.duration.sum_ns > 0 && metrics.counter_capacity >= 4_096);
    let [policy] = metrics.policies.as_slice() else {
        panic!("{:?}", metrics.policies)
    };
    assert_eq!(
        (
            policy.server.as_str(),
            policy.policy.as_str(),
            policy.version.len()
        ),
        ("(any)", "test", 12)
    );
}

#[test]
fn tools_that_a_pattern_names_are_counted_under_it() {
    let policy =
        r#"{"version":"1","default":"deny","tools":{"read_*":{},"read_secret":{},"r*":{}},"hide":["h_?"]}"#;
    let rig = Rig::with(state_by_server(&[("a", policy)]), ServerConfig::default());
    for tool in ["read_a", "read_b", "read_secret", "rest", "h_1", "h_22", "none"] {
        ask(&rig, "a", tool);
    }
    assert_eq!(
        decisions(&rig.server.metrics()),
        [
            ("a", "(other)", "deny", 2),
            ("a", "h_?", "deny", 1),
            ("a", "r*", "allow", 1),
            ("a", "read_*", "allow", 2),
            ("a", "read_secret", "allow", 1)
        ]
    );
}

#[test]
fn a_denial_is_told_with_the_server_that_the_decision_log_has() {
    let rig = Rig::new();
    rig.post(r#"{"grant":"g","tool":"forbidden","server":"files"}"#);
    assert_eq!(text(&rig.wait_for_event("denied"), "server"), "files");
    rig.post("{}");
    // Nothing says which server was meant.
    assert_eq!(text(&rig.wait_for_event("denied"), "server"), "(any)");
}

#[test]
fn servers_with_policies_of_their_own_are_named() {
    let rig = Rig::with(
        state_by_server(&[("a", r#"{"version":"1","default":"allow"}"#), ("b", POLICY)]),
        ServerConfig::default(),
    );
    assert_eq!(ask(&rig, "a", "open"), 200);
    assert_eq!(ask(&rig, "b", "open"), 200);
    assert_eq!(ask(&rig, "c", "open"), 403);
    assert_eq!(ask(&rig, "d", "open"), 403);
    let metrics = rig.server.metrics();
    assert_eq!(
        decisions(&metrics),
        [
            ("(unknown)", "(other)", "deny", 2),
            ("a", "(other)", "allow", 1),
            ("b", "open", "allow", 1)
        ]
    );
    assert_eq!(denials(&metrics), [("(unknown)", "(unknown server)", 2)]);
    let policies: Vec<_> = metrics
        .policies
        .iter()
        .map(|one| (one.server.as_str(), one.policy.as_str()))
        .collect();
    assert_eq!(policies, [("a", "a"), ("b", "test")]);
}

#[test]
fn a_refusal_before_any_policy_is_its_server_s() {
    let rig = Rig::with(granted(), config());
    let fields = ["Host: localhost", "Authorization: Bearer cgt_gateway"];
    for (body, rule) in [
        (
            r#"{"grant_token":"cgt_revoked","tool":"open"}"#,
            "(grant revoked)",
        ),
        (
            r#"{"grant":"nobody","server":"other","tool":"open"}"#,
            "(unknown grant)",
        ),
        (r#"{"grant":"nobody","tool":"open"}"#, "(unknown grant)"),
        // Neither a server that is not there, nor a token that says nothing.
        (
            r#"{"grant":"mine","server":"x","tool":"open"}"#,
            "(unknown server)",
        ),
        (r#"{"grant_token":"cgt_nobody","tool":"open"}"#, "(unknown grant)"),
        (r#"{"grant":7}"#, "(invalid request)"),
    ] {
        let answer = rig.send("POST /v1/check", &fields, body.as_bytes());
        assert_eq!(answer.text("rule"), rule, "{body}");
    }
    let metrics = rig.server.metrics();
    assert_eq!(
        denials(&metrics),
        [
            ("(unknown)", "(invalid request)", 1),
            ("(unknown)", "(unknown grant)", 1),
            ("(unknown)", "(unknown server)", 1),
            ("other", "(unknown grant)", 1),
            ("srv", "(grant revoked)", 1),
            ("srv", "(unknown grant)", 1),
        ]
    );
    assert_eq!(
        decisions(&metrics),
        [
            ("(unknown)", "(other)", "deny", 3),
            ("other", "(other)", "deny", 1),
            ("srv", "(other)", "deny", 2)
        ]
    );
    let denied = rig.wait_for_event("denied");
    assert_eq!(
        (text(&denied, "server"), text(&denied, "rule")),
        ("srv", "(grant revoked)")
    );
}

#[test]
fn a_reload_loses_no_count() {
    let rig = Rig::new();
    ask(&rig, "srv", "open");
    ask(&rig, "srv", "forbidden");
    let before = rig.server.metrics();
    // The same tools at other indexes, some gone, one new.
    let policy =
        br#"{"version":"1","default":"deny","tools":{"new":{},"forbidden":{"action":"deny"},"open":{}}}"#;
    rig.engine.reload(state(policy, Catalogue::default()));
    ask(&rig, "srv", "new");
    ask(&rig, "srv", "open");
    ask(&rig, "srv", "forbidden");
    let after = rig.server.metrics();
    for count in &before.decisions {
        let grown = after
            .decisions
            .iter()
            .find(|one| (&one.server, &one.tool, one.outcome) == (&count.server, &count.tool, count.outcome));
        assert!(grown.is_some_and(|grown| grown.count > count.count), "{count:?}");
    }
    assert_eq!(denials(&after), [("(any)", "/tools/forbidden/action", 2)]);
    assert!(decisions(&after).contains(&("(any)", "new", "allow", 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn requests_are_counted_by_protocol_and_status() {
    let rig = Rig::new();
    ask(&rig, "srv", "open");
    ask(&rig, "srv", "forbidden");
    rig.post("[]");
    let mut client = rig.grpc();
    client
        .check(callgate_proto::decision::v1::CheckRequest::default())
        .await
        .unwrap();
    client
        .settle(callgate_proto::decision::v1::SettleRequest::default())
        .await
        .unwrap_err();
    let metrics = rig.server.metrics();
    let requests: Vec<_> = metrics
        .requests
        .iter()
        .map(|one| (one.protocol, one.code, one.count))
        .collect();
    assert_eq!(
        requests,
        [
            ("grpc", "OK", 1),
            ("grpc", "INVALID_ARGUMENT", 1),
            ("http", "200", 1),
            ("http", "400", 1),
            ("http", "403", 1)
        ]
    );
    assert_eq!(metrics.internal_errors, 0);
}

fn text<'e>(event: &'e Event, name: &str) -> &'e str {
    match event.fields.iter().find(|(field, _)| *field == name) {
        Some((_, FieldValue::Text(text))) => text,
        other => panic!("{name}: {other:?} in {event:?}"),
    }
}

#[test]
fn denials_are_logged_up_to_ten_in_a_second() {
    let rig = Rig::new();
    let body = r#"{"grant":"g","tool":"forbidden","args":{"password":"hunter2"}}"#;
    for _ in 0..25 {
        rig.post(body);
    }
    let events = rig.server.drain_events(usize::MAX);
    let denied: Vec<_> = events.iter().filter(|event| event.event == "denied").collect();
    assert_eq!(denied.len(), 10);
    assert_eq!(
        ["server", "grant", "tool", "outcome", "rule"].map(|name| text(denied[0], name)),
        ["srv", "g", "forbidden", "deny", "/tools/forbidden/action"]
    );
    assert!(!format!("{events:?}").contains("hunter2"));
    let started = events
        .iter()
        .find(|event| event.event == "server_started")
        .unwrap();
    assert_eq!(
        text(started, "address"),
        rig.server.address().unwrap().to_string()
    );

    // Denials that were not logged are summed up once a second: some of them perhaps already.
    let count = |event: &Event| match event.fields.as_slice() {
        [_, _, ("count", FieldValue::Number(count))] => *count,
        fields => panic!("{fields:?}"),
    };
    let mut suppressed: u64 = events
        .iter()
        .filter(|event| event.event == "denials_suppressed")
        .map(count)
        .sum();
    while suppressed < 15 {
        suppressed += count(&rig.wait_for_event("denials_suppressed"));
    }
    assert_eq!(suppressed, 15);

    rig.clock.advance_us(1_000_000);
    rig.post(body);
    assert_eq!(rig.wait_for_event("denied").event, "denied");
}
