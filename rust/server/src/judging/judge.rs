//! The judgement of a request: from its attributes to an answer.

use callgate_core::json::{Tape, Value};
use callgate_core::{Args, Decision, Outcome, Request, Scratch};
use callgate_mcp::message::TOOLS_CALL;
use callgate_mcp::{Answer, Headers, Id, Message, MessageError, MessageTarget, Parts, Reason, reply as mcp};

use super::{Admission, Denial, JudgedRequest, MessageSummary, Payload, Responder, Subject, body};
use crate::gate::{Buffers, Gate};
use crate::ingress::{Ingress, Trace};
use crate::metrics::INVALID_REQUEST;
use crate::proxy::{Attributes, IdentitySource, UnclearError};

/// The method of HTTP that carries a message.
const MESSAGE_METHOD: &str = "POST";

/// Methods of HTTP that carry no message: they open a session's stream, or end a session.
const WITHOUT_MESSAGE: [&str; 2] = ["GET", "DELETE"];

/// Judges one request.
#[derive(Debug)]
pub(crate) struct Judge<'j, D> {
    pub(crate) responder: &'j D,
    pub(crate) gate: &'j Gate,
    pub(crate) admission: &'j Admission<'j>,
    trace: Trace<'j>,
}

impl<'j, D: Responder> Judge<'j, D> {
    /// Makes a judge of requests without a trace.
    pub(crate) fn new(responder: &'j D, gate: &'j Gate, admission: &'j Admission<'j>) -> Self {
        Self {
            responder,
            gate,
            admission,
            trace: Trace::default(),
        }
    }

    /// Makes the same judge for a request of this trace.
    const fn of_trace<'t>(&'t self, trace: Trace<'t>) -> Judge<'t, D> {
        Judge {
            responder: self.responder,
            gate: self.gate,
            admission: self.admission,
            trace,
        }
    }

    /// Returns the ingress of the request, for the decision log.
    fn ingress(&self) -> Ingress {
        Ingress {
            protocol: D::PROTOCOL,
            traceparent: self.trace.parent(),
        }
    }

