//! From a request to what becomes of it.

use std::cell::RefCell;

use callgate_core::engine::Snapshot;
use callgate_core::json::Tape;
use callgate_core::{Args, Outcome, Pep, Request};
use callgate_mcp::message::TOOLS_CALL;
use callgate_mcp::{Headers, Id, Message, Methods, Named, Refusal, reply as mcp};

use super::{Asked, Carried, Denied, Door, body};
use crate::gate::Gate;
use crate::proxy::{Attributes, ProxyConfig, Unclear};

thread_local! {
    /// The buffer of one thread, used again for every message.
    static TAPE: RefCell<Tape> = RefCell::default();
}

/// Methods of HTTP that carry no message: a session's stream is opened, a session is ended.
const WITHOUT_MESSAGE: [&str; 2] = ["GET", "DELETE"];

/// Judges one request.
#[derive(Debug)]
pub(in super::super) struct Judge<'j, D> {
    pub(in super::super) door: &'j D,
    pub(in super::super) gate: &'j Gate,
    pub(in super::super) proxies: &'j ProxyConfig,
    pub(in super::super) methods: &'j Methods,
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
        let carried = carried?;
        let headers = match Headers::read(attributes.fields()) {
            Ok(headers) => headers,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        let request = Request {
            caller: named.caller,
            pep: self.pep,
            tool: "",
            server: &named.server,
            session: headers.session(),
            args: Args::NONE,
            reserve: None,
        };
        if let Some(tool) = named.tool.as_deref() {
            let args = match carried {
                Carried::Body(body) => Args::Json(body),
                Carried::Fields | Carried::Read(..) if body::is_absent(attributes)? => Args::NONE,
                Carried::Fields | Carried::Read(..) => Args::Unseen,
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
            };
            return Ok(self.call(&asked));
        }
        let is_plain = match carried {
            Carried::Body(body) => body.is_empty(),
            Carried::Fields => body::is_absent(attributes)?,
            Carried::Read(..) => false,
        };
        if is_plain && WITHOUT_MESSAGE.contains(&attributes.method()) {
            let asked = Asked {
                request,
                method: None,
                id: None,
            };
            return Ok(self.pass(&asked));
        }
        Ok(match carried {
            Carried::Body(body) => TAPE.with(|tape| match tape.try_borrow_mut() {
                Ok(mut tape) => self.message(request, &headers, Message::parse(&mut tape, body)),
                Err(_) => self.message(request, &headers, Message::parse(&mut Tape::new(), body)),
            }),
            Carried::Fields => match headers.without_body() {
                Ok(named) => self.named(request, named, None),
                Err(refusal) => self.refuse(&refusal),
            },
            Carried::Read(named, id) => self.named(request, named, id),
        })
    }

    /// A message that came along, held against its header fields.
    fn message(
        &self,
        request: Request<'_>,
        headers: &Headers<'_>,
        message: Result<Message<'_>, Refusal<'_>>,
    ) -> D::Answer {
        let checked = message.and_then(|message| {
            headers.check(&message)?;
            Ok(message)
        });
        match checked {
            Err(refusal) => self.refuse(&refusal),
            Ok(Message::Other(other)) => self.other(&Asked {
                request,
                method: Some(other.method),
                id: other.id,
            }),
            Ok(Message::Call(call)) => self.call(&Asked {
                request: Request {
                    tool: call.tool,
                    args: call.args.map_or(Args::NONE, Args::Read),
                    ..request
                },
                method: Some(TOOLS_CALL),
                id: Some(call.id),
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
            }),
            Named::Other { method, .. } => self.other(&Asked {
                request,
                method: Some(method),
                id,
            }),
        }
    }

    /// A message that calls no tool.
    fn other(&self, asked: &Asked<'_>) -> D::Answer {
        let method = asked.method.unwrap_or_default();
        if self.methods.passes(method) {
            return self.pass(asked);
        }
        let message = format!("method `{method}` is not allowed here");
        let body = mcp::denied_method(asked.id, method);
        let (state, request) = (self.state, &asked.request);
        self.gate.deny(
            D::PROTOCOL,
            state,
            request,
            mcp::METHOD_RULE,
            message,
            |decision| self.door.denied(decision, Denied::message(body)),
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
    fn refuse(&self, refusal: &Refusal<'_>) -> D::Answer {
        let body = mcp::refused(refusal);
        self.gate
            .refuse(D::PROTOCOL, refusal.message.to_string(), |decision| {
                self.door.denied(decision, Denied::message(body))
            })
    }
}
