//! The assignments of one stream.
//!
//! Like the other streams it has no task and no queue: a report is read when the answer to the one before is sent. Each second
//! all buckets are judged anew, so that a reload, a freeze or a revocation is told to Envoy without waiting for a report.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use callgate_core::{Pep, Scratch};
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_response::BucketAction;
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_response::bucket_action::{
    AbandonAction, BucketAction as Assignment, QuotaAssignmentAction,
};
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_usage_reports::BucketQuotaUsage;
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::{
    BucketId, RateLimitQuotaResponse, RateLimitQuotaUsageReports,
};
use callgate_proto::pb::envoy::r#type::v3::rate_limit_strategy::{BlanketRule, Strategy};
use callgate_proto::pb::envoy::r#type::v3::{RateLimitStrategy, TokenBucket};
use callgate_proto::pb::google::protobuf::{Duration as ProtoDuration, UInt32Value};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use super::bucket::{Action, Bucket, Desk, TokenNumbers};
use super::named::{BucketName, Verdict, length_fault, unnamed};
use super::{BucketPlace, MAX_BUCKETS, MAX_STREAM_BUCKETS, SharedQuotas};
use crate::apart::poll_apart;
use crate::doors::grpc::decision::our_code;
use crate::doors::turn::Turn;
use crate::events::Level;
use crate::gate::{Gate, work_on};
use crate::identity::Asker;
use crate::in_force::Configuration;
use crate::metrics::QuotaAssignment;
use crate::phase::Phase;

/// Time between two judgements of all buckets.
const PERIOD: Duration = Duration::from_secs(1);

/// Longest time without a report. Envoy sends one each five seconds, also if it has no bucket.
const SILENCE: Duration = Duration::from_secs(60);

/// Seconds in which a bucket gets one more token than it was assigned: a year. Envoy knows no bucket that is never filled, and
/// fills none more slowly.
const FILL_INTERVAL_S: i64 = 31_536_000;
const NANOS_PER_S: u32 = 1_000_000_000;

/// The cost of a bucket, as bytes of a message.
const BUCKET_BYTES: usize = 512;

/// One bucket of this stream.
struct Entry {
    name: Result<BucketName, String>,
    bucket: Bucket,
    _place: BucketPlace,
}

type Id = BTreeMap<String, String>;

/// The assignments of one stream.
pub(crate) struct Assignments {
    gate: Arc<Gate>,
    asker: Option<Asker>,
    shared: Arc<SharedQuotas>,
    reports: Streaming<RateLimitQuotaUsageReports>,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    ticks: Interval,
    turn: Turn,
    /// A large report, until this thread may work on it.
    large: Option<RateLimitQuotaUsageReports>,
    /// All buckets are to be judged, once this thread may.
    is_due: bool,
    domain: Option<String>,
    heard: Instant,
    buckets: BTreeMap<Id, Entry>,
    is_over: bool,
}

