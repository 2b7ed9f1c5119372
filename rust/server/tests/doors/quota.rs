//! Envoy's quota service from outside: reports as Envoy sends them, and the assignments that come back.

use std::collections::BTreeMap;
use std::time::Duration;

use callgate_core::freeze::{Freeze, FreezeScope, FreezeSource};
use callgate_core::policy::Catalogue;
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_response::bucket_action::BucketAction as Assignment;
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_service_client::RateLimitQuotaServiceClient;
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_usage_reports::BucketQuotaUsage;
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::{
    BucketId, RateLimitQuotaResponse, RateLimitQuotaUsageReports,
};
use callgate_proto::pb::envoy::r#type::v3::rate_limit_strategy::{BlanketRule, Strategy};
use callgate_proto::pb::google::protobuf::Duration as ProtoDuration;
use callgate_server::ServerConfig;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use super::identity::{config, pep};
use super::support::{Rig, state};

const POLICY: &str = r#"{
    "version": "1", "name": "test", "default": "deny", "hide": ["secret"],
    "tools": {
        "open": {},
        "capped": {"limits": [{"counter": "calls", "window": "hour", "max": 16}]},
        "none": {"limits": [{"counter": "none", "window": "hour", "max": 0}]},
        "daily": {"limits": [{"counter": "days", "window": "day", "align": "calendar", "max": 5}]},
        "small": {"deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 10}]}]}
    }
}"#;

fn rig() -> Rig {
    Rig::with(
        state(POLICY.as_bytes(), Catalogue::default()),
        ServerConfig::default(),
    )
}

/// One stream, from Envoy's side.
#[derive(Debug)]
struct Quotas {
    sender: mpsc::Sender<RateLimitQuotaUsageReports>,
    answers: Streaming<RateLimitQuotaResponse>,
}

