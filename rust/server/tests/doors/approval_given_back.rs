//! Approvals that were consumed for calls that are not made: the queue is told of each.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::approval::Answer;
use callgate_core::freeze::{Freeze, FreezeScope, FreezeSource};
use callgate_core::grant::{GrantChange, GrantSpec};
use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::{CheckBatchRequest, CheckRequest, CheckResponse, Outcome};
use callgate_server::{
    ApprovalChannel, ApprovalsConfig, AuditConfig, AuditMode, AuditTarget, GivenBack, Questions, ServerConfig,
};
use tokio::task::JoinHandle;
use tonic::IntoRequest;

use super::identity::{config, granted};
use super::support::{Folder, Rig, state};
use super::waiting_memory::by;

const POLICY: &str = r#"{"version": "1", "name": "test", "default": "deny", "tools": {
    "open": {},
    "asks": {"action": "require_approval"},
    "once": {"action": "require_approval", "limits": [{"counter": "c", "max": 1, "window": "hour"}]},
    "each": {"action": "require_approval",
        "limits": [{"counter": "d", "max": 1, "window": "hour", "scope": "args.n"}]},
    "free": {"limits": [{"counter": "d", "max": 1, "window": "hour", "scope": "args.n"}]}
}}"#;
const PATIENCE: Duration = Duration::from_secs(20);

fn channel() -> (ApprovalChannel, Arc<Questions>) {
    let channel = ApprovalChannel {
        config: ApprovalsConfig {
            deadline_ms: 60_000,
            ..ApprovalsConfig::default()
        },
        ..ApprovalChannel::default()
    };
    let questions = Arc::clone(&channel.questions);
    (channel, questions)
}

fn rig(config: ServerConfig) -> (Rig, Arc<Questions>) {
    let (channel, questions) = channel();
    let config = ServerConfig {
        approvals: Some(channel),
        ..config
    };
    (
        Rig::with(state(POLICY.as_bytes(), Catalogue::default()), config),
        questions,
    )
}

fn call(tool: &str, n: usize) -> CheckRequest {
    CheckRequest {
        grant: "g".to_owned(),
        tool: tool.to_owned(),
        args_json: format!(r#"{{"n": {n}}}"#).into(),
        ..CheckRequest::default()
    }
}

/// A call that waits, the number of its question, and the use of an approval by it.
struct Waiting {
    asked: JoinHandle<CheckResponse>,
    number: u64,
    used: GivenBack,
}

impl Waiting {
    fn begin(rig: &Rig, questions: &Questions, request: impl IntoRequest<CheckRequest>) -> Self {
        let (mut client, request) = (rig.grpc(), request.into_request());
        let asked = tokio::spawn(async move { client.check(request).await.unwrap().into_inner() });
        let taken = questions.take(1, PATIENCE).unwrap().questions.remove(0);
        Self {
            asked,
            number: taken.number,
            used: GivenBack {
                id: format!("a{}", taken.number),
                use_id: taken.use_id,
                is_permit: false,
            },
        }
    }

    /// The decision on the approved call, and the use.
    async fn approve(self, questions: &Arc<Questions>) -> (CheckResponse, GivenBack) {
        let id = self.used.id.clone();
        questions.answer(self.number, Answer::Approved { id }, false);
        (self.asked.await.unwrap(), self.used)
    }

    /// Approves the call, which is not made; the use is given back.
    async fn approve_in_vain(self, questions: &Arc<Questions>) -> (Outcome, String) {
        let (decision, used) = self.approve(questions).await;
        assert_eq!(decision.approval, "");
        assert_eq!(questions.take(0, PATIENCE).unwrap().given_back, [used]);
        (decision.outcome(), decision.rule)
    }
}

fn denied(rule: &str) -> (Outcome, String) {
    (Outcome::Deny, rule.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_another_call_has_taken_the_units() {
    let (rig, questions) = rig(ServerConfig::default());
    // Both are asked about while there is room for one.
    let first = Waiting::begin(&rig, &questions, call("once", 1));
    let second = Waiting::begin(&rig, &questions, call("once", 2));
    let (decision, used) = first.approve(&questions).await;
    assert_eq!((decision.outcome(), decision.approval), (Outcome::Allow, used.id));
    assert_eq!(
        second.approve_in_vain(&questions).await,
        (Outcome::RateLimited, "/tools/once/limits/c".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_new_count_can_be_kept() {
    let (rig, questions) = rig(ServerConfig::default());
    let waiting = Waiting::begin(&rig, &questions, call("each", 0));
    // As many counts as one grant may have.
    for from in [1, 513] {
        let calls = (from..from + 512).map(|n| call("free", n)).collect();
        let batch = rig.grpc().check_batch(CheckBatchRequest { calls }).await.unwrap();
        let decisions = batch.into_inner().decisions;
        assert!(
            decisions
                .iter()
                .all(|decision| decision.outcome() == Outcome::Allow)
        );
    }
    assert_eq!(
        waiting.approve_in_vain(&questions).await,
        denied("(counter capacity)")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_decision_cannot_be_logged() {
    let folder = Folder::new();
    let path = folder.file("decisions.jsonl");
    symlink("/dev/full", &path).unwrap();
    let (rig, questions) = rig(ServerConfig {
        audit: Some(AuditConfig {
            mode: AuditMode::Required,
            ..AuditConfig::new(AuditTarget::File(path))
        }),
        ..ServerConfig::default()
    });
    // The disk is full, and nobody knows before the first line is written.
    let waiting = Waiting::begin(&rig, &questions, call("asks", 1));
    let started = Instant::now();
    while rig.grpc().check(call("open", 1)).await.unwrap().into_inner().rule != "(audit unavailable)" {
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!(
        waiting.approve_in_vain(&questions).await,
        denied("(audit unavailable)")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_freeze_or_a_revocation_came_meanwhile() {
    let (channel, questions) = channel();
    let config = ServerConfig {
        approvals: Some(channel),
        ..config()
    };
    let rig = Rig::with(granted(), config);
    let spec = GrantSpec {
        id: "new".to_owned(),
        tokens: Vec::new(),
        server: "srv".to_owned(),
        policy: Some("test".to_owned()),
        servers: Vec::new(),
        labels: Vec::new(),
        expires_at_us: None,
        revoked: false,
    };
    let put = |spec: GrantSpec| assert_eq!(rig.engine.change_grants([GrantChange::Put(spec)]), []);
    put(spec.clone());
    let begin = || {
        let call = CheckRequest {
            grant: "new".to_owned(),
            server: "srv".to_owned(),
            ..call("asks", 1)
        };
        Waiting::begin(&rig, &questions, by("cgt_gateway", call))
    };

    let waiting = begin();
    let scope = FreezeScope::new(None, None, Some("new")).unwrap();
    let freeze = Freeze::new(scope, "stop", None).unwrap();
    rig.engine.set_freezes(FreezeSource::Program, vec![freeze]);
    assert_eq!(waiting.approve_in_vain(&questions).await, denied("(frozen)"));
    rig.engine.set_freezes(FreezeSource::Program, Vec::new());

    let waiting = begin();
    put(GrantSpec {
        revoked: true,
        ..spec.clone()
    });
    assert_eq!(
        waiting.approve_in_vain(&questions).await,
        denied("(grant revoked)")
    );
    put(spec);

    let waiting = begin();
    let removed = GrantChange::Remove("new".to_owned());
    assert_eq!(rig.engine.change_grants([removed]), []);
    assert_eq!(
        waiting.approve_in_vain(&questions).await,
        denied("(unknown grant)")
    );
}
