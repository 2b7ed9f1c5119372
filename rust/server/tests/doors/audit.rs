//! The decision log, from outside.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::CheckRequest;
use callgate_server::{AuditConfig, AuditMode, AuditTarget, Clock, Server, ServerConfig};
use serde_json::{Value, json};

use super::support::{Folder, POLICY, Rig, engine, state};

const CALL: &str = r#"{"grant":"g","tool":"capped","args":{"password":"hunter2"}}"#;

fn logged_to(path: &Path, mode: AuditMode) -> ServerConfig {
    ServerConfig {
        audit: Some(AuditConfig {
            mode,
            ..AuditConfig::new(AuditTarget::File(path.to_owned()))
        }),
        ..ServerConfig::default()
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains("hunter2"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_door_writes_its_line_before_a_stop_ends() {
    let folder = Folder::new();
    let path = folder.file("decisions.jsonl");
    let rig = Rig::configured(logged_to(&path, AuditMode::BestEffort));
    let call = CheckRequest {
        grant: "g".to_owned(),
        tool: "capped".to_owned(),
        args_json: br#"{"password":"hunter2"}"#.to_vec().into(),
        reserve: true,
        ..CheckRequest::default()
    };
    let answer = rig.grpc().check(call).await.unwrap().into_inner();
    rig.post(CALL);
    rig.post(CALL);
    rig.post(r#"{"grant":7}"#);
    // Beyond what is decided on the spot.
    let large = format!(
        r#"{{"grant":"g","tool":"open","args":{{"a":"{}"}}}}"#,
        "x".repeat(100_000)
    );
    rig.post(&large);
    rig.server.stop();

    let lines = lines(&path);
    // Those of different threads may change places.
    let mut seen: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|line| {
            ["protocol", "outcome", "rule"]
                .map(|field| line[field].as_str().unwrap())
                .into()
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            ("grpc", "allow", ""),
            ("http", "allow", ""),
            ("http", "allow", ""),
            ("http", "deny", "(invalid request)"),
            ("http", "rate_limited", "/tools/capped/limits/calls"),
        ]
    );
    let first = lines.iter().find(|line| line["protocol"] == "grpc").unwrap();
    assert_eq!(first["args_keys"], json!(["password"]));
    assert_eq!(first["decided_at_us"], answer.decided_at_us);
    assert_eq!(first["limits"][0]["remaining"], 1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!answer.reservation.is_empty() && !text.contains(&answer.reservation));
    assert_eq!(rig.server.metrics().audit_dropped, 0);
}

#[test]
fn where_it_is_required_nothing_is_taken_while_the_disk_is_full() {
    let folder = Folder::new();
    let (path, target) = (folder.file("decisions.jsonl"), folder.file("target"));
    symlink("/dev/full", &path).unwrap();
    let rig = Rig::configured(logged_to(&path, AuditMode::Required));
    let until = |rule: &str, tool: &str| {
        let body = format!(r#"{{"grant":"g","tool":"{tool}"}}"#);
        let started = Instant::now();
        loop {
            let answer = rig.post(&body);
            if answer.text("rule") == rule {
                return answer;
            }
            assert!(started.elapsed() < Duration::from_secs(60));
        }
    };
    // The first write has to fail before anybody knows.
    let denied = until("(audit unavailable)", "open");
    assert_eq!((denied.status, denied.text("outcome")), (403, "deny".to_owned()));
    for _ in 0..3 {
        assert_eq!(rig.post(CALL).text("rule"), "(audit unavailable)");
    }
    assert!(rig.server.metrics().audit_dropped >= 4);
    assert_eq!(rig.wait_for_event("audit_failed").event, "audit_failed");

    // A symbolic link is replaced in one step, as an operator would.
    std::fs::write(&target, "").unwrap();
    symlink(&target, folder.file("new")).unwrap();
    std::fs::rename(folder.file("new"), &path).unwrap();
    until("", "open");
    for expected in ["", "", "/tools/capped/limits/calls"] {
        assert_eq!(
            rig.post(CALL).text("rule"),
            expected,
            "the denied calls took nothing"
        );
    }
    rig.server.stop();
    let lines = lines(&target);
    assert_eq!(lines.iter().filter(|line| line["tool"] == "capped").count(), 3);
    assert!(lines.iter().all(|line| line["rule"] != "(audit unavailable)"));
}

#[test]
fn a_log_that_cannot_be_opened_is_one_clear_line() {
    let folder = Folder::new();
    let refusal = |path: &Path| {
        let engine = engine(state(POLICY.as_bytes(), Catalogue::default()));
        let config = ServerConfig {
            listen: Some("127.0.0.1:0".to_owned()),
            ..logged_to(path, AuditMode::Required)
        };
        Server::start(engine, Clock::default(), config)
            .unwrap_err()
            .to_string()
    };
    let missing = folder.file("missing/log");
    assert_eq!(
        refusal(&missing),
        format!(
            "cannot open the decision log `{}`: its folder does not exist; create it or choose another path",
            missing.display()
        )
    );
    let folder = folder.file("");
    assert_eq!(
        refusal(&folder),
        format!(
            "cannot open the decision log `{}`: expected a file, this is something else",
            folder.display()
        )
    );
}
