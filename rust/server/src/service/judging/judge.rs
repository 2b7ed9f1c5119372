//! From a request to what becomes of it.

use std::cell::RefCell;

use callgate_core::engine::Snapshot;
use callgate_core::json::Tape;
use callgate_core::{Args, Decision, Outcome, Pep, Request};
use callgate_mcp::message::TOOLS_CALL;
use callgate_mcp::{Headers, Id, Message, Named, Parts, Refusal, reply as mcp};

use super::{Asked, Carried, Denied, Door, body};
use crate::gate::Gate;
use crate::metrics::INVALID_REQUEST;
use crate::proxy::{Attributes, IdentitySource, ProxyConfig, Unclear};

thread_local! {
    /// The buffer of one thread, used again for every message.
    static TAPE: RefCell<Tape> = RefCell::default();
}

/// The method of HTTP that carries a message.
const MESSAGE_METHOD: &str = "POST";

/// Methods of HTTP that carry no message: a session's stream is opened, a session is ended.
const WITHOUT_MESSAGE: [&str; 2] = ["GET", "DELETE"];

/// Judges one request.
#[derive(Debug)]
pub(in super::super) struct Judge<'j, D> {
    pub(in super::super) door: &'j D,
    pub(in super::super) gate: &'j Gate,
    pub(in super::super) proxies: &'j ProxyConfig,
    pub(in super::super) state: &'j Snapshot,
    pub(in super::super) pep: Pep,
}

