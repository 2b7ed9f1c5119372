//! `agentgateway.dev.ext_mcp.ExtMcp`: what agentgateway asks about MCP messages (`docs/agentgateway.md`).

mod attributes;
mod listing;
mod reply;

use std::borrow::Cow;
use std::sync::Arc;

use callgate_core::{Caller, Outcome};
use callgate_mcp::list;
use callgate_mcp::message::TOOLS_CALL;
use callgate_proto::ext_mcp::mcp_response_result::Result as Returned;
use callgate_proto::ext_mcp::{McpRequest, McpRequestResult, McpResponse, McpResponseResult, Pass};
use tonic::Status;

use crate::apart::apart;
use crate::approvals::Asking;
use crate::doors::unary::UnaryCall;
use crate::gate::{Buffers, Gate, work_on};
use crate::judging::{Admission, Judge, Payload};
use crate::passes::settled;
use crate::protocol::Protocol;
use crate::proxy::UnclearError;
use attributes::McpAttributes;
use listing::Target;
use reply::ExtMcp;

const TOOLS_LIST: &str = "tools/list";

/// The service.
#[derive(Clone, Debug)]
pub(super) struct McpPolicy {
    gate: Arc<Gate>,
}

impl McpPolicy {
    pub(super) const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    fn judge(
        &self,
        admission: &Admission<'_>,
        message: &McpRequest,
        buffers: &mut Buffers,
    ) -> McpRequestResult {
        let attributes = McpAttributes::of_request(message);
        let upstream = match message.service_names.as_slice() {
            [] => "",
            [one] => one,
            several => self.where_known(admission, attributes, several),
        };
        let attributes = attributes.at(upstream);
        let responder = ExtMcp { attributes };
        let judge = Judge::new(&responder, &self.gate, admission);
        if message.method == TOOLS_CALL && message.service_names.len() != 1 {
            return judge.unclear(&UnclearError::new(
                "a call goes to one server; expected one name in `service_names`",
            ));
        }
        let carried = Payload::Parts(&message.method, message.mcp_request.as_deref());
        judge.answer(&attributes, Ok(carried), buffers)
    }

    /// Returns the first of the targets of a message at which the caller is known; if there is none, the first target.
    fn where_known<'a>(
        &self,
        admission: &Admission<'_>,
        attributes: McpAttributes<'a>,
        targets: &'a [String],
    ) -> &'a str {
        let now = self.gate.clock.now();
        let is_known = |target: &&String| {
            let Ok(named) = admission.proxies.name(&attributes.at(target)) else {
                return false;
            };
            let request = named.request(admission.pep);
            let decision = self
                .gate
                .engine
                .recognise(&admission.configuration.state, &request, now);
            decision.outcome == Outcome::Allow
        };
        let known = targets.iter().find(is_known).or_else(|| targets.first());
        known.map_or("", String::as_str)
    }

    /// The result of a list of tools, without those that are hidden from its caller.
    fn filter(
        &self,
        admission: &Admission<'_>,
        response: &McpResponse,
        buffers: &mut Buffers,
    ) -> Result<McpResponseResult, UnclearError> {
        let Admission {
            configuration,
            pep,
            proxies,
            ..
        } = *admission;
        let attributes = McpAttributes::of_result(response);
        let upstreams: Vec<&str> = match response.service_names.as_slice() {
            [] => vec![""],
            several => several.iter().map(String::as_str).collect(),
        };
        let named = upstreams
            .iter()
            .map(|upstream| proxies.name(&attributes.at(upstream)))
            .collect::<Result<Vec<_>, _>>()?;
        if named
            .iter()
            .any(|named| matches!(named.caller, Caller::Named { grant: "", .. }))
        {
            return Err(UnclearError::new(
                "no headers come with a list of tools, and the gateway's `metadata` does not say whose it is; send there \
                 what `proxies.identity` reads, under the same name",
            ));
        }
        let requests: Vec<_> = named.iter().map(|named| named.request(pep)).collect();
        let now = self.gate.clock.now();
        let targets: Vec<Target<'_>> = upstreams
            .iter()
            .zip(&requests)
            .map(|(name, request)| Target {
                name,
                listing: self.gate.engine.listing(&configuration.state, request, now),
            })
            .collect();
        if targets.iter().all(|target| target.listing.is_none())
            && let Some(request) = requests.first()
        {
            let gate = &self.gate;
            let refused = gate.recognise(Protocol::ExtMcp, configuration, request, |decision| {
                Returned::Error(reply::error(decision))
            });
            return Ok(returned(refused));
        }
        let filtered = list::filter_result(&mut buffers.tape, &response.mcp_response, |tool| {
            !listing::is_hidden(&targets, tool)
        });
        let filtered = filtered.map_err(|error| {
            UnclearError::new(format!(
                "the list of tools cannot be read, so none is shown: {error}"
            ))
        })?;
        Ok(returned(match filtered {
            Cow::Borrowed(_) => Returned::Pass(Pass {}),
            Cow::Owned(list) => Returned::Mutated(list),
        }))
    }

    /// Answers about a request.
    pub(super) async fn check_request(
        &self,
        call: &UnaryCall<McpRequest>,
    ) -> Result<McpRequestResult, Status> {
        let message = &call.message;
        let params = message.mcp_request.as_deref().unwrap_or_default();
        let keep = || call.keep().map_err(|full| Box::new(Err(full)));
        let answer = settled(
            &self.gate,
            call.deadline,
            call.bytes,
            keep,
            |configuration, asking| {
                let admission =
                    Admission::of_call(configuration, asking, (call.asker.as_ref(), call.deadline))?;
                Ok(work_on(params, |buffers| {
                    self.judge(&admission, message, buffers)
                }))
            },
        );
        answer.await
    }

    /// Answers about the result of a request.
    pub(super) async fn check_response(
        &self,
        call: &UnaryCall<McpResponse>,
    ) -> Result<McpResponseResult, Status> {
        let response = &call.message;
        apart(call.bytes).await;
        let configuration = self.gate.configuration();
        let asking = Asking::default();
        let admission = Admission::of_call(&configuration, &asking, (call.asker.as_ref(), call.deadline))?;
        if response.method != TOOLS_LIST {
            return Ok(returned(Returned::Pass(Pass {})));
        }
        let filtered = work_on(&response.mcp_response, |buffers| {
            self.filter(&admission, response, buffers)
        });
        Ok(filtered.unwrap_or_else(|unclear| {
            self.gate
                .refuse(Protocol::ExtMcp, unclear.to_string(), |decision| {
                    returned(Returned::Error(reply::error(decision)))
                })
        }))
    }
}

const fn returned(result: Returned) -> McpResponseResult {
    McpResponseResult { result: Some(result) }
}
