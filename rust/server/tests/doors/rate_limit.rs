//! `envoy.service.ratelimit.v3` over a real connection.

use std::time::{Duration, Instant};

use callgate_core::State;
use callgate_core::engine::{FORCED_PANIC_TOOL, Setup};
use callgate_core::freeze::{Freeze, FreezeScope, FreezeSource};
use callgate_core::policy::{Catalogue, Format, Source};
use callgate_proto::pb::envoy::config::core::v3::HeaderValue;
use callgate_proto::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use callgate_proto::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::{
    Entry, RateLimitOverride,
};
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus};
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use callgate_proto::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use callgate_proto::pb::google::protobuf::UInt64Value;
use callgate_server::{AuditConfig, AuditTarget, FieldValue, Limits, ServerConfig};
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::identity::config;
use super::support::{Folder, Rig};

const LIMITS: &str = "domain: mcp
descriptors:
  - key: user
    rate_limit: {unit: minute, requests_per_unit: 2, name: per user}
  - key: tool
    descriptors:
      - key: user
        rate_limit: {unit: hour, requests_per_unit: 10}
  - key: watched
    shadow_mode: true
    rate_limit: {unit: day, requests_per_unit: 0}
  - key: free
    rate_limit: {unlimited: true}
";

fn limits(text: &str) -> State {
    let source = Source {
        name: "limits.yaml",
        stem: "limits",
        format: Format::Yaml,
        bytes: text.as_bytes(),
    };
    let setup = Setup {
        rate_limits: vec![callgate_core::rate::parse(&source).unwrap()],
        ..Setup::default()
    };
    State::configure(setup, Catalogue::default()).unwrap()
}

fn rig() -> Rig {
    Rig::with(limits(LIMITS), ServerConfig::default())
}

fn client(rig: &Rig) -> RateLimitServiceClient<Channel> {
    RateLimitServiceClient::new(rig.channel())
}

