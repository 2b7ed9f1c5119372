//! Decisions as agentgateway is told them.

use callgate_core::{Decision, Outcome};
use callgate_mcp::{error, reply as mcp};
use callgate_proto::ext_mcp::authorization_error::Code;
use callgate_proto::ext_mcp::mcp_request_result::Result as Answered;
use callgate_proto::ext_mcp::{AuthorizationError, HeaderMutation, McpHeader, McpRequestResult, Pass};
use http::HeaderValue;
use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::attributes::McpAttributes;
use crate::doors::callgate_fields;
use crate::judging::{Denial, JudgedRequest, Responder};
use crate::protocol::Protocol;
use crate::proxy::Attributes as _;

/// The key of a decision among the metadata that later policies of the gateway may read.
const METADATA: &str = "callgate";

/// Messages on their way to a server.
pub(super) struct ExtMcp<'a> {
    pub(super) attributes: McpAttributes<'a>,
}

impl Responder for ExtMcp<'_> {
    type Answer = McpRequestResult;

    const PROTOCOL: Protocol = Protocol::ExtMcp;

    fn allowed(&self, asked: &JudgedRequest<'_>, decision: &Decision<'_>) -> McpRequestResult {
        let set: Vec<McpHeader> = callgate_fields::fields(decision)
            .filter(|(_, value)| HeaderValue::from_str(value).is_ok_and(|value| value.to_str().is_ok()))
            .map(|(key, value)| McpHeader {
                key: key.to_owned(),
                value: value.into_bytes(),
            })
            .collect();
        let is_set = |name: &str| set.iter().any(|header| header.key == name);
        let came = self.attributes.headers().map(|(name, _)| name);
        let mut remove: Vec<String> = came
            .filter(|name| callgate_fields::is_one(name) && !is_set(name))
            .map(str::to_owned)
            .collect();
        if asked.hides_token() {
            remove.push("authorization".to_owned());
        }
        McpRequestResult {
            result: Some(Answered::Pass(Pass {})),
            header_mutation: Some(HeaderMutation { set, remove }),
            metadata: Some(structure([(
                METADATA.to_owned(),
                Kind::StructValue(facts(decision)),
            )])),
        }
    }

    fn denied(&self, decision: &Decision<'_>, _: Denial<'_>) -> McpRequestResult {
        McpRequestResult {
            result: Some(Answered::Error(error(decision))),
            ..McpRequestResult::default()
        }
    }
}

/// A denial. The gateway makes the answer to the client itself; a model reads the reason.
pub(super) fn error(decision: &Decision<'_>) -> AuthorizationError {
    let code = match decision.outcome {
        Outcome::RateLimited => Code::ResourceExhausted,
        _ if decision.rule == error::RULE => Code::Invalid,
        _ => Code::PermissionDenied,
    };
    AuthorizationError {
        code: code.into(),
        reason: mcp::text(decision).into_owned(),
        mcp_error: Some(mcp::denied_error(decision).into_bytes()),
    }
}

/// The values of callgate's headers, for expressions.
fn facts(decision: &Decision<'_>) -> Struct {
    let text = |(name, value): (&str, String)| {
        let name = name.strip_prefix("x-callgate-").unwrap_or(name);
        (name.replace('-', "_"), Kind::StringValue(value))
    };
    structure(callgate_fields::fields(decision).map(text))
}

fn structure(fields: impl IntoIterator<Item = (String, Kind)>) -> Struct {
    Struct {
        fields: fields
            .into_iter()
            .map(|(name, kind)| (name, Value { kind: Some(kind) }))
            .collect(),
    }
}
