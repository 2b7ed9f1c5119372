//! The enforcement points that may ask, at every door, and the effect of a grant's token.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use callgate_core::State;
use callgate_core::engine::{FORCED_PANIC_TOOL, Setup};
use callgate_core::grant::{GrantSpec, Token, TokenKey};
use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::decision_service_client::DecisionServiceClient;
use callgate_proto::decision::v1::{
    CheckBatchRequest, CheckRequest, CheckResponse, CheckStreamRequest, Outcome, SettleAction, SettleRequest,
};
use callgate_server::{FieldValue, Level, PepSpec, Reload, ServerConfig};
use tokio_stream::StreamExt as _;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use super::support::{Answer, Folder, POLICY, Rig, answer, read_policy, request, state_by_server};

pub(crate) fn key() -> TokenKey {
    TokenKey::new([6; 32])
}

pub(crate) fn pep(name: &str, token: &str) -> PepSpec {
    PepSpec {
        name: name.to_owned(),
        tokens: vec![key().digest(Token::new(token)).into()],
        ..PepSpec::default()
    }
}

fn peps() -> Vec<PepSpec> {
    vec![
        pep("proxy", "cgt_proxy"),
        PepSpec {
            vouches: true,
            ..pep("gateway", "cgt_gateway")
        },
    ]
}

pub(crate) fn config() -> ServerConfig {
    ServerConfig {
        peps: Some(peps()),
        pep_key: Some(key()),
        ..ServerConfig::default()
    }
}

/// Server `srv` with one grant, `mine`, and `other` with one, `theirs`.
pub(crate) fn granted() -> State {
    let grant = |id: &str, server: &str| GrantSpec {
        id: id.to_owned(),
        tokens: vec![key().digest(Token::new(&format!("cgt_{id}"))).into()],
        server: server.to_owned(),
        policy: Some("test".to_owned()),
        servers: Vec::new(),
        labels: vec![("team".to_owned(), "ops".to_owned())],
        expires_at_us: None,
        revoked: false,
    };
    let setup = Setup {
        policies: vec![(
            "test".to_owned(),
            "test.json".to_owned(),
            read_policy("test", POLICY.as_bytes()),
        )],
        servers: ["srv", "other"].map(|server| (server.to_owned(), None)).into(),
        grants: Some(vec![
            grant("mine", "srv"),
            grant("theirs", "other"),
            GrantSpec {
                revoked: true,
                ..grant("revoked", "srv")
            },
        ]),
        grant_key: Some(key()),
        ..Setup::default()
    };
    State::configure(setup, Catalogue::default()).unwrap()
}

fn call(tool: &str) -> CheckRequest {
    CheckRequest {
        grant: "g".to_owned(),
        tool: tool.to_owned(),
        ..CheckRequest::default()
    }
}

/// Makes a message with these `authorization` fields.
fn with<T>(message: T, authorization: &[&str]) -> Request<T> {
    let mut request = Request::new(message);
    for field in authorization {
        request
            .metadata_mut()
            .append("authorization", MetadataValue::try_from(*field).unwrap());
    }
    request
}

async fn check(
    client: &mut DecisionServiceClient<Channel>,
    call: CheckRequest,
    authorization: &[&str],
) -> Result<CheckResponse, Status> {
    Ok(client.check(with(call, authorization)).await?.into_inner())
}

