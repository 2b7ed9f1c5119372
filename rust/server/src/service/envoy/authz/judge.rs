//! From the attributes of a request to the answer.

use std::cell::RefCell;

use callgate_core::engine::Snapshot;
use callgate_core::json::Tape;
use callgate_core::{Caller, Decision, Outcome, Pep, Request};
use callgate_mcp::{Headers, Id, Message, Methods, Refusal, reply as mcp};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckResponse};

use super::super::attributes::HttpAttributes;
use super::{reading, reply};
use crate::gate::{Gate, Protocol};
use crate::proxy::{ProxyConfig, Unclear};

thread_local! {
    /// The buffer of one thread, used again for every message.
    static TAPE: RefCell<Tape> = RefCell::default();
}

const PROTOCOL: Protocol = Protocol::ExtAuthz;

/// Methods of HTTP that carry no message: a session's stream is opened, a session is ended.
const WITHOUT_MESSAGE: [&str; 2] = ["GET", "DELETE"];

/// Judges one request.
#[derive(Clone, Copy)]
pub(super) struct Judge<'j> {
    pub(super) gate: &'j Gate,
    pub(super) proxies: &'j ProxyConfig,
    pub(super) state: &'j Snapshot,
    pub(super) pep: Pep,
    pub(super) methods: &'j Methods,
}

impl Judge<'_> {
    pub(super) fn answer(self, context: Option<&AttributeContext>) -> CheckResponse {
        let Some(attributes) = context.and_then(HttpAttributes::of) else {
            let unclear = Unclear::new("the check is of no HTTP request; ask about HTTP requests alone");
            return self.refuse(&unclear);
        };
        match self.judge(&attributes) {
            Ok(answer) => answer,
            Err(unclear) => self.refuse(&unclear),
        }
    }

    fn judge(self, attributes: &HttpAttributes<'_>) -> Result<CheckResponse, Unclear> {
        let named = self.proxies.name(attributes)?;
        let body = reading::body(attributes)?;
        let headers = match Headers::read(reading::fields(attributes)) {
            Ok(headers) => headers,
            Err(refusal) => return Ok(self.refuse_message(&refusal)),
        };
        let asking = Asking {
            attributes,
            request: Request {
                caller: named.caller,
                pep: self.pep,
                tool: named.tool.as_deref().unwrap_or_default(),
                server: &named.server,
                session: headers.session(),
                args_json: body,
                reserve: None,
            },
        };
        if named.tool.is_some() {
            return Ok(self.call(&asking, false, |decision| {
                let mut json = String::new();
                decision.write_json(&mut json);
                json
            }));
        }
        let asking = asking.without_arguments();
        if body.is_empty() && WITHOUT_MESSAGE.contains(&attributes.http.method.as_str()) {
            return Ok(self.pass(&asking, None));
        }
        Ok(TAPE.with(|tape| match tape.try_borrow_mut() {
            Ok(mut tape) => self.message(&asking, &headers, Message::parse(&mut tape, body)),
            Err(_) => self.message(&asking, &headers, Message::parse(&mut Tape::new(), body)),
        }))
    }

    fn message(
        self,
        asking: &Asking<'_>,
        headers: &Headers<'_>,
        message: Result<Message<'_>, Refusal<'_>>,
    ) -> CheckResponse {
        let checked = message.and_then(|message| {
            headers.check(&message)?;
            Ok(message)
        });
        match checked {
            Err(refusal) => self.refuse_message(&refusal),
            Ok(Message::Other(other)) if !self.methods.passes(other.method) => {
                let rule = mcp::METHOD_RULE;
                let message = format!("method `{}` is not allowed here", other.method);
                let body = mcp::denied_method(other.id, other.method);
                let (state, request) = (self.state, &asking.request);
                self.gate
                    .deny(PROTOCOL, state, request, rule, message, |decision| {
                        reply::denied(decision, body, false)
                    })
            }
            Ok(Message::Other(other)) => self.pass(asking, other.id),
            Ok(Message::Call(call)) => {
                let asking = Asking {
                    request: Request {
                        tool: call.tool,
                        args_json: call.args_json(),
                        ..asking.request
                    },
                    ..*asking
                };
                let denied = |decision: &Decision<'_>| mcp::denied_call(Some(call.id), decision);
                self.call(&asking, self.proxies.tool_errors, denied)
            }
        }
    }

    /// Decides on a call of a tool.
    fn call(
        self,
        asking: &Asking<'_>,
        is_tool_error: bool,
        denied: impl FnOnce(&Decision<'_>) -> String,
    ) -> CheckResponse {
        let Asking { attributes, request } = asking;
        self.gate.decide_over(PROTOCOL, self.state, request, |decision| {
            if decision.outcome == Outcome::Allow {
                reply::allowed(decision, attributes, asking.hides_token())
            } else {
                reply::denied(decision, denied(decision), is_tool_error)
            }
        })
    }

    /// Lets a request that calls no tool pass, if its caller is known.
    fn pass(self, asking: &Asking<'_>, id: Option<Id<'_>>) -> CheckResponse {
        let Asking { attributes, request } = asking;
        self.gate.recognise(PROTOCOL, self.state, request, |decision| {
            if decision.outcome == Outcome::Allow {
                reply::allowed(decision, attributes, asking.hides_token())
            } else {
                reply::denied(decision, mcp::denied_request(id, decision), false)
            }
        })
    }

    fn refuse_message(self, refusal: &Refusal<'_>) -> CheckResponse {
        let body = mcp::refused(refusal);
        self.gate
            .refuse(PROTOCOL, refusal.message.to_string(), |decision| {
                reply::denied(decision, body, false)
            })
    }

    fn refuse(self, unclear: &Unclear) -> CheckResponse {
        self.gate.refuse(PROTOCOL, unclear.to_string(), |decision| {
            reply::denied(decision, mcp::denied_request(None, decision), false)
        })
    }
}

/// A request as it is asked about.
#[derive(Clone, Copy)]
struct Asking<'a> {
    attributes: &'a HttpAttributes<'a>,
    request: Request<'a>,
}

impl Asking<'_> {
    fn without_arguments(self) -> Self {
        Self {
            request: Request {
                args_json: b"",
                ..self.request
            },
            ..self
        }
    }

    /// The token is for callgate; the upstream must not see it.
    const fn hides_token(&self) -> bool {
        matches!(self.request.caller, Caller::Token(_))
    }
}
