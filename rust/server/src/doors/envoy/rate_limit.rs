//! `envoy.service.ratelimit.v3.RateLimitService` (`docs/rate-limits.md`).

use std::cmp::Reverse;
use std::sync::Arc;

use callgate_core::State;
use callgate_core::rate::{
    Descriptor, HeadersWhen, Override, RateAnswer, RateError, RateRequest, RateStatus, Unit,
    UnknownDomainError,
};
use callgate_mcp::Quoted;
use callgate_mcp::headers::lenient_base64;
use callgate_proto::pb::envoy::config::core::v3::HeaderValue;
use callgate_proto::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use callgate_proto::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::RateLimitOverride;
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit as UnitNumber;
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, RateLimit,
};
use callgate_proto::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use callgate_proto::pb::google::protobuf::Duration;
use smallvec::SmallVec;
use tonic::Status;

use super::refused_limits;
use crate::doors::unary::UnaryCall;
use crate::events::Level;
use crate::gate::Gate;
use crate::in_force::Configuration;
use crate::ingress::Ingress;
use crate::protocol::Protocol;

/// Largest message. Two bytes can be one descriptor, which is much larger after decoding; a request of Envoy is at most
/// as long as a few headers.
pub(crate) const MESSAGE_LIMIT_BYTES: usize = 256 * 1024;

/// Descriptors of one request. Envoy makes one for each entry of a route's `rate_limits`.
const MAX_DESCRIPTORS: usize = 256;

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct RateLimits {
    gate: Arc<Gate>,
}

impl RateLimits {
    pub(crate) const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    fn limit(
        &self,
        configuration: &Configuration,
        ingress: Ingress,
        request: &RateLimitRequest,
    ) -> Result<RateLimitResponse, Status> {
        if request.domain.is_empty() {
            return Err(Status::invalid_argument(
                "expected `domain` to name a domain, got an empty string",
            ));
        }
        let count = request.descriptors.len();
        if !(1..=MAX_DESCRIPTORS).contains(&count) {
            return Err(Status::invalid_argument(format!(
                "expected 1 to {MAX_DESCRIPTORS} descriptors, got {count}"
            )));
        }
        let decoded = decoded(request);
        let request = decoded.as_ref().unwrap_or(request);
        // Pushed one by one: collecting into a `Result` moves the whole vector.
        let mut descriptors: SmallVec<[Descriptor<'_>; 2]> = SmallVec::with_capacity(count);
        for message in &request.descriptors {
            descriptors.push(descriptor(message)?);
        }
        let asked = RateRequest {
            domain: &request.domain,
            descriptors: &descriptors,
            hits: request.hits_addend,
        };
        match self.answer(configuration, ingress, asked) {
            Ok(answer) => Ok(response(&answer)),
            Err(UnknownDomainError) => Err(unknown_domain(&configuration.state, &request.domain)),
        }
    }

    /// Limits a request by its domain and descriptors, and counts the answer.
    fn answer<'s>(
        &self,
        configuration: &'s Configuration,
        ingress: Ingress,
        request: RateRequest<'_, '_>,
    ) -> Result<RateAnswer<'s>, UnknownDomainError> {
        let now = self.gate.clock.now();
        let started = self.gate.clock.started(now);
        let answer = self.gate.engine.rate_limit(&configuration.state, request, now);
        let fault = if let Ok(answer) = &answer {
            self.gate.metrics.rate_limited(&configuration.cells, answer);
            if answer.over_limit {
                let took = self.gate.clock.since(started);
                self.gate.log_refused_limits(
                    ingress,
                    || refused_limits::decision(answer, &request, now),
                    took,
                );
            }
            answer.error.map(|fault| match fault {
                RateError::Internal => (Level::Error, "internal error"),
                RateError::Capacity => (Level::Warning, "counter capacity"),
                RateError::Unavailable => (Level::Error, "counter store unavailable"),
            })
        } else {
            self.gate.metrics.rate_limit_unknown();
            Some((Level::Warning, "unknown domain"))
        };
        if let Some((level, reason)) = fault
            && self.gate.paces.rate_limits.admits(now.boot_ns / 1_000_000_000)
        {
            let fields = vec![("domain", request.domain.into()), ("reason", reason.into())];
            self.gate.events.push(level, "rate_limit_failed", fields);
        }
        answer
    }

    /// Answers one request.
    pub(crate) fn should_rate_limit(
        &self,
        call: &UnaryCall<RateLimitRequest>,
    ) -> Result<RateLimitResponse, Status> {
        call.in_time()?;
        let configuration = self.gate.configuration();
        let pep = configuration.parts.peps.still(call.asker.as_ref());
        pep.map_err(|unknown| Status::unauthenticated(unknown.message()))?;
        let ingress = self.gate.ingress(Protocol::RateLimit, &call.headers);
        self.limit(&configuration, ingress, &call.message)
    }
}

/// Returns an error and no answer, so that the proxy's own setting for a failed limiter decides about the request.
fn unknown_domain(state: &State, domain: &str) -> Status {
    let names = state.rate_limits().names();
    if names.is_empty() {
        return Status::not_found("no rate limits are configured; name their files in `rate_limits`");
    }
    Status::not_found(format!(
        "unknown domain {}; expected one of `{}`, or add its file to `rate_limits`",
        Quoted(domain),
        names.join("`, `")
    ))
}