fn id(tool: &str) -> BTreeMap<String, String> {
    [("grant", "g1"), ("tool", tool)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn usage(bucket: BTreeMap<String, String>, allowed: u64, denied: u64) -> BucketQuotaUsage {
    BucketQuotaUsage {
        bucket_id: Some(BucketId { bucket }),
        time_elapsed: Some(ProtoDuration { seconds: 0, nanos: 0 }),
        num_requests_allowed: allowed,
        num_requests_denied: denied,
    }
}

fn report(domain: &str, usages: Vec<BucketQuotaUsage>) -> RateLimitQuotaUsageReports {
    RateLimitQuotaUsageReports {
        domain: domain.to_owned(),
        bucket_quota_usages: usages,
    }
}

/// An assignment in short: its tokens, or its word.
fn told(assignment: &Assignment) -> String {
    let Assignment::QuotaAssignmentAction(action) = assignment else {
        return "abandon".to_owned();
    };
    let ttl = action.assignment_time_to_live.as_ref().unwrap();
    assert_eq!((ttl.seconds, ttl.nanos), (15, 0), "every assignment ends");
    match action
        .rate_limit_strategy
        .as_ref()
        .unwrap()
        .strategy
        .as_ref()
        .unwrap()
    {
        Strategy::BlanketRule(rule) if *rule == i32::from(BlanketRule::AllowAll) => "allow".to_owned(),
        Strategy::BlanketRule(_) => "deny".to_owned(),
        Strategy::TokenBucket(bucket) => {
            let interval = bucket.fill_interval.as_ref().unwrap();
            assert!(
                interval.seconds > 1_000_000,
                "no token comes within the time to live"
            );
            assert!(
                interval.nanos > 0,
                "the bucket is told from that of another lease"
            );
            bucket.max_tokens.to_string()
        }
        Strategy::RequestsPerTimeUnit(_) => panic!("Envoy does not know this strategy"),
    }
}

impl Quotas {
    async fn open(rig: &Rig) -> Self {
        Self::with(rig, "").await.unwrap()
    }

    async fn with(rig: &Rig, authorization: &str) -> Result<Self, Status> {
        let (sender, receiver) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(receiver));
        if !authorization.is_empty() {
            let value = authorization.parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let answers = RateLimitQuotaServiceClient::new(rig.channel())
            .stream_rate_limit_quotas(request)
            .await?;
        Ok(Self {
            sender,
            answers: answers.into_inner(),
        })
    }

    async fn send(&self, report: RateLimitQuotaUsageReports) {
        self.sender.send(report).await.unwrap();
    }

    async fn next(&mut self) -> Result<RateLimitQuotaResponse, Status> {
        let next = tokio::time::timeout(Duration::from_secs(60), self.answers.message());
        Ok(next
            .await
            .expect("an answer in time")?
            .expect("the stream goes on"))
    }

    /// The assignments of the next answer, with the tool of each.
    async fn assigned(&mut self) -> Vec<(String, String)> {
        let actions = self.next().await.unwrap().bucket_action;
        let of = |action: &callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_response::BucketAction| {
            let id = &action.bucket_id.as_ref().unwrap().bucket;
            (id.get("tool").cloned().unwrap_or_default(), told(action.bucket_action.as_ref().unwrap()))
        };
        let mut assigned: Vec<(String, String)> = actions.iter().map(of).collect();
        let is_number = |word: &str| word.parse::<u64>().is_ok();
        let before: Vec<Option<(String, String)>> = std::iter::once(None)
            .chain(assigned.iter().cloned().map(Some))
            .collect();
        for ((tool, word), before) in assigned.iter().zip(&before) {
            let denial = Some((tool.clone(), "deny".to_owned()));
            assert!(
                !is_number(word) || *before == denial,
                "tokens take the place of a denial"
            );
        }
        let is_replaced = |place: usize| {
            let next = assigned.get(place + 1);
            next.is_some_and(|(tool, word)| is_number(word) && *tool == assigned[place].0)
        };
        let kept: Vec<bool> = (0..assigned.len()).map(|place| !is_replaced(place)).collect();
        let mut kept = kept.into_iter();
        assigned.retain(|_| kept.next().unwrap());
        assigned
    }

    /// Reports requests of one tool, and returns the assignment.
    async fn ask(&mut self, tool: &str, allowed: u64, denied: u64) -> String {
        self.send(report("mcp", vec![usage(id(tool), allowed, denied)]))
            .await;
        let mut assigned = self.assigned().await;
        assert_eq!(assigned.len(), 1);
        assigned.remove(0).1
    }

    /// The status that ends the stream after this report.
    async fn end(mut self, sent: RateLimitQuotaUsageReports) -> (Code, String) {
        self.send(sent).await;
        let status = self.next().await.unwrap_err();
        (status.code(), status.message().to_owned())
    }
}

fn left(rig: &Rig) -> String {
    rig.post(r#"{"grant": "g1", "tool": "capped"}"#).json()["limits"][0]["remaining"].to_string()
}

#[tokio::test]
async fn each_kind_of_tool_gets_its_assignment() {
    let rig = rig();
    let mut quotas = Quotas::open(&rig).await;
    let tools = ["open", "capped", "none", "daily", "small", "secret", "other"];
    let usages = tools.map(|tool| usage(id(tool), 0, 1));
    quotas.send(report("mcp", usages.into())).await;
    let assigned: BTreeMap<String, String> = quotas.assigned().await.into_iter().collect();
    let expected = ["allow", "6", "deny", "deny", "deny", "deny", "deny"];
    for (tool, expected) in tools.iter().zip(expected) {
        assert_eq!(assigned[*tool], expected, "{tool}");
    }
    assert_eq!(left(&rig), "9", "a call by another door finds the rest");
    let snapshot = rig.server.metrics();
    let count = |name: &str| {
        snapshot
            .quota_assignments
            .iter()
            .find(|(kind, _)| *kind == name)
            .unwrap()
            .1
    };
    assert_eq!(
        (count("tokens"), count("allow_all"), count("deny_all")),
        (1, 1, 5)
    );
    assert_eq!(snapshot.quota_tokens[0], ("leased", 6));
    let event = rig.wait_for_event("quota_refused");
    assert!(event.fields.iter().any(|(name, _)| *name == "rule"), "{event:?}");
}

#[tokio::test]
async fn two_streams_with_one_bucket_share_its_limit() {
    let rig = rig();
    let (mut first, mut second) = (Quotas::open(&rig).await, Quotas::open(&rig).await);
    let tokens: u64 = first.ask("capped", 0, 1).await.parse().unwrap();
    let others: u64 = second.ask("capped", 0, 1).await.parse().unwrap();
    assert!(
        tokens > 0 && others > 0 && tokens + others < 16,
        "{tokens}, {others}"
    );
    assert_eq!(left(&rig), (15 - tokens - others).to_string());
    drop(first);
    drop(second);
    // Nobody is there any more, and yet the tokens may be used until their end.
    rig.clock.advance_us((15 + 2 + 3_599) * 1_000_000);
    let after: u64 = left(&rig).parse().unwrap();
    assert_eq!(after, 15 - tokens - others);
    rig.clock.advance_us(60_000_000);
    assert_eq!(left(&rig), "14");
}

#[tokio::test]
async fn a_freeze_and_a_reload_are_told_without_a_report() {
    let rig = rig();
    let mut quotas = Quotas::open(&rig).await;
    assert_eq!(quotas.ask("open", 0, 1).await, "allow");
    let all = FreezeScope::new(None, None, None).unwrap();
    let freeze = Freeze::new(all, "stop", None).unwrap();
    rig.engine.set_freezes(FreezeSource::Program, vec![freeze]);
    assert_eq!(quotas.assigned().await, [("open".to_owned(), "deny".to_owned())]);
    rig.engine.set_freezes(FreezeSource::Program, Vec::new());
    assert_eq!(quotas.assigned().await, [("open".to_owned(), "allow".to_owned())]);
    rig.engine.reload(state(
        br#"{"version": "1", "default": "deny", "tools": {"open": {"limits": [{"counter": "c", "window": "hour", "max": 4}]}}}"#,
        Catalogue::default(),
    ));
    assert_eq!(quotas.assigned().await, [("open".to_owned(), "2".to_owned())]);
    rig.engine.reload(state(
        br#"{"version": "1", "default": "deny"}"#,
        Catalogue::default(),
    ));
    assert_eq!(quotas.assigned().await, [("open".to_owned(), "deny".to_owned())]);
}

#[tokio::test]
async fn reports_that_cannot_be_end_the_stream() {
    let rig = rig();
    let faulty = async |sent| Quotas::open(&rig).await.end(sent).await;
    let (code, message) = faulty(report("", vec![usage(id("open"), 0, 1)])).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("`domain`"), "{message}");
    let negative = BucketQuotaUsage {
        time_elapsed: Some(ProtoDuration {
            seconds: -1,
            nanos: 0,
        }),
        ..usage(id("open"), 0, 1)
    };
    let (code, message) = faulty(report("mcp", vec![negative])).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("`time_elapsed`"), "{message}");
    let (code, message) = faulty(report("mcp", vec![usage(BTreeMap::new(), 0, 1)])).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("`bucket_id`"), "{message}");
    let long = "x".repeat(600_000);
    let (code, _) = faulty(report(&long, Vec::new())).await;
    assert!(
        matches!(code, Code::OutOfRange | Code::ResourceExhausted),
        "{code:?}"
    );
    let mut quotas = Quotas::open(&rig).await;
    assert_eq!(quotas.ask("open", 0, 1).await, "allow");
    let (code, message) = quotas.end(report("other", Vec::new())).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("one `domain`"), "{message}");
}

