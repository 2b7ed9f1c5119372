//! Decisions as Envoy is told them.

use callgate_core::{Decision, Outcome};
use callgate_proto::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use callgate_proto::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use callgate_proto::pb::envoy::service::auth::v3::check_response::HttpResponse;
use callgate_proto::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use callgate_proto::pb::envoy::r#type::v3::HttpStatus;
use callgate_proto::pb::google::protobuf::value::Kind;
use callgate_proto::pb::google::protobuf::{Struct, Value};
use callgate_proto::pb::google::rpc;
use tonic::Code;

use super::super::attributes::HttpAttributes;
use crate::doors::{callgate_fields, quota};
use crate::judging::{Denial, JudgedRequest, Responder};
use crate::protocol::Protocol;
use crate::proxy::Attributes;

const OK_STATUS: i32 = 200;

/// External authorization.
pub(super) struct ExtAuthz<'a> {
    /// The attributes that Envoy sends of the request, if it is one over HTTP.
    pub(super) attributes: Option<&'a HttpAttributes<'a>>,
}

impl Responder for ExtAuthz<'_> {
    type Answer = CheckResponse;

    const PROTOCOL: Protocol = Protocol::ExtAuthz;

    fn allowed(&self, asked: &JudgedRequest<'_>, decision: &Decision<'_>) -> CheckResponse {
        allowed(
            decision,
            self.attributes.into_iter().flat_map(Attributes::headers),
            asked.hides_token(),
        )
    }

    fn denied(&self, decision: &Decision<'_>, denied: Denial<'_>) -> CheckResponse {
        self::denied(decision, denied)
    }
}

/// The request may go on.
fn allowed<'a>(
    decision: &Decision<'_>,
    sent: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    hide_token: bool,
) -> CheckResponse {
    let headers: Vec<HeaderValueOption> = callgate_fields::fields(decision)
        .filter_map(|(name, value)| header(name, value))
        .collect();
    let is_set = |name: &str| {
        headers
            .iter()
            .filter_map(|option| option.header.as_ref())
            .any(|header| header.key == name)
    };
    // Headers that Envoy was configured to leave out here may be on the request all the same.
    let mut headers_to_remove: Vec<String> = sent
        .map(|(name, _)| name)
        .filter(|name| callgate_fields::is_one(name) && !callgate_fields::NAMES.contains(name))
        .chain(callgate_fields::NAMES)
        .filter(|name| !is_set(name))
        .map(str::to_owned)
        .collect();
    if hide_token {
        headers_to_remove.push("authorization".to_owned());
    }
    CheckResponse {
        status: Some(status(Code::Ok, "")),
        dynamic_metadata: Some(metadata(decision)),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers,
            headers_to_remove,
            ..OkHttpResponse::default()
        })),
    }
}

/// The request must not go on.
fn denied(decision: &Decision<'_>, denied: Denial<'_>) -> CheckResponse {
    let code = if denied.is_tool_result {
        OK_STATUS
    } else {
        i32::from(decision.outcome.http_status())
    };
    let quota = quota::fields(decision)
        .filter_map(|(name, value)| header(name.as_str(), value.to_str().ok()?.to_owned()));
    let headers = header("content-type", "application/json".to_owned())
        .into_iter()
        .chain(callgate_fields::fields(decision).filter_map(|(name, value)| header(name, value)))
        .chain(quota);
    CheckResponse {
        status: Some(status(Code::PermissionDenied, &decision.message)),
        dynamic_metadata: Some(metadata(decision)),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code }),
            headers: headers.collect(),
            body: denied.body,
        })),
    }
}

/// A header that replaces one of its name; `None` where the value cannot stand in a header.
fn header(name: &str, value: String) -> Option<HeaderValueOption> {
    http::HeaderValue::from_str(&value)
        .ok()
        .filter(|value| value.to_str().is_ok())?;
    Some(HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value,
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    })
}

fn status(code: Code, message: &str) -> rpc::Status {
    rpc::Status {
        code: code.into(),
        message: message.to_owned(),
        details: Vec::new(),
    }
}

/// The metadata for Envoy's later filters and its log, under the filter's namespace.
pub(crate) fn metadata(decision: &Decision<'_>) -> Struct {
    let text = |text: &str| Kind::StringValue(text.to_owned());
    let limits = decision.limits.iter();
    let remaining = limits.map(|limit| {
        (
            limit.counter.to_string(),
            Kind::StringValue(limit.remaining.to_string()),
        )
    });
    let mut fields = vec![
        ("outcome".to_owned(), text(decision.outcome.as_str())),
        ("rule".to_owned(), text(&decision.rule)),
        ("policy".to_owned(), text(&decision.policy)),
        ("policy_version".to_owned(), text(&decision.policy_version)),
        ("remaining".to_owned(), Kind::StructValue(structure(remaining))),
    ];
    if let Some(shadow) = &decision.shadow {
        fields.push(("shadow_outcome".to_owned(), text(shadow.outcome.as_str())));
        fields.push(("shadow_rule".to_owned(), text(&shadow.rule)));
    }
    if decision.outcome == Outcome::RateLimited
        && let Some(retry_after_ms) = decision.retry_after_ms
    {
        fields.push((
            "retry_after_ms".to_owned(),
            Kind::StringValue(retry_after_ms.to_string()),
        ));
    }
    structure(fields.into_iter())
}

fn structure(fields: impl Iterator<Item = (String, Kind)>) -> Struct {
    Struct {
        fields: fields
            .map(|(name, kind)| (name, Value { kind: Some(kind) }))
            .collect(),
    }
}