/// Decodes the values that arrived in MCP's base64 form, and returns the changed request if there are any: servers read
/// that form as the name that it encodes, so a limit has to as well.
fn decoded(request: &RateLimitRequest) -> Option<RateLimitRequest> {
    let is_encoded = |value: &str| lenient_base64(value).is_some();
    let mut entries = request
        .descriptors
        .iter()
        .flat_map(|descriptor| &descriptor.entries);
    entries.find(|entry| is_encoded(&entry.value))?;
    let mut request = request.clone();
    for entry in request
        .descriptors
        .iter_mut()
        .flat_map(|descriptor| &mut descriptor.entries)
    {
        if let Some(text) = lenient_base64(&entry.value) {
            entry.value = text;
        }
    }
    Some(request)
}

fn descriptor(message: &RateLimitDescriptor) -> Result<Descriptor<'_>, Status> {
    if message.is_negative_hits {
        return Err(Status::invalid_argument(
            "`is_negative_hits` is not supported: hits that were taken are not given back this way",
        ));
    }
    let entries = message.entries.iter();
    Ok(Descriptor {
        entries: entries
            .map(|entry| (entry.key.as_str(), entry.value.as_str()))
            .collect(),
        limit: message.limit.map(limit_override).transpose()?,
        hits: message.hits_addend.as_ref().map(|hits| hits.value),
    })
}

fn limit_override(message: RateLimitOverride) -> Result<Override, Status> {
    let unit = UnitNumber::try_from(message.unit)
        .ok()
        .and_then(|number| Unit::ALL.into_iter().find(|unit| unit_number(*unit) == number));
    unit.map(|unit| Override {
        requests_per_unit: message.requests_per_unit,
        unit,
    })
    .ok_or_else(|| {
        Status::invalid_argument(format!(
            "expected the `unit` of a descriptor's `limit` to be a unit of time, got number {}",
            message.unit
        ))
    })
}

fn response(answer: &RateAnswer<'_>) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: code(answer.over_limit).into(),
        statuses: answer.statuses.iter().map(status).collect(),
        response_headers_to_add: headers(answer),
        ..RateLimitResponse::default()
    }
}

fn status(status: &RateStatus<'_>) -> DescriptorStatus {
    DescriptorStatus {
        code: code(status.over_limit).into(),
        current_limit: status.limit.map(|limit| RateLimit {
            name: limit.name.to_owned(),
            requests_per_unit: limit.requests_per_unit,
            unit: unit_number(limit.unit).into(),
        }),
        limit_remaining: status.remaining,
        duration_until_reset: status.reset_after_us.map(duration),
        quota: None,
    }
}

/// Makes the headers for the client: they describe the refusal that lasts longest, or else the limit with the fewest
/// units left.
fn headers(answer: &RateAnswer<'_>) -> Vec<HeaderValue> {
    let wanted = match answer.headers {
        HeadersWhen::Refused => answer.over_limit,
        HeadersWhen::Always => true,
        HeadersWhen::Never => false,
    };
    let limited = || answer.statuses.iter().filter(|status| status.limit.is_some());
    let told = if answer.over_limit {
        limited()
            .filter(|status| status.over_limit)
            .max_by_key(|status| status.reset_after_us)
    } else {
        limited().min_by_key(|status| (status.remaining, Reverse(status.reset_after_us)))
    };
    let Some((status, limit)) = told
        .filter(|_| wanted)
        .and_then(|status| Some((status, status.limit?)))
    else {
        return Vec::new();
    };
    let mut headers = vec![
        header("ratelimit-limit", limit.requests_per_unit.into()),
        header("ratelimit-remaining", status.remaining.into()),
    ];
    if let Some(reset_after_us) = status.reset_after_us {
        // Rounded up, so that the units are free after this wait.
        let seconds = reset_after_us.div_ceil(1_000_000);
        headers.push(header("ratelimit-reset", seconds));
        if answer.over_limit {
            headers.push(header("retry-after", seconds));
        }
    }
    headers
}

fn header(name: &str, value: u64) -> HeaderValue {
    HeaderValue {
        key: name.to_owned(),
        value: value.to_string(),
        ..HeaderValue::default()
    }
}

const fn code(over_limit: bool) -> Code {
    if over_limit { Code::OverLimit } else { Code::Ok }
}

const fn unit_number(unit: Unit) -> UnitNumber {
    match unit {
        Unit::Second => UnitNumber::Second,
        Unit::Minute => UnitNumber::Minute,
        Unit::Hour => UnitNumber::Hour,
        Unit::Day => UnitNumber::Day,
        Unit::Week => UnitNumber::Week,
        Unit::Month => UnitNumber::Month,
        Unit::Year => UnitNumber::Year,
    }
}

fn duration(us: u64) -> Duration {
    Duration {
        seconds: i64::try_from(us / 1_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(us % 1_000_000 * 1_000).unwrap_or_default(),
    }
}