fn post(rig: &Rig, body: &str, fields: &[&str]) -> Answer {
    let fields: Vec<&str> = ["Host: localhost"]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    rig.send("POST /v1/check", &fields, body.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_known_enforcement_points_are_answered() {
    let rig = Rig::configured(config());
    let mut client = rig.grpc();
    let body = r#"{"grant":"g","tool":"open"}"#;
    for fine in ["Bearer cgt_proxy", "bearer cgt_proxy", "BEARER cgt_gateway"] {
        assert_eq!(check(&mut client, call("open"), &[fine]).await.unwrap().rule, "");
        assert_eq!(post(&rig, body, &[&format!("Authorization: {fine}")]).status, 200);
    }
    for wrong in [
        &[][..],
        &["Bearer CGT_PROXY"],
        &["Bearer cgt_proxy2"],
        &["Basic cgt_proxy"],
        &["cgt_proxy"],
        &["Bearer cgt_proxy", "Bearer cgt_proxy"],
        &["Bearer cgt_proxy", "Bearer cgt_gateway"],
    ] {
        let status = check(&mut client, call("open"), wrong).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{wrong:?}");
        assert_eq!(status.metadata().get("www-authenticate").unwrap(), "Bearer");
        let fields: Vec<String> = wrong
            .iter()
            .map(|field| format!("Authorization: {field}"))
            .collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let refused = post(&rig, body, &fields);
        assert_eq!(
            (refused.status, refused.field("www-authenticate")),
            (401, Some("Bearer")),
            "{wrong:?}"
        );
        assert!(!refused.body.contains("cgt_"), "{}", refused.body);
    }
    let settle = SettleRequest {
        reservation: "0".repeat(32),
        action: SettleAction::Commit.into(),
    };
    let status = client.settle(settle.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        !client
            .settle(with(settle, &["Bearer cgt_proxy"]))
            .await
            .unwrap()
            .into_inner()
            .settled
    );

    let status = client.check_stream(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let batch = callgate_proto::decision::v1::CheckBatchRequest::default();
    let status = client.check_batch(batch).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    let counted: u64 = rig
        .server
        .metrics()
        .requests
        .iter()
        .filter(|one| one.code == "401" || one.code == "UNAUTHENTICATED")
        .map(|one| one.count)
        .sum();
    assert_eq!(counted, 7 + 7 + 3);
    let refused = rig.wait_for_event("pep_refused");
    assert_eq!(
        (refused.level, refused.fields),
        (
            Level::Warning,
            vec![("reason", FieldValue::from("no credential"))]
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn health_is_open_and_reflection_is_not() {
    let rig = Rig::configured(config());
    let health = HealthClient::new(rig.channel())
        .check(HealthCheckRequest::default())
        .await;
    assert!(health.is_ok(), "{health:?}");
    let list = || {
        tokio_stream::once(ServerReflectionRequest {
            host: String::new(),
            message_request: Some(
                tonic_reflection::pb::v1::server_reflection_request::MessageRequest::ListServices(
                    String::new(),
                ),
            ),
        })
    };
    let mut reflection = ServerReflectionClient::new(rig.channel());
    let refused = reflection.server_reflection_info(list()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut answers = reflection
        .server_reflection_info(with(list(), &["Bearer cgt_proxy"]))
        .await
        .unwrap()
        .into_inner();
    assert!(answers.next().await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reservation_is_settled_by_who_reserved() {
    let rig = Rig::configured(config());
    let mut client = rig.grpc();
    let reserve = CheckRequest {
        reserve: true,
        ..call("capped")
    };
    let held = check(&mut client, reserve, &["Bearer cgt_proxy"]).await.unwrap();
    let mut settle = async |action: SettleAction, by: &str| {
        let message = SettleRequest {
            reservation: held.reservation.clone(),
            action: action.into(),
        };
        client
            .settle(with(message, &[by]))
            .await
            .unwrap()
            .into_inner()
            .settled
    };
    for action in [SettleAction::RollBack, SettleAction::Commit] {
        assert!(!settle(action, "Bearer cgt_gateway").await, "{action:?}");
    }
    // Reloads keep the names, and so what belongs to them.
    rig.reload_peps(peps().into_iter().rev().collect()).unwrap();
    assert!(!settle(SettleAction::RollBack, "Bearer cgt_gateway").await);
    assert!(settle(SettleAction::RollBack, "Bearer cgt_proxy").await);
    assert!(!settle(SettleAction::RollBack, "Bearer cgt_proxy").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reload_reaches_open_connections_and_a_faulty_one_changes_nothing() {
    let rig = Rig::configured(config());
    let mut client = rig.grpc();
    assert!(
        check(&mut client, call("open"), &["Bearer cgt_proxy"])
            .await
            .is_ok()
    );
    let error = rig.reload_peps(vec![PepSpec::default()]).unwrap_err();
    assert_eq!(error.to_string(), "pep ``: the `name` is empty; give it one");
    assert!(
        check(&mut client, call("open"), &["Bearer cgt_proxy"])
            .await
            .is_ok()
    );
    rig.reload_peps(vec![pep("proxy", "cgt_new")]).unwrap();
    let status = check(&mut client, call("open"), &["Bearer cgt_proxy"])
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        check(&mut client, call("open"), &["Bearer cgt_new"])
            .await
            .is_ok()
    );
    // An empty list admits nobody, not everybody.
    rig.reload_peps(Vec::new()).unwrap();
    for credentials in [&[][..], &["Bearer cgt_new"]] {
        let status = check(&mut client, call("open"), credentials).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
}

/// Counts the allowed calls of all that are asked until `done`.
async fn allowed_until(done: &AtomicBool, mut ask: impl AsyncFnMut() -> usize) -> usize {
    let mut allowed = 0;
    while !done.load(Ordering::Relaxed) {
        allowed += ask().await;
    }
    allowed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_goes_by_two_configurations() {
    const OTHER: &str = "Bearer cgt_other";
    let open = || state_by_server(&[("srv", POLICY)]);
    // With the list of one and the state of the other this PEP could name any grant.
    let with_grants = || Reload {
        state: Some(granted()),
        peps: Some(vec![pep("other", "cgt_other")]),
        ..Reload::default()
    };
    let with_peps = || Reload {
        state: Some(open()),
        peps: Some(peps()),
        ..Reload::default()
    };
    let rig = Rig::with(open(), config());
    let named = CheckRequest {
        grant: "mine".to_owned(),
        server: "srv".to_owned(),
        ..call("open")
    };
    let is_allowed = |decision: &CheckResponse| decision.outcome() == Outcome::Allow;
    let done = AtomicBool::new(false);
    let (mut unary, mut batch, mut stream) = (rig.grpc(), rig.grpc(), rig.grpc());
    let unary = allowed_until(&done, async || {
        let decision = check(&mut unary, named.clone(), &[OTHER]).await;
        usize::from(decision.is_ok_and(|decision| is_allowed(&decision)))
    });
    let batch = allowed_until(&done, async || {
        let calls = vec![named.clone(); 16];
        let decisions = batch
            .check_batch(with(CheckBatchRequest { calls }, &[OTHER]))
            .await;
        decisions.map_or(0, |decisions| {
            let decisions = decisions.into_inner().decisions;
            decisions.iter().filter(|decision| is_allowed(decision)).count()
        })
    });
    let stream = allowed_until(&done, async || {
        let message = CheckStreamRequest {
            id: 0,
            call: Some(named.clone()),
        };
        let calls = tokio_stream::iter(vec![message; 64]);
        let mut allowed = 0;
        if let Ok(answers) = stream.check_stream(with(calls, &[OTHER])).await {
            let mut answers = answers.into_inner();
            while let Some(Ok(answer)) = answers.next().await {
                allowed += usize::from(is_allowed(&answer.decision.unwrap()));
            }
        }
        allowed
    });
    let allowed = std::thread::scope(|threads| {
        let http = threads.spawn(|| {
            let mut allowed = 0;
            while !done.load(Ordering::Relaxed) {
                allowed += usize::from(
                    post(
                        &rig,
                        r#"{"grant":"mine","server":"srv","tool":"open"}"#,
                        &["Authorization: Bearer cgt_other"],
                    )
                    .status
                        == 200,
                );
            }
            allowed
        });
        threads.spawn(|| {
            for _ in 0..500 {
                rig.server.reload(with_grants()).unwrap();
                rig.server.reload(with_peps()).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let asked = async { tokio::join!(unary, batch, stream) };
        let (unary, batch, stream) =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(asked));
        [unary, batch, stream, http.join().unwrap()]
    });
    assert_eq!(allowed, [0; 4]);
    // The calls are fine where they are allowed.
    let decision = check(&mut rig.grpc(), named, &["Bearer cgt_proxy"])
        .await
        .unwrap();
    assert!(is_allowed(&decision), "{decision:?}");
}

#[test]
fn a_user_behind_the_socket_is_known() {
    let folder = Folder::new();
    let path = folder.file("callgate.sock");
    let own_uid = rustix::process::geteuid().as_raw();
    let of_user = |uid| PepSpec {
        name: "user".to_owned(),
        unix_uids: vec![uid],
        ..PepSpec::default()
    };
    let rig = Rig::configured(ServerConfig {
        socket: Some(path.clone()),
        ..config()
    });
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let ask = |fields: &[&str]| {
        let mut stream = UnixStream::connect(&path).unwrap();
        let body = br#"{"grant":"g","tool":"open"}"#;
        stream
            .write_all(&request("POST /v1/check", fields, body))
            .unwrap();
        answer(stream).status
    };
    assert_eq!(mode(), 0o600);
    assert_eq!(ask(&[]), 401, "its own user is no enforcement point by itself");
    assert_eq!(ask(&["Authorization: Bearer cgt_proxy"]), 200);

    let mut both = peps();
    both.push(of_user(own_uid));
    rig.reload_peps(both).unwrap();
    assert_eq!(mode(), 0o666, "others can connect, and are told by their user");
    assert_eq!(ask(&[]), 200);
    assert_eq!(ask(&["Authorization: Bearer cgt_proxy"]), 401, "two that differ");
    rig.reload_peps(vec![of_user(own_uid.wrapping_add(1))]).unwrap();
    assert_eq!(ask(&[]), 401);
    rig.reload_peps(peps()).unwrap();
    assert_eq!(mode(), 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_without_a_caller_is_refused_in_the_same_words_at_every_door() {
    let rig = Rig::with(granted(), config());
    let unnamed = CheckRequest {
        grant: String::new(),
        ..call("labelled")
    };
    let decision = check(&mut rig.grpc(), unnamed, &["Bearer cgt_proxy"])
        .await
        .unwrap();
    assert!(
        decision.message.contains("send the token of a grant"),
        "{decision:?}"
    );
    let over_http = post(
        &rig,
        r#"{"tool":"labelled"}"#,
        &["Authorization: Bearer cgt_proxy"],
    );
    assert_eq!(
        [over_http.text("rule"), over_http.text("message")],
        ["(invalid request)".to_owned(), decision.message]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_is_a_grant_at_every_door() {
    let rig = Rig::with(granted(), config());
    let mut client = rig.grpc();
    let by_token = |token: &str, server: &str| CheckRequest {
        grant: String::new(),
        grant_token: token.to_owned(),
        server: server.to_owned(),
        ..call("labelled")
    };
    for (token, server, rule) in [
        ("cgt_mine", "srv", ""),
        ("cgt_mine", "", ""),
        ("cgt_theirs", "", ""),
        ("cgt_theirs", "srv", "(unknown grant)"),
        ("CGT_MINE", "srv", "(unknown grant)"),
        ("cgt_revoked", "srv", "(grant revoked)"),
        ("cgt_mine", "nowhere", "(unknown server)"),
    ] {
        let decision = check(&mut client, by_token(token, server), &["Bearer cgt_proxy"])
            .await
            .unwrap();
        assert_eq!(decision.rule, rule, "{token} {server}");
        let body = format!(r#"{{"grant_token":"{token}","server":"{server}","tool":"labelled"}}"#);
        let over_http = post(&rig, &body, &["Authorization: Bearer cgt_proxy"]);
        assert_eq!(over_http.text("rule"), rule, "{token} {server}");
        assert!(!over_http.body.contains(token), "{}", over_http.body);
    }
    // Only an enforcement point that vouches may name a grant by its id alone, and none may send labels.
    let named = CheckRequest {
        grant: "mine".to_owned(),
        ..call("labelled")
    };
    let labelled = CheckRequest {
        labels: [("team".to_owned(), "ops".to_owned())].into(),
        ..named.clone()
    };
    let both = CheckRequest {
        grant_token: "cgt_mine".to_owned(),
        ..named.clone()
    };
    for (message, by, rule) in [
        (&named, "Bearer cgt_gateway", ""),
        (&named, "Bearer cgt_proxy", "(unknown grant)"),
        (&labelled, "Bearer cgt_gateway", "(invalid request)"),
        (&both, "Bearer cgt_gateway", "(invalid request)"),
    ] {
        let decision = check(&mut client, message.clone(), &[by]).await.unwrap();
        assert_eq!(decision.rule, rule, "{message:?} {by}");
    }
    let events = rig.server.drain_events(usize::MAX);
    let revoked = ("rule", "(grant revoked)".into());
    let denied = events
        .iter()
        .find(|event| event.fields.contains(&revoked))
        .unwrap();
    assert!(denied.fields.contains(&("grant", "revoked".into())), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_panic_in_a_decision_is_a_denial() {
    let rig = Rig::with(granted(), ServerConfig::default());
    let mut client = rig.grpc();
    let forced = CheckRequest {
        grant: String::new(),
        grant_token: "cgt_mine".to_owned(),
        ..call(FORCED_PANIC_TOOL)
    };
    let decision = check(&mut client, forced.clone(), &[]).await.unwrap();
    assert_eq!(decision.rule, "(internal error)");
    let body = format!(r#"{{"grant":"g","tool":"{FORCED_PANIC_TOOL}"}}"#);
    let over_http = rig.post(&body);
    assert_eq!(
        (over_http.status, over_http.text("rule")),
        (403, "(internal error)".to_owned())
    );
    assert_eq!(rig.server.metrics().internal_errors, 2);
    let told = rig.wait_for_event("internal_error");
    assert_eq!(told.level, Level::Error);
    // The same connection, the same threads.
    let fine = CheckRequest {
        tool: "open".to_owned(),
        ..forced
    };
    assert_eq!(check(&mut client, fine, &[]).await.unwrap().rule, "");
}