#[tokio::test]
async fn buckets_that_name_no_call_are_denied_and_the_others_go_on() {
    let rig = rig();
    let mut quotas = Quotas::open(&rig).await;
    let mut strange = id("open");
    strange.insert("path".to_owned(), "/".to_owned());
    let mut long = id("open");
    long.insert("server".to_owned(), "s".repeat(2_000));
    let usages = vec![usage(strange, 0, 1), usage(long, 0, 1), usage(id("open"), 0, 1)];
    quotas.send(report("mcp", usages)).await;
    let words: Vec<String> = quotas
        .assigned()
        .await
        .into_iter()
        .map(|(_, word)| word)
        .collect();
    assert_eq!(words, ["deny", "deny", "allow"]);
}

#[tokio::test]
async fn more_buckets_than_a_stream_may_have_are_denied() {
    let rig = rig();
    let mut quotas = Quotas::open(&rig).await;
    let usages = |from: usize| {
        (from..from + 1_030)
            .map(|number| usage(id(&format!("open{number}")), 0, 1))
            .collect()
    };
    for from in [0, 1_030] {
        quotas.send(report("mcp", usages(from))).await;
        assert_eq!(quotas.assigned().await.len(), 1_030);
    }
    assert_eq!(quotas.ask("open", 0, 1).await, "deny", "there is no room for it");
    // On another stream there is.
    assert_eq!(Quotas::open(&rig).await.ask("open", 0, 1).await, "allow");
}

// Another thread sends, while this one waits for the event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_tokens_are_counted_and_told() {
    let rig = rig();
    let mut quotas = Quotas::open(&rig).await;
    assert_eq!(quotas.ask("capped", 0, 1).await, "6");
    for _ in 0..2 {
        rig.clock.advance_us(4_000_000);
        quotas.send(report("mcp", vec![usage(id("capped"), 0, 1)])).await;
    }
    quotas
        .send(report("mcp", vec![usage(id("capped"), 1_000, 0)]))
        .await;
    rig.wait_for_event("quota_exceeded");
    assert_eq!(left(&rig), "0");
}

#[tokio::test]
async fn only_an_enforcement_point_gets_quotas_and_loses_them_with_its_place() {
    let rig = Rig::with(state(POLICY.as_bytes(), Catalogue::default()), config());
    assert_eq!(
        Quotas::with(&rig, "").await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let mut quotas = Quotas::with(&rig, "Bearer cgt_proxy").await.unwrap();
    assert_eq!(quotas.ask("open", 0, 1).await, "allow");
    rig.reload_peps(vec![pep("other", "cgt_other")]).unwrap();
    assert_eq!(quotas.next().await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams() {
    let rig = rig();
    let mut quotas = Quotas::open(&rig).await;
    assert_eq!(quotas.ask("open", 0, 1).await, "allow");
    let stopping = tokio::task::spawn_blocking(move || rig.server.stop());
    assert_eq!(quotas.next().await.unwrap_err().code(), Code::Unavailable);
    stopping.await.unwrap();
}
