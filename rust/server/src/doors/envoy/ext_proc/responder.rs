//! Answers of external processing, made from decisions.

use callgate_core::{Decision, ReservationId};
use callgate_proto::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use callgate_proto::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_response::Response;
use callgate_proto::pb::envoy::service::ext_proc::v3::{
    HeaderMutation, ImmediateResponse, ProcessingResponse,
};
use callgate_proto::pb::envoy::r#type::v3::HttpStatus;
use callgate_proto::pb::google::protobuf::value::Kind;
use callgate_proto::pb::google::protobuf::{Struct, Value};

use super::super::authz::metadata;
use super::head::Head;
use crate::doors::{callgate_fields, quota};
use crate::judging::{Denial, JudgedRequest, OpenReservation, Responder};
use crate::protocol::Protocol;
use crate::proxy::Attributes as _;
use crate::random::random_reservation_id;

/// The namespace of metadata for later filters, which `receiving_namespaces` must allow.
const NAMESPACE: &str = "envoy.filters.http.ext_proc";
/// The method whose replies are lists of tools.
const TOOLS_LIST: &str = "tools/list";
/// The header of a stream that continues one that was cut.
const LAST_EVENT_ID: &str = "last-event-id";
/// The request headers that are removed if the reply is to be cut: they ask for a part of the reply, for another
/// encoding of it, or for none because the client has it.
const UNWANTED: [&str; 6] = [
    "accept-encoding",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "range",
];

/// The responder of external processing, for the request with this head.
pub(super) struct ExtProc<'a> {
    pub(super) head: &'a Head,
}

/// The result of judging a request.
#[derive(Debug)]
pub(super) enum Verdict {
    Allowed(Box<Allowed>),
    Denied(Box<ProcessingResponse>),
}

/// A request that may be forwarded.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) mutation: HeaderMutation,
    pub(super) metadata: Struct,
    /// The units that the request took, until it is known to have reached the upstream.
    pub(super) reserved: Option<OpenReservation>,
    /// Present if the reply may hold lists of tools.
    pub(super) lists: Option<Listed>,
}

/// The source of the lists in a reply.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// The id of the `tools/list` that is answered, as JSON; `None` for a stream of any messages.
    pub(super) id: Option<String>,
}

impl Responder for ExtProc<'_> {
    type Answer = Verdict;

    const PROTOCOL: Protocol = Protocol::ExtProc;

    fn reserve(&self) -> Option<ReservationId> {
        // Without random numbers the call is judged all the same, and its units are not given back.
        random_reservation_id().ok()
    }

    fn allowed(&self, asked: &JudgedRequest<'_>, decision: &Decision<'_>) -> Verdict {
        let lists = self.lists(asked);
        let can_be_given_back = !decision.limits.is_empty() || !decision.approval.is_empty();
        let reservation = decision.reservation.filter(|_| can_be_given_back);
        Verdict::Allowed(Box::new(Allowed {
            mutation: self.mutation(asked, decision, lists.is_some()),
            metadata: namespaced(decision),
            reserved: reservation.map(|reservation| OpenReservation {
                reservation,
                pep: asked.request.pep.id,
            }),
            lists,
        }))
    }

    fn denied(&self, decision: &Decision<'_>, denied: Denial<'_>) -> Verdict {
        let code = if denied.is_tool_result {
            200
        } else {
            i32::from(decision.outcome.http_status())
        };
        let quota =
            quota::fields(decision).filter_map(|(name, value)| header(name.as_str(), value.to_str().ok()?));
        let headers = callgate_fields::fields(decision).filter_map(|(name, value)| header(name, &value));
        let immediate = immediate(code, headers.chain(quota), denied.body);
        Verdict::Denied(Box::new(ProcessingResponse {
            dynamic_metadata: Some(namespaced(decision)),
            ..immediate
        }))
    }
}

impl ExtProc<'_> {
    fn lists(&self, asked: &JudgedRequest<'_>) -> Option<Listed> {
        if asked.method == Some(TOOLS_LIST) {
            let id = asked.id.map(|id| id.json().to_owned());
            return Some(Listed { id });
        }
        let resumes = || {
            self.head
                .headers
                .headers
                .iter()
                .any(|header| header.key == LAST_EVENT_ID)
        };
        let is_stream = self.head.method() == "GET" || resumes();
        is_stream.then_some(Listed { id: None })
    }

    fn mutation(
        &self,
        asked: &JudgedRequest<'_>,
        decision: &Decision<'_>,
        cuts_reply: bool,
    ) -> HeaderMutation {
        let set_headers: Vec<HeaderValueOption> = callgate_fields::fields(decision)
            .filter_map(|(name, value)| header(name, &value))
            .collect();
        let is_set = |name: &str| {
            let mut headers = set_headers.iter().filter_map(|option| option.header.as_ref());
            headers.any(|header| header.key == name)
        };
        let sent = self.head.headers().map(|(name, _)| name);
        let forged = sent.filter(|name| callgate_fields::is_one(name) && !is_set(name));
        let unwanted = UNWANTED.into_iter().filter(|_| cuts_reply);
        let token = asked.hides_token().then_some("authorization");
        let remove_headers = forged.chain(unwanted).chain(token).map(str::to_owned).collect();
        HeaderMutation {
            set_headers,
            remove_headers,
        }
    }
}

/// Makes an answer in place of the upstream's, as JSON.
pub(super) fn immediate(
    code: i32,
    headers: impl Iterator<Item = HeaderValueOption>,
    body: String,
) -> ProcessingResponse {
    let kind = header("content-type", "application/json");
    let set_headers = kind.into_iter().chain(headers).collect();
    ProcessingResponse {
        response: Some(Response::ImmediateResponse(ImmediateResponse {
            status: Some(HttpStatus { code }),
            headers: Some(HeaderMutation {
                set_headers,
                remove_headers: Vec::new(),
            }),
            body: body.into_bytes(),
            grpc_status: None,
            details: "callgate".to_owned(),
        })),
        ..ProcessingResponse::default()
    }
}

/// Makes a header that replaces one of the same name; `None` if the value is not valid in a header.
fn header(name: &str, value: &str) -> Option<HeaderValueOption> {
    let is_text = http::HeaderValue::from_str(value).is_ok_and(|value| value.to_str().is_ok());
    is_text.then(|| HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            // Envoy looks at no other value here.
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    })
}

fn namespaced(decision: &Decision<'_>) -> Struct {
    let value = Value {
        kind: Some(Kind::StructValue(metadata(decision))),
    };
    Struct {
        fields: [(NAMESPACE.to_owned(), value)].into(),
    }
}