impl Assignments {
    pub(super) fn new(
        gate: Arc<Gate>,
        asker: Option<Asker>,
        shared: Arc<SharedQuotas>,
        reports: Streaming<RateLimitQuotaUsageReports>,
        mut phase: watch::Receiver<Phase>,
    ) -> Self {
        let stopping = Box::pin(async move {
            // A server that is gone has stopped.
            let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
        });
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            gate,
            asker,
            shared,
            reports,
            stopping,
            ticks,
            turn: Turn::default(),
            large: None,
            is_due: false,
            domain: None,
            heard: Instant::now(),
            buckets: BTreeMap::new(),
            is_over: false,
        }
    }

    /// The answer to a report: assignments of the buckets in it.
    fn report(
        &mut self,
        report: RateLimitQuotaUsageReports,
    ) -> Result<Option<RateLimitQuotaResponse>, Status> {
        self.heard = Instant::now();
        self.check_domain(report.domain)?;
        let mut usages = report.bucket_quota_usages;
        for usage in &usages {
            check_usage(usage)?;
        }
        self.turn.spend(usages.len() * BUCKET_BYTES);
        let gate = Arc::clone(&self.gate);
        let configuration = gate.configuration();
        let pep = self.pep(&configuration)?;
        let mut actions = Vec::new();
        work_on(&[], |buffers| {
            for usage in usages.drain(..) {
                let id = usage.bucket_id.unwrap_or_default();
                let reported = Some((usage.num_requests_allowed, usage.num_requests_denied));
                if self.open(&id.bucket) {
                    let planned =
                        self.assign(&id.bucket, reported, (&configuration, pep), &mut buffers.scratch);
                    self.push(&mut actions, id, planned);
                } else {
                    self.gate.metrics.quota_assigned(QuotaAssignment::DenyAll);
                    self.push(&mut actions, id, Some(Action::DenyAll));
                }
            }
        });
        Ok(response(actions))
    }

    /// The assignments that have changed since the last report.
    fn look(&mut self) -> Result<Option<RateLimitQuotaResponse>, Status> {
        if self.heard.elapsed() > SILENCE {
            return Err(Status::deadline_exceeded(
                "no report came for a minute; Envoy sends one each five seconds",
            ));
        }
        self.turn.spend(self.buckets.len() * BUCKET_BYTES);
        let gate = Arc::clone(&self.gate);
        let configuration = gate.configuration();
        let pep = self.pep(&configuration)?;
        let ids: Vec<Id> = self.buckets.keys().cloned().collect();
        let mut actions = Vec::new();
        work_on(&[], |buffers| {
            for bucket in ids {
                let planned = self.assign(&bucket, None, (&configuration, pep), &mut buffers.scratch);
                self.push(&mut actions, BucketId { bucket }, planned);
            }
        });
        Ok(response(actions))
    }

    fn check_domain(&mut self, domain: String) -> Result<(), Status> {
        match &self.domain {
            None if domain.is_empty() => Err(Status::invalid_argument(
                "expected the first report to name a `domain`, got an empty string",
            )),
            None => {
                self.domain = Some(domain);
                Ok(())
            }
            Some(known) if domain.is_empty() || domain == *known => Ok(()),
            Some(_) => Err(Status::invalid_argument(
                "a stream has one `domain`; open another stream for another domain",
            )),
        }
    }

    /// The sender, if it may still ask.
    fn pep(&self, configuration: &Configuration) -> Result<Pep, Status> {
        let pep = configuration.parts.peps.still(self.asker.as_ref());
        pep.map_err(|unknown| Status::unauthenticated(unknown.message()))
    }

    /// Remembers a bucket. False if there are too many, or its id is too long: then it is denied anew with each report.
    fn open(&mut self, id: &Id) -> bool {
        if self.buckets.contains_key(id) {
            return true;
        }
        if let Some(fault) = length_fault(id) {
            self.log_refusal(&[("reason", fault.as_str())]);
            return false;
        }
        let place = (self.buckets.len() < MAX_STREAM_BUCKETS)
            .then(|| BucketPlace::take(&self.shared))
            .flatten();
        let Some(place) = place else {
            let reason = format!(
                "too many buckets: at most {MAX_STREAM_BUCKETS} of one stream and {MAX_BUCKETS} in all"
            );
            self.log_refusal(&[("reason", reason.as_str())]);
            return false;
        };
        let entry = Entry {
            name: BucketName::of(id),
            bucket: Bucket::default(),
            _place: place,
        };
        self.buckets.insert(id.clone(), entry);
        true
    }

    /// The next assignment of a bucket, if there is one.
    fn assign(
        &mut self,
        id: &Id,
        reported: Option<(u64, u64)>,
        (configuration, pep): (&Configuration, Pep),
        scratch: &mut Scratch,
    ) -> Option<Action> {
        let gate = Arc::clone(&self.gate);
        let entry = self.buckets.get_mut(id)?;
        let desk = Desk {
            counters: gate.engine.store(),
            interests: &self.shared.interests,
            terms: self.shared.terms,
            now: gate.clock.now(),
        };
        if let Some((allowed, denied)) = reported {
            entry.bucket.report(allowed, denied, desk);
        }
        let verdict: Verdict = match &entry.name {
            Ok(name) => name.judge(&gate, configuration, pep, scratch),
            Err(fault) => Err(unnamed(fault.clone())),
        };
        let owner = entry.name.as_ref().map_or("", |name| &name.grant);
        let planned = entry.bucket.plan(&verdict, owner, desk, reported.is_some());
        let numbers = std::mem::take(&mut entry.bucket.numbers);
        gate.metrics
            .quota_tokens(numbers.leased, numbers.used, numbers.returned, numbers.unexpected);
        let fields = entry.bucket.news(&verdict).map(|denial| {
            let name = entry.name.as_ref().ok();
            let of = |field: fn(&BucketName) -> &str| name.map_or("", field).to_owned();
            [
                ("grant", of(|name| &name.grant)),
                ("server", of(|name| &name.server)),
                ("tool", of(|name| &name.tool)),
                ("rule", denial.rule.to_string()),
                ("reason", denial.message.to_string()),
            ]
        });
        if let Some(fields) = fields {
            self.log_refusal(&fields.each_ref().map(|(name, value)| (*name, value.as_str())));
        }
        if numbers.unexpected > 0 {
            self.log_unexpected(numbers);
        }
        let planned = planned?;
        if planned == Action::Abandon {
            self.buckets.remove(id);
        }
        gate.metrics.quota_assigned(counted(planned));
        Some(planned)
    }

    /// Adds what Envoy is told about one bucket.
    fn push(&self, actions: &mut Vec<BucketAction>, id: BucketId, planned: Option<Action>) {
        let Some(planned) = planned else { return };
        if let Action::Tokens { .. } = planned {
            // A bucket of tokens that takes the place of another one begins as full as that one was: empty, if all was used. In the
            // place of a denial it begins full. Envoy takes both in one step, so no request meets the denial.
            actions.push(action(id.clone(), self.assignment(Action::DenyAll)));
        }
        actions.push(action(id, self.assignment(planned)));
    }

    fn assignment(&self, action: Action) -> Assignment {
        let strategy = match action {
            Action::Abandon => return Assignment::AbandonAction(AbandonAction {}),
            Action::AllowAll => Strategy::BlanketRule(BlanketRule::AllowAll.into()),
            Action::DenyAll => Strategy::BlanketRule(BlanketRule::DenyAll.into()),
            Action::Tokens { tokens, serial } | Action::Extend { tokens, serial } => {
                Strategy::TokenBucket(TokenBucket {
                    max_tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
                    tokens_per_fill: Some(UInt32Value { value: 1 }),
                    // Envoy takes a bucket with other nanoseconds for another one, and reads whole seconds of the interval.
                    fill_interval: Some(ProtoDuration {
                        seconds: FILL_INTERVAL_S,
                        nanos: i32::try_from(serial % NANOS_PER_S).unwrap_or_default(),
                    }),
                })
            }
        };
        Assignment::QuotaAssignmentAction(QuotaAssignmentAction {
            assignment_time_to_live: Some(ProtoDuration {
                seconds: i64::try_from(self.shared.terms.ttl_s).unwrap_or_default(),
                nanos: 0,
            }),
            rate_limit_strategy: Some(RateLimitStrategy {
                strategy: Some(strategy),
            }),
        })
    }

    fn log_refusal(&self, fields: &[(&'static str, &str)]) {
        if self.gate.paces.quotas.admits(self.gate.second()) {
            let fields = fields.iter().map(|&(name, value)| (name, value.into()));
            self.gate
                .events
                .push(Level::Warning, "quota_refused", fields.collect());
        }
    }

    fn log_unexpected(&self, numbers: TokenNumbers) {
        if self.gate.paces.quotas.admits(self.gate.second()) {
            let fields = vec![("requests", numbers.unexpected.into())];
            self.gate.events.push(Level::Warning, "quota_exceeded", fields);
        }
    }

    fn end(&mut self, status: Option<Status>) -> Poll<Option<Result<RateLimitQuotaResponse, Status>>> {
        self.is_over = true;
        let code = status.as_ref().map_or(Code::Ok, Status::code);
        self.gate.metrics.grpc(code);
        Poll::Ready(status.map(Err))
    }
}

impl Stream for Assignments {
    type Item = Result<RateLimitQuotaResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        loop {
            if self.stopping.as_mut().poll(cx).is_ready() {
                return self.end(Some(Status::unavailable("the server is stopping; ask again")));
            }
            if self.turn.poll_go_on(cx).is_pending() {
                return Poll::Pending;
            }
            if self.ticks.poll_tick(cx).is_ready() {
                self.is_due = true;
            }
            if self.is_due {
                if poll_apart(cx, self.buckets.len() * BUCKET_BYTES).is_pending() {
                    return Poll::Pending;
                }
                self.is_due = false;
                match self.look() {
                    Ok(Some(response)) => return Poll::Ready(Some(Ok(response))),
                    Ok(None) => continue,
                    Err(status) => return self.end(Some(status)),
                }
            }
            let next = match self.large.take() {
                Some(report) => Poll::Ready(Some(Ok(report))),
                None => Pin::new(&mut self.reports).poll_next(cx),
            };
            match next {
                Poll::Ready(Some(Ok(report))) => {
                    if poll_apart(cx, report.bucket_quota_usages.len() * BUCKET_BYTES).is_pending() {
                        self.large = Some(report);
                        return Poll::Pending;
                    }
                    match self.report(report) {
                        Ok(Some(response)) => return Poll::Ready(Some(Ok(response))),
                        Ok(None) => {}
                        Err(status) => return self.end(Some(status)),
                    }
                }
                Poll::Ready(Some(Err(status))) => {
                    let status = Status::new(our_code(status.code()), status.message());
                    return self.end(Some(status));
                }
                Poll::Ready(None) => return self.end(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Assignments {
    fn drop(&mut self) {
        if !self.is_over {
            self.gate.metrics.grpc(Code::Cancelled);
        }
    }
}

/// Refuses a usage that cannot be one. Envoy rounds the time down to seconds, so 0 is a time.
fn check_usage(usage: &BucketQuotaUsage) -> Result<(), Status> {
    if usage.bucket_id.as_ref().is_none_or(|id| id.bucket.is_empty()) {
        return Err(Status::invalid_argument(
            "expected each usage to have a `bucket_id` with a key, got none",
        ));
    }
    let elapsed = usage.time_elapsed.unwrap_or_default();
    if elapsed.seconds < 0 || elapsed.nanos < 0 {
        return Err(Status::invalid_argument(
            "expected `time_elapsed` to be positive, got a negative time",
        ));
    }
    Ok(())
}

const fn counted(action: Action) -> QuotaAssignment {
    match action {
        Action::Tokens { .. } => QuotaAssignment::Tokens,
        Action::Extend { .. } => QuotaAssignment::Extension,
        Action::AllowAll => QuotaAssignment::AllowAll,
        Action::DenyAll => QuotaAssignment::DenyAll,
        Action::Abandon => QuotaAssignment::Abandon,
    }
}

const fn action(id: BucketId, assignment: Assignment) -> BucketAction {
    BucketAction {
        bucket_id: Some(id),
        bucket_action: Some(assignment),
    }
}

fn response(actions: Vec<BucketAction>) -> Option<RateLimitQuotaResponse> {
    (!actions.is_empty()).then_some(RateLimitQuotaResponse {
        bucket_action: actions,
    })
}