    /// Makes the answer to a request with these attributes and this part of its message, for which the gate lends buffers.
    pub(crate) fn answer<'a>(
        &self,
        attributes: &impl Attributes<'a>,
        carried: Result<Payload<'a>, UnclearError>,
        buffers: &mut Buffers,
    ) -> D::Answer {
        let judge = self.of_trace(self.trace_of(attributes));
        judge
            .judge(attributes, carried, buffers)
            .unwrap_or_else(|unclear| judge.unclear(&unclear))
    }

    /// Reads the trace in a request's header fields, which the decision log and listeners need.
    fn trace_of<'a>(&self, attributes: &impl Attributes<'a>) -> Trace<'static> {
        if self.gate.reads_traces() {
            Trace::of_attributes(attributes)
        } else {
            Trace::default()
        }
    }

    /// Makes the answer to a request that does not identify its caller or its target.
    pub(crate) fn unclear(&self, unclear: &UnclearError) -> D::Answer {
        self.gate.refuse(self.ingress(), unclear.to_string(), |decision| {
            let body = mcp::denied_request(None, decision);
            self.responder
                .denied(decision, Denial::message(body, None, Subject::Other))
        })
    }

    fn judge<'a>(
        &self,
        attributes: &impl Attributes<'a>,
        carried: Result<Payload<'a>, UnclearError>,
        Buffers { tape, scratch, .. }: &mut Buffers,
    ) -> Result<D::Answer, UnclearError> {
        let named = self.admission.proxies.name(attributes)?;
        let carried = carried?;
        let request = named.request(self.admission.pep);
        let is_absent = match body::check(attributes, &carried) {
            Ok(is_absent) => is_absent,
            Err(unclear) => return Ok(self.invalid(&request, unclear.to_string())),
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
                Payload::Body([], _) if !is_absent => Args::Unseen,
                Payload::Body(body, _) => Args::Json(body),
                // Not even where no field speaks of a body: proxies take those fields away with it.
                Payload::Fields | Payload::Read(_) | Payload::Parts(..) => Args::Unseen,
            };
            let request = Request {
                tool,
                args,
                ..request
            };
            return Ok(self.decide(&self.asked(request, None, None), scratch));
        }
        if is_absent && WITHOUT_MESSAGE.contains(&attributes.method()) {
            return Ok(self.pass(&self.asked(request, None, None)));
        }
        if attributes.method() != MESSAGE_METHOD {
            let message = format!("a message is sent by `{MESSAGE_METHOD}`; `GET` and `DELETE` have none");
            return Ok(self.invalid(&request, message));
        }
        let refused = |refusal: MessageError<'_>| self.refuse(&request, &refusal);
        Ok(match carried {
            Payload::Body(body, read) => {
                let message = Message::parse(tape, body);
                self.message(request, &headers, message, read, scratch)
                    .unwrap_or_else(|refusal| {
                        if refusal.reason == Reason::Response && self.is_answer(&headers, body) {
                            self.pass(&self.asked(request, None, None))
                        } else {
                            refused(refusal)
                        }
                    })
            }
            Payload::Fields => headers.without_body().map_or_else(refused, |named| {
                self.named(request, MessageSummary { named, id: None }, scratch)
            }),
            Payload::Read(read) => headers
                .check_named(read.named, read.id)
                .map_or_else(refused, |()| self.named(request, read, scratch)),
            Payload::Parts(method, params) => self
                .parts(request, Parts::parse(tape, method, params), scratch)
                .unwrap_or_else(refused),
        })
    }

    fn asked<'a>(
        &'a self,
        request: Request<'a>,
        method: Option<&'a str>,
        id: Option<Id<'a>>,
    ) -> JudgedRequest<'a> {
        JudgedRequest {
            request,
            method,
            id,
            trace: self.trace.message,
            hides_token: self.admission.proxies.identity.contains(&IdentitySource::Token),
        }
    }

    /// Returns true if a body is a client's answer to its server, and may be one here.
    fn is_answer(&self, headers: &Headers<'_>, body: &[u8]) -> bool {
        let says_nothing = headers.method().is_none() && headers.name().is_none();
        // The tape that was lent is in use: the refusal may quote from it.
        says_nothing && self.responder.takes_answers(headers) && Answer::parse(&mut Tape::new(), body).is_ok()
    }

    /// Judges a message that the proxy sent along, after a comparison with its header fields and the proxy's own
    /// reading.
    fn message<'m>(
        &self,
        request: Request<'_>,
        headers: &Headers<'_>,
        message: Result<Message<'m>, MessageError<'m>>,
        read: Option<MessageSummary<'_>>,
        scratch: &mut Scratch,
    ) -> Result<D::Answer, MessageError<'m>> {
        let message = message?;
        let judge = self.of_trace(self.trace.with_message(message.trace()));
        headers.check(&message)?;
        if let Some(MessageSummary { named, id }) = read {
            named.check(&message, id)?;
        }
        Ok(match message {
            Message::Other(other) => judge.other(request, other.method, other.id),
            Message::Call(call) => {
                judge.hold_params(&request, headers, &call)?;
                let request = Request {
                    unseen_member: call.unseen_member,
                    ..request
                };
                judge.call(request, call.tool, args(call.args), Some(call.id), scratch)
            }
        })
    }

    /// Judges a message that the proxy has split into parts.
    fn parts<'m>(
        &self,
        request: Request<'_>,
        parts: Result<Parts<'m>, MessageError<'m>>,
        scratch: &mut Scratch,
    ) -> Result<D::Answer, MessageError<'m>> {
        let traced = |trace| self.of_trace(self.trace.with_message(trace));
        Ok(match parts? {
            Parts::Other { method, trace } => traced(trace).other(request, method, None),
            Parts::Call {
                tool,
                args: of_call,
                unseen_member,
                trace,
            } => {
                let request = Request {
                    unseen_member,
                    ..request
                };
                traced(trace).call(request, tool, args(of_call), None, scratch)
            }
        })
    }

    /// Judges a message if only its target is known.
    fn named(&self, request: Request<'_>, read: MessageSummary<'_>, scratch: &mut Scratch) -> D::Answer {
        match read.named {
            MessageTarget::Call(tool) => self.call(request, tool, Args::Unseen, read.id, scratch),
            MessageTarget::Other { method, .. } => self.other(request, method, read.id),
        }
    }

    /// Judges a message that calls no tool.
    fn other(&self, request: Request<'_>, method: &str, id: Option<Id<'_>>) -> D::Answer {
        if self.admission.proxies.methods.passes(method) {
            return self.pass(&self.asked(request, Some(method), id));
        }
        let subject = if id.is_none() {
            Subject::Notification
        } else if self.admission.proxies.methods.denies(method) {
            Subject::Other
        } else {
            Subject::UnknownMethod
        };
        let message = mcp::method_denied(method);
        self.deny(&request, mcp::METHOD_RULE, message, (id, subject), |decision| {
            mcp::denied_request(id, decision)
        })
    }

    /// Judges a message that calls a tool.
    fn call(
        &self,
        request: Request<'_>,
        tool: &str,
        args: Args<'_>,
        id: Option<Id<'_>>,
        scratch: &mut Scratch,
    ) -> D::Answer {
        let request = Request {
            tool,
            args,
            ..request
        };
        self.decide(&self.asked(request, Some(TOOLS_CALL), id), scratch)
    }

    /// Decides on a call of a tool.
    fn decide(&self, asked: &JudgedRequest<'_>, scratch: &mut Scratch) -> D::Answer {
        let render = |decision: &Decision<'_>| {
            if decision.outcome == Outcome::Allow {
                return self.responder.allowed(asked, decision);
            }
            self.responder.denied(decision, self.denied_call(asked, decision))
        };
        let reserve = self.responder.reserve();
        self.responder.with_pins(|pins| {
            let request = Request {
                reserve,
                pins,
                ..asked.request
            };
            let configuration = self.admission.configuration;
            self.gate.decide_over(
                self.ingress(),
                configuration,
                &request,
                (scratch, self.admission.asking),
                render,
            )
        })
    }

    fn denied_call<'a>(&self, asked: &JudgedRequest<'a>, decision: &Decision<'_>) -> Denial<'a> {
        let body = if asked.method.is_some() {
            mcp::denied_call(asked.id, decision)
        } else {
            let mut json = String::new();
            decision.write_json(&mut json);
            json
        };
        Denial {
            body,
            is_tool_result: asked.id.is_some() && self.admission.proxies.tool_errors,
            id: asked.id,
            subject: Subject::Other,
        }
    }

    /// Lets a request that calls no tool pass, if its caller is known.
    fn pass(&self, asked: &JudgedRequest<'_>) -> D::Answer {
        self.gate.recognise(
            self.ingress(),
            self.admission.configuration,
            &asked.request,
            |decision| {
                if decision.outcome == Outcome::Allow {
                    self.responder.allowed(asked, decision)
                } else {
                    let body = mcp::denied_request(asked.id, decision);
                    let subject = match (asked.method, asked.id) {
                        (Some(_), None) => Subject::Notification,
                        _ => Subject::Other,
                    };
                    self.responder
                        .denied(decision, Denial::message(body, asked.id, subject))
                }
            },
        )
    }

    /// Makes the answer to a request whose caller is identified, but whose message cannot be judged.
    fn invalid(&self, request: &Request<'_>, message: String) -> D::Answer {
        let about = (None, Subject::Other);
        self.deny(request, INVALID_REQUEST, message, about, |decision| {
            mcp::denied_request(None, decision)
        })
    }

    /// Makes the answer to an ambiguous message.
    fn refuse(&self, request: &Request<'_>, refusal: &MessageError<'_>) -> D::Answer {
        let message = refusal.message.to_string();
        let about = (refusal.id, Subject::Other);
        self.deny(request, INVALID_REQUEST, message, about, |_| {
            mcp::refused(refusal)
        })
    }

    /// Denies a request before any policy is evaluated; its caller may be known.
    fn deny(
        &self,
        request: &Request<'_>,
        rule: &'static str,
        message: String,
        (id, subject): (Option<Id<'_>>, Subject),
        body: impl FnOnce(&Decision<'_>) -> String,
    ) -> D::Answer {
        self.gate.deny(
            self.ingress(),
            self.admission.configuration,
            request,
            rule,
            message,
            |decision| {
                self.responder
                    .denied(decision, Denial::message(body(decision), id, subject))
            },
        )
    }
}

/// Converts absent arguments to those of a call without any.
fn args(args: Option<Value<'_>>) -> Args<'_> {
    args.map_or(Args::NONE, Args::Read)
}
