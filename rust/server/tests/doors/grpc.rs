//! `callgate.decision.v1`, `grpc.health.v1` and reflection.

use callgate_proto::decision::v1::{CheckRequest, Outcome, SettleAction, SettleRequest};
use callgate_server::Limits;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use super::support::{Rig, START_US};

fn check(tool: &str, args: &str) -> CheckRequest {
    CheckRequest {
        grant: "g".to_owned(),
        tool: tool.to_owned(),
        args_json: args.to_owned().into(),
        ..CheckRequest::default()
    }
}

fn settle(reservation: &str, action: SettleAction) -> SettleRequest {
    SettleRequest {
        reservation: reservation.to_owned(),
        action: action.into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_allow_carries_its_limits() {
    let rig = Rig::new();
    let response = rig
        .grpc()
        .check(check("spend", r#"{"amount":0.25}"#))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(response.outcome(), Outcome::Allow);
    assert_eq!(
        (
            response.rule.as_str(),
            response.message.as_str(),
            response.policy.as_str()
        ),
        ("", "", "test")
    );
    assert_eq!(response.policy_version.len(), 12);
    assert_eq!(response.decided_at_us, START_US);
    let [limit] = response.limits.as_slice() else {
        panic!("one limit: {:?}", response.limits)
    };
    assert_eq!(
        (limit.counter.as_str(), limit.max, limit.remaining),
        ("spend", 10.5, 10.25)
    );
    assert!(limit.reset_after_ms > 0);
    assert_eq!(response.reservation, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_outcome_is_ok() {
    let rig = Rig::new();
    let mut client = rig.grpc();
    let mut ask = async |request: CheckRequest| client.check(request).await.unwrap().into_inner();

    assert_eq!(
        ask(check("open", "")).await.outcome(),
        Outcome::Allow,
        "nothing stands for no arguments"
    );

    let denied = ask(check("forbidden", "{}")).await;
    assert_eq!(
        (denied.outcome(), denied.rule.as_str()),
        (Outcome::Deny, "/tools/forbidden/action")
    );
    assert_eq!(denied.message, "ask the data team");

    ask(check("capped", "{}")).await;
    ask(check("capped", "{}")).await;
    let limited = ask(check("capped", "{}")).await;
    assert_eq!(
        (limited.outcome(), limited.rule.as_str()),
        (Outcome::RateLimited, "/tools/capped/limits/calls")
    );
    assert_eq!(limited.retry_after_ms, Some(60_000));

    let pending = ask(check("asks", "{}")).await;
    assert_eq!(
        (pending.outcome(), pending.rule.as_str()),
        (Outcome::ApprovalRequired, "/tools/asks/approval")
    );
    assert_eq!(pending.fingerprint.len(), 64);

    let watched = ask(check("watched", "{}")).await;
    assert_eq!(watched.outcome(), Outcome::Allow);
    let shadow = watched.shadow.unwrap();
    assert_eq!(
        (shadow.outcome(), shadow.rule.as_str()),
        (Outcome::Deny, "/tools/watched/action")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn faulty_calls_are_decisions() {
    let rig = Rig::new();
    let mut client = rig.grpc();
    let deep = format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65));
    let mut requests: Vec<CheckRequest> = [
        "[]",
        "null",
        "{",
        "{\"a\":NaN}",
        r#"{"a":1,"a":2}"#,
        r#"{"a":"\ud800"}"#,
        deep.as_str(),
    ]
    .map(|args| check("open", args))
    .into();
    requests.push(CheckRequest {
        args_json: b"{\"a\":\"\xff\"}".to_vec().into(),
        ..check("open", "")
    });
    requests.push(CheckRequest {
        grant: String::new(),
        ..check("open", "")
    });
    requests.push(CheckRequest {
        tool: "a\0b".to_owned(),
        ..check("open", "")
    });
    requests.push(CheckRequest {
        session: "a\0b".to_owned(),
        ..check("open", "")
    });
    for request in requests {
        let shown = format!("{request:?}");
        let response = client.check(request).await.unwrap().into_inner();
        assert_eq!(
            (response.outcome(), response.rule.as_str()),
            (Outcome::Deny, "(invalid request)"),
            "{shown}"
        );
        assert!(!response.message.is_empty(), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn labels_and_session_reach_the_policy() {
    let rig = Rig::new();
    let mut client = rig.grpc();
    for (team, outcome) in [("ops", Outcome::Allow), ("dev", Outcome::Deny)] {
        let labels = [("team".to_owned(), team.to_owned())].into();
        let response = client
            .check(CheckRequest {
                labels,
                ..check("labelled", "")
            })
            .await
            .unwrap();
        assert_eq!(response.into_inner().outcome(), outcome, "{team}");
    }
    for (session, outcome) in [("s1", Outcome::Allow), ("", Outcome::Deny)] {
        let request = CheckRequest {
            session: session.to_owned(),
            ..check("in_session", "")
        };
        assert_eq!(
            client.check(request).await.unwrap().into_inner().outcome(),
            outcome,
            "{session}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reservation_is_settled_once() {
    let rig = Rig::new();
    let mut client = rig.grpc();
    let reserve = || CheckRequest {
        reserve: true,
        ..check("capped", "{}")
    };
    let first = client.check(reserve()).await.unwrap().into_inner().reservation;
    let second = client.check(reserve()).await.unwrap().into_inner().reservation;
    assert!(first.len() == 32 && first != second, "{first} {second}");
    let refused = client.check(reserve()).await.unwrap().into_inner();
    assert_eq!(
        (refused.outcome(), refused.reservation.as_str()),
        (Outcome::RateLimited, "")
    );

    let mut settled = async |id: &str, action| {
        client
            .settle(settle(id, action))
            .await
            .unwrap()
            .into_inner()
            .settled
    };
    assert!(settled(&first, SettleAction::RollBack).await);
    assert!(!settled(&first, SettleAction::RollBack).await);
    assert!(settled(&second, SettleAction::Commit).await);
    assert!(!settled(&second, SettleAction::RollBack).await);
    assert!(!settled(&"0".repeat(32), SettleAction::RollBack).await);

    let mut client = rig.grpc();
    assert_eq!(
        client.check(reserve()).await.unwrap().into_inner().outcome(),
        Outcome::Allow,
        "one unit came back"
    );
    assert_eq!(
        client.check(reserve()).await.unwrap().into_inner().outcome(),
        Outcome::RateLimited
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn settlements_that_are_no_request_are_refused() {
    let rig = Rig::new();
    let mut client = rig.grpc();
    for (id, action) in [
        ("", SettleAction::RollBack),
        ("12345", SettleAction::Commit),
        ("0123456789abcdef0123456789abcdeX", SettleAction::RollBack),
        ("0123456789abcdef0123456789abcdef", SettleAction::Unspecified),
    ] {
        let status = client.settle(settle(id, action)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_above_the_limit_is_resource_exhausted() {
    let rig = Rig::new();
    let mut client = rig.grpc();
    let args = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes));
    let status = client.check(check("open", &args(5 << 20))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let large = client
        .check(check("open", &args(3 << 20)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(large.outcome(), Outcome::Allow, "{}", large.message);

    let small = Rig::limited(Limits {
        body_limit_bytes: 100,
        ..Limits::default()
    });
    let status = small.grpc().check(check("open", &args(101))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn health_follows_the_server() {
    let rig = Rig::new();
    let mut client = HealthClient::new(rig.channel());
    let request = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let names = ["", "callgate.decision.v1.DecisionService"];
    for (serving, expected) in [
        (None, ServingStatus::Serving),
        (Some(false), ServingStatus::NotServing),
        (Some(true), ServingStatus::Serving),
    ] {
        if let Some(serving) = serving {
            rig.server.set_serving(serving);
        }
        for name in names {
            let status = client.check(request(name)).await.unwrap().into_inner().status();
            assert_eq!(status, expected, "{name}");
        }
    }
    assert_eq!(
        client.check(request("other")).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn watchers_hear_of_the_stop_and_do_not_hold_it_up() {
    let rig = Rig::new();
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let mut watch = HealthClient::new(rig.channel())
        .watch(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        watch.next().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    let stopping = tokio::task::spawn_blocking(move || {
        rig.server.stop();
        rig.wait_for_event("server_stopped")
    });
    assert_eq!(
        watch.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert!(watch.next().await.is_none());
    let stopped = stopping.await.unwrap();
    assert_eq!(stopped.fields, [("connections_cut_off", 0_u64.into())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reflection_lists_the_services() {
    let rig = Rig::new();
    let expected = ["callgate.decision.v1.DecisionService", "grpc.health.v1.Health"];

    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(rig.channel());
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
                "callgate.decision.v1.CheckRequest".to_owned(),
            ),
        ),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(rig.channel());
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    assert!(
        matches!(
            answer,
            v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_)
        ),
        "{answer:?}"
    );
}