fn descriptor(entries: &[(&str, &str)]) -> RateLimitDescriptor {
    let entries = entries.iter().map(|(key, value)| Entry {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    RateLimitDescriptor {
        entries: entries.collect(),
        ..RateLimitDescriptor::default()
    }
}

fn request(descriptors: &[RateLimitDescriptor]) -> RateLimitRequest {
    RateLimitRequest {
        domain: "mcp".to_owned(),
        descriptors: descriptors.to_vec(),
        hits_addend: 0,
    }
}

async fn ask(rig: &Rig, descriptors: &[RateLimitDescriptor]) -> RateLimitResponse {
    let answer = client(rig).should_rate_limit(request(descriptors)).await;
    answer.unwrap().into_inner()
}

async fn refusal(rig: &Rig, request: RateLimitRequest) -> Status {
    client(rig).should_rate_limit(request).await.unwrap_err()
}

fn reset_s(status: &DescriptorStatus) -> Option<i64> {
    status.duration_until_reset.as_ref().map(|reset| reset.seconds)
}

fn headers(response: &RateLimitResponse) -> Vec<(&str, &str)> {
    let headers = response.response_headers_to_add.iter();
    headers
        .map(|HeaderValue { key, value, .. }| (key.as_str(), value.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn freezes_are_about_calls_alone() {
    let rig = rig();
    let scope = FreezeScope::new(None, None, None).unwrap();
    let freeze = Freeze::new(scope, "stop", None).unwrap();
    rig.engine.set_freezes(FreezeSource::File, vec![freeze]);
    let answer = ask(&rig, &[descriptor(&[("user", "ann")])]).await;
    assert_eq!(answer.overall_code(), Code::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn limits_are_told_with_what_is_left() {
    let rig = rig();
    let user = [descriptor(&[("user", "ann")])];
    let first = ask(&rig, &user).await;
    assert_eq!(first.overall_code(), Code::Ok);
    assert_eq!(headers(&first), []);
    let [status] = first.statuses.as_slice() else {
        panic!("one status: {first:?}")
    };
    let limit = status.current_limit.as_ref().unwrap();
    assert_eq!(
        (limit.name.as_str(), limit.requests_per_unit, limit.unit()),
        ("per user", 2, Unit::Minute)
    );
    assert_eq!((status.code(), status.limit_remaining), (Code::Ok, 1));
    assert_eq!(reset_s(status), Some(60));

    rig.clock.advance_us(10_000_000);
    // Markers in capitals: text to a server that keeps to the letter, which then refuses it, and `ann` to others.
    let encoded = [descriptor(&[("user", "=?BASE64?YW5u?=")])];
    let second = ask(&rig, &encoded).await;
    assert_eq!(
        second.statuses[0].limit_remaining, 0,
        "the same name in another form"
    );
    let over = ask(&rig, &user).await;
    assert_eq!(over.overall_code(), Code::OverLimit);
    let status = &over.statuses[0];
    assert_eq!((status.code(), status.limit_remaining), (Code::OverLimit, 0));
    assert_eq!(reset_s(status), Some(50));
    assert_eq!(
        headers(&over),
        [
            ("ratelimit-limit", "2"),
            ("ratelimit-remaining", "0"),
            ("ratelimit-reset", "50"),
            ("retry-after", "50")
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn refusals_leave_a_line() {
    let folder = Folder::new();
    let path = folder.file("decisions.jsonl");
    let audit = AuditConfig::new(AuditTarget::File(path.clone()));
    let config = ServerConfig {
        audit: Some(audit),
        ..ServerConfig::default()
    };
    let rig = Rig::with(limits(LIMITS), config);
    let asked = [
        descriptor(&[("tool", "a/b"), ("user", "ann")]),
        descriptor(&[("user", "ann")]),
        descriptor(&[("watched", "x")]),
    ];
    for _ in 0..3 {
        ask(&rig, &asked).await;
    }
    let many = RateLimitRequest {
        hits_addend: 11,
        ..request(&asked[..1])
    };
    client(&rig).should_rate_limit(many).await.unwrap();
    rig.server.stop();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // What passed left none. Two connections' lines come in either order.
    let [first, second] = lines.as_slice() else {
        panic!("two refusals: {text}")
    };
    let (by_name, by_descriptor) = if first["rule"] == "/user=ann" {
        (first, second)
    } else {
        (second, first)
    };
    for (field, expected) in [
        ("protocol", json!("rate_limit")),
        ("outcome", json!("rate_limited")),
        ("rule", json!("/user=ann")),
        ("policy", json!("mcp")),
        ("grant", json!("")),
        ("args_keys", Value::Null),
        ("retry_after_ms", json!(60_000)),
    ] {
        assert_eq!(by_name[field], expected, "{field}");
    }
    let limit = json!([{"counter": "per user", "max": 2, "remaining": 0, "reset_after_ms": 60_000}]);
    assert_eq!(by_name["limits"], limit);
    assert_eq!(by_descriptor["rule"], "/tool=a~1b/user=ann");
    assert_eq!(by_descriptor["limits"][0]["counter"], "/tool=a~1b/user=ann");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn refusals_are_told_as_other_denials_are() {
    let rig = rig();
    let user = [descriptor(&[("user", "ann")])];
    for _ in 0..2 {
        ask(&rig, &user).await;
    }
    assert!(
        rig.server
            .drain_events(usize::MAX)
            .iter()
            .all(|event| event.event != "denied")
    );
    for _ in 0..25 {
        ask(&rig, &user).await;
    }
    // At most ten of a second, whatever callers do; the others are summed up by the next second.
    let (mut told, mut suppressed) = (Vec::new(), 0);
    let started = Instant::now();
    while told.len() as u64 + suppressed < 25 {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{told:?} {suppressed}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
        for event in rig.server.drain_events(usize::MAX) {
            if event.event == "denied" {
                told.push(event);
                continue;
            }
            if let [
                ("refusal", FieldValue::Text(refusal)),
                ("count", FieldValue::Number(count)),
            ] = event.fields.as_slice()
            {
                assert_eq!(refusal, "rate_limit_exceeded");
                suppressed += count;
            }
        }
    }
    assert_eq!((told.len(), suppressed), (10, 15));
    for (name, value) in [
        ("domain", "mcp"),
        ("outcome", "rate_limited"),
        ("rule", "/user=ann"),
    ] {
        let field = (name, FieldValue::Text(value.to_owned()));
        assert!(told[0].fields.contains(&field), "{:?}", told[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_status_for_each_descriptor() {
    let rig = rig();
    let descriptors = [
        descriptor(&[("user", "ann")]),
        descriptor(&[("tool", "x"), ("user", "ann")]),
        descriptor(&[("nobody", "knows")]),
        descriptor(&[("free", "x")]),
        descriptor(&[("watched", "x")]),
    ];
    for _ in 0..2 {
        assert_eq!(ask(&rig, &descriptors).await.overall_code(), Code::Ok);
    }
    let over = ask(&rig, &descriptors).await;
    assert_eq!(over.overall_code(), Code::OverLimit);
    let statuses: Vec<_> = over
        .statuses
        .iter()
        .map(|status| {
            (
                status.code(),
                status.current_limit.is_some(),
                status.limit_remaining,
            )
        })
        .collect();
    assert_eq!(
        statuses,
        [
            (Code::OverLimit, true, 0),
            // Not even looked at by the refused request.
            (Code::Ok, true, 8),
            (Code::Ok, false, 0),
            (Code::Ok, false, u32::MAX),
            (Code::Ok, true, 0),
        ]
    );
    let counted = rig.server.metrics().rate_limits;
    let counted: Vec<_> = counted
        .iter()
        .map(|one| (one.domain.as_str(), one.outcome, one.count))
        .collect();
    assert_eq!(counted, [("mcp", "over_limit", 1), ("mcp", "shadow", 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hits_and_limits_come_with_the_request() {
    let rig = rig();
    let hits = |hits: u64| RateLimitDescriptor {
        hits_addend: Some(UInt64Value { value: hits }),
        ..descriptor(&[("tool", "x"), ("user", "ann")])
    };
    assert_eq!(ask(&rig, &[hits(7)]).await.statuses[0].limit_remaining, 3);
    assert_eq!(ask(&rig, &[hits(4)]).await.overall_code(), Code::OverLimit);
    assert_eq!(ask(&rig, &[hits(0)]).await.statuses[0].limit_remaining, 3);
    let all = RateLimitRequest {
        hits_addend: 3,
        ..request(&[descriptor(&[("tool", "x"), ("user", "ann")])])
    };
    let answer = client(&rig).should_rate_limit(all).await.unwrap().into_inner();
    assert_eq!(answer.statuses[0].limit_remaining, 0);
    assert_eq!(ask(&rig, &[hits(0)]).await.overall_code(), Code::OverLimit);

    let own = |requests_per_unit, unit: i32| RateLimitDescriptor {
        limit: Some(RateLimitOverride {
            requests_per_unit,
            unit,
        }),
        ..descriptor(&[("user", "bob")])
    };
    let answer = ask(&rig, &[own(5, Unit::Year.into())]).await;
    let limit = answer.statuses[0].current_limit.as_ref().unwrap();
    assert_eq!((limit.requests_per_unit, limit.unit()), (5, Unit::Year));
    assert_eq!(answer.statuses[0].limit_remaining, 4);
    for unit in [0, 8, -1] {
        let status = refusal(&rig, request(&[own(5, unit)])).await;
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{unit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_no_request_is_refused() {
    let rig = rig();
    let user = descriptor(&[("user", "ann")]);
    let named = |domain: &str| RateLimitRequest {
        domain: domain.to_owned(),
        ..request(std::slice::from_ref(&user))
    };
    let negative = RateLimitDescriptor {
        is_negative_hits: true,
        ..user.clone()
    };
    for (request, code, message) in [
        (
            named(""),
            tonic::Code::InvalidArgument,
            "expected `domain` to name a domain, got an empty string",
        ),
        (
            named("other"),
            tonic::Code::NotFound,
            "unknown domain `other`; expected one of `mcp`, or add its file to `rate_limits`",
        ),
        (
            request(&[]),
            tonic::Code::InvalidArgument,
            "expected 1 to 256 descriptors, got 0",
        ),
        (
            request(&vec![user.clone(); 257]),
            tonic::Code::InvalidArgument,
            "expected 1 to 256 descriptors, got 257",
        ),
        (
            request(&[negative]),
            tonic::Code::InvalidArgument,
            "`is_negative_hits` is not supported: hits that were taken are not given back this way",
        ),
    ] {
        let status = refusal(&rig, request).await;
        assert_eq!((status.code(), status.message()), (code, message));
    }
    assert_eq!(
        ask(&rig, std::slice::from_ref(&user)).await.statuses[0].limit_remaining,
        1
    );
    assert_eq!(
        rig.wait_for_event("rate_limit_failed").fields[1].1,
        FieldValue::Text("unknown domain".to_owned())
    );

    let none = refusal(&Rig::new(), named("mcp")).await;
    assert_eq!(
        (none.code(), none.message()),
        (
            tonic::Code::NotFound,
            "no rate limits are configured; name their files in `rate_limits`"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_panic_refuses_and_the_server_goes_on() {
    let rig = rig();
    let user = descriptor(&[("user", "ann")]);
    let over = ask(&rig, &[user.clone(), descriptor(&[(FORCED_PANIC_TOOL, "x")])]).await;
    assert_eq!(over.overall_code(), Code::OverLimit);
    assert_eq!(over.statuses.len(), 2);
    assert_eq!(rig.server.metrics().internal_errors, 1);
    assert_eq!(ask(&rig, &[user]).await.statuses[0].limit_remaining, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_who_may_ask_is_answered() {
    let rig = Rig::with(limits(LIMITS), config());
    let user = [descriptor(&[("user", "ann")])];
    let status = refusal(&rig, request(&user)).await;
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    let mut asked = Request::new(request(&user));
    asked
        .metadata_mut()
        .insert("authorization", "Bearer cgt_gateway".parse().unwrap());
    let answer = client(&rig).should_rate_limit(asked).await.unwrap().into_inner();
    assert_eq!(answer.statuses[0].limit_remaining, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_are_bounded_in_size_and_time() {
    let rig = Rig::with(
        limits(LIMITS),
        ServerConfig {
            limits: Limits {
                body_limit_bytes: 2_048,
                ..Limits::default()
            },
            ..ServerConfig::default()
        },
    );
    let large = request(&[descriptor(&[("user", &"x".repeat(4_096))])]);
    assert_eq!(refusal(&rig, large).await.code(), tonic::Code::ResourceExhausted);
    let mut late = Request::new(request(&[descriptor(&[("user", "ann")])]));
    late.set_timeout(Duration::from_nanos(1));
    let status = client(&rig).should_rate_limit(late).await.unwrap_err();
    assert!(
        matches!(
            status.code(),
            tonic::Code::DeadlineExceeded | tonic::Code::Cancelled
        ),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn limits_change_while_it_runs() {
    let rig = rig();
    let user = [descriptor(&[("user", "ann")])];
    ask(&rig, &user).await;
    let text = LIMITS.replace("requests_per_unit: 2", "requests_per_unit: 5");
    rig.engine.reload(limits(&format!("headers: always\n{text}")));
    let answer = ask(&rig, &user).await;
    assert_eq!(answer.statuses[0].limit_remaining, 3);
    assert_eq!(
        headers(&answer),
        [
            ("ratelimit-limit", "5"),
            ("ratelimit-remaining", "3"),
            ("ratelimit-reset", "60")
        ]
    );
    assert_eq!(rig.server.metrics().rate_limits[0].count, 2, "counts go on");
}