impl<D: Door> Judge<'_, D> {
    /// The answer to a request with these attributes, of which this came along.
    pub(in super::super) fn answer<'a>(
        &self,
        attributes: &impl Attributes<'a>,
        carried: Result<Carried<'a>, Unclear>,
    ) -> D::Answer {
        self.judge(attributes, carried)
            .unwrap_or_else(|unclear| self.unclear(&unclear))
    }

    /// The answer to what does not say what it asks.
    pub(in super::super) fn unclear(&self, unclear: &Unclear) -> D::Answer {
        self.gate.refuse(D::PROTOCOL, unclear.to_string(), |decision| {
            let body = mcp::denied_request(None, decision);
            self.door.denied(decision, Denied::message(body))
        })
    }

    fn judge<'a>(
        &self,
        attributes: &impl Attributes<'a>,
        carried: Result<Carried<'a>, Unclear>,
    ) -> Result<D::Answer, Unclear> {
        let named = self.proxies.name(attributes)?;
        let (carried, read) = match carried? {
            Carried::Both(body, named, id) => (Carried::Body(body), Some((named, id))),
            carried => (carried, None),
        };
        let request = Request {
            caller: named.caller,
            pep: self.pep,
            tool: "",
            server: &named.server,
            session: None,
            args: Args::NONE,
            reserve: None,
        };
        let is_absent = match body::check(attributes, &carried) {
            Ok(is_absent) => is_absent,
            Err(unclear) => {
                return Ok(
                    self.deny(&request, INVALID_REQUEST, unclear.to_string(), |decision| {
                        mcp::denied_request(None, decision)
                    }),
                );
            }
        };
        let headers = match Headers::read(attributes.fields()) {
            Ok(headers) => headers,
            Err(refusal) => return Ok(self.refuse(&request, &refusal)),
        };
        let request = Request {
            session: headers.session(),
            ..request
        };
        if let Some(tool) = named.tool.as_deref() {
            let args = match carried {
                Carried::Body([]) if !is_absent => Args::Unseen,
                Carried::Body(body) => Args::Json(body),
                // Not even where no field speaks of a body: proxies take those fields away with it.
                Carried::Fields | Carried::Read(..) | Carried::Both(..) | Carried::Parts(..) => Args::Unseen,
            };
            let request = Request {
                tool,
                args,
                ..request
            };
            let asked = Asked {
                request,
                method: None,
                id: None,
                hides_token: self.hides_token(),
            };
            return Ok(self.call(&asked));
        }
        if is_absent && WITHOUT_MESSAGE.contains(&attributes.method()) {
            let asked = Asked {
                request,
                method: None,
                id: None,
                hides_token: self.hides_token(),
            };
            return Ok(self.pass(&asked));
        }
        if attributes.method() != MESSAGE_METHOD {
            let message = format!("a message is sent by `{MESSAGE_METHOD}`; `GET` and `DELETE` have none");
            return Ok(self.deny(&request, INVALID_REQUEST, message, |decision| {
                mcp::denied_request(None, decision)
            }));
        }
        Ok(match carried {
            Carried::Body(body) => TAPE.with(|tape| match tape.try_borrow_mut() {
                Ok(mut tape) => self.message(request, &headers, Message::parse(&mut tape, body), read),
                Err(_) => self.message(request, &headers, Message::parse(&mut Tape::new(), body), read),
            }),
            Carried::Fields => match headers.without_body() {
                Ok(named) => self.named(request, named, None),
                Err(refusal) => self.refuse(&request, &refusal),
            },
            Carried::Read(named, id) | Carried::Both(_, named, id) => match headers.check_named(named, id) {
                Ok(()) => self.named(request, named, id),
                Err(refusal) => self.refuse(&request, &refusal),
            },
            Carried::Parts(method, params) => TAPE.with(|tape| match tape.try_borrow_mut() {
                Ok(mut tape) => self.parts(request, Parts::parse(&mut tape, method, params)),
                Err(_) => self.parts(request, Parts::parse(&mut Tape::new(), method, params)),
            }),
        })
    }

    fn hides_token(&self) -> bool {
        self.proxies.identity.contains(&IdentitySource::Token)
    }

    /// A message that came along, held against its header fields.
    fn message(
        &self,
        request: Request<'_>,
        headers: &Headers<'_>,
        message: Result<Message<'_>, Refusal<'_>>,
        read: Option<(Named<'_>, Option<Id<'_>>)>,
    ) -> D::Answer {
        let checked = message.and_then(|message| {
            headers.check(&message)?;
            if let Some((named, id)) = read {
                named.check(&message, id)?;
            }
            Ok(message)
        });
        match checked {
            Err(refusal) => self.refuse(&request, &refusal),
            Ok(Message::Other(other)) => self.other(&Asked {
                request,
                method: Some(other.method),
                id: other.id,
                hides_token: self.hides_token(),
            }),
            Ok(Message::Call(call)) => self.call(&Asked {
                request: Request {
                    tool: call.tool,
                    args: call.args.map_or(Args::NONE, Args::Read),
                    ..request
                },
                method: Some(TOOLS_CALL),
                id: Some(call.id),
                hides_token: self.hides_token(),
            }),
        }
    }

    /// A message that the proxy has taken apart.
    fn parts(&self, request: Request<'_>, parts: Result<Parts<'_>, Refusal<'_>>) -> D::Answer {
        match parts {
            Err(refusal) => self.refuse(&request, &refusal),
            Ok(Parts::Other { method }) => self.other(&Asked {
                request,
                method: Some(method),
                id: None,
                hides_token: self.hides_token(),
            }),
            Ok(Parts::Call { tool, args }) => self.call(&Asked {
                request: Request {
                    tool,
                    args: args.map_or(Args::NONE, Args::Read),
                    ..request
                },
                method: Some(TOOLS_CALL),
                id: None,
                hides_token: self.hides_token(),
            }),
        }
    }

    /// A message of which no more is known than what it calls.
    fn named(&self, request: Request<'_>, named: Named<'_>, id: Option<Id<'_>>) -> D::Answer {
        match named {
            Named::Call(tool) => self.call(&Asked {
                request: Request {
                    tool,
                    args: Args::Unseen,
                    ..request
                },
                method: Some(TOOLS_CALL),
                id,
                hides_token: self.hides_token(),
            }),
            Named::Other { method, .. } => self.other(&Asked {
                request,
                method: Some(method),
                id,
                hides_token: self.hides_token(),
            }),
        }
    }

    /// A message that calls no tool.
    fn other(&self, asked: &Asked<'_>) -> D::Answer {
        let method = asked.method.unwrap_or_default();
        if self.proxies.methods.passes(method) {
            return self.pass(asked);
        }
        self.deny(
            &asked.request,
            mcp::METHOD_RULE,
            mcp::method_denied(method),
            |decision| mcp::denied_request(asked.id, decision),
        )
    }

    /// Decides on a call of a tool.
    fn call(&self, asked: &Asked<'_>) -> D::Answer {
        let reserve = self.door.reserve();
        let request = Request {
            reserve,
            ..asked.request
        };
        self.gate
            .decide_over(D::PROTOCOL, self.state, &request, |decision| {
                if decision.outcome == Outcome::Allow {
                    return self.door.allowed(asked, decision);
                }
                let body = if asked.method.is_some() {
                    mcp::denied_call(asked.id, decision)
                } else {
                    let mut json = String::new();
                    decision.write_json(&mut json);
                    json
                };
                let is_tool_result = asked.id.is_some() && self.proxies.tool_errors;
                self.door.denied(decision, Denied { body, is_tool_result })
            })
    }

    /// Lets a request that calls no tool pass, if its caller is known.
    fn pass(&self, asked: &Asked<'_>) -> D::Answer {
        self.gate
            .recognise(D::PROTOCOL, self.state, &asked.request, |decision| {
                if decision.outcome == Outcome::Allow {
                    self.door.allowed(asked, decision)
                } else {
                    let body = mcp::denied_request(asked.id, decision);
                    self.door.denied(decision, Denied::message(body))
                }
            })
    }

    /// The answer to a message that could be taken for two.
    fn refuse(&self, request: &Request<'_>, refusal: &Refusal<'_>) -> D::Answer {
        self.deny(request, INVALID_REQUEST, refusal.message.to_string(), |_| {
            mcp::refused(refusal)
        })
    }

    /// A denial before any policy, of a caller who may be known.
    fn deny(
        &self,
        request: &Request<'_>,
        rule: &'static str,
        message: String,
        body: impl FnOnce(&Decision<'_>) -> String,
    ) -> D::Answer {
        self.gate
            .deny(D::PROTOCOL, self.state, request, rule, message, |decision| {
                self.door.denied(decision, Denied::message(body(decision)))
            })
    }
}
