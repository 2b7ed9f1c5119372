//! The judgement of requests that a proxy asks about: the same for every protocol that proxies use.
//!
//! A protocol provides the request's facts ([`Attributes`]) and the part of its message that the proxy sent along
//! ([`Payload`]), and turns the result into its own answer ([`Responder`]).

mod admission;
mod body;
mod judge;
mod lists;
mod params;
pub(crate) mod pins;
pub(crate) mod policy_names;
mod reservation;

use std::sync::Arc;

use callgate_core::bindings::Bindings;
use callgate_core::{Decision, PinnedTools, Request, ReservationId};
use callgate_mcp::{Headers, Id, MessageTarget, TraceContext};

use crate::protocol::Protocol;

pub(crate) use admission::Admission;
pub(crate) use body::whole;
pub(crate) use judge::Judge;
pub(crate) use lists::Lists;
pub(crate) use reservation::OpenReservation;

#[cfg(doc)]
use crate::proxy::Attributes;

/// The proxy's own reading of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageSummary<'a> {
    pub(crate) named: MessageTarget<'a>,
    pub(crate) id: Option<Id<'a>>,
}

/// The part of a request's message that the proxy sent along.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'a> {
    /// The whole body, see [`whole`], and the proxy's reading of it, if there is one: both must agree.
    Body(&'a [u8], Option<MessageSummary<'a>>),
    /// No body, and it is unknown whether there is one. The header fields describe the message, if the server has to
    /// compare them with it; nobody has seen the arguments.
    Fields,
    /// The proxy's reading of the body; nobody has seen the arguments.
    Read(MessageSummary<'a>),
    /// The method, and the `params` from which the proxy makes the message anew.
    Parts(&'a str, Option<&'a [u8]>),
}

/// A request that is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JudgedRequest<'a> {
    /// The engine's request. Its tool is empty if none is called.
    pub(crate) request: Request<'a>,
    /// The method of the message; `None` if a path names the tool, or if there is no message.
    pub(crate) method: Option<&'a str>,
    /// The message's id, if it is known.
    pub(crate) id: Option<Id<'a>>,
    /// The trace context in `_meta` of the message.
    pub(crate) trace: Option<TraceContext<'a>>,
    /// True if callers send their token to callgate in `authorization`.
    hides_token: bool,
}

impl JudgedRequest<'_> {
    /// Returns true if a token is for callgate: the upstream must not see it, whoever the caller is.
    pub(crate) const fn hides_token(&self) -> bool {
        self.hides_token
    }
}

/// A request that must not go on, and the answer for its caller.
#[derive(Debug)]
pub(crate) struct Denial<'a> {
    /// JSON for the caller: a reply to its message, or the decision if a path named the tool.
    pub(crate) body: String,
    /// True if the body is a tool's result, which clients must receive as one, with status 200.
    pub(crate) is_tool_result: bool,
    /// The id of the request that the body answers, if it could be read.
    pub(crate) id: Option<Id<'a>>,
    pub(crate) subject: Subject,
}

/// The kind of a denied message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A message without an id: if its body was sent along, it asks for nothing and gets no answer.
    Notification,
    /// A request of a method that the configuration neither allows nor denies.
    UnknownMethod,
    /// A message of any other kind.
    Other,
}

impl<'a> Denial<'a> {
    /// A denial that is not a tool's result.
    const fn message(body: String, id: Option<Id<'a>>, subject: Subject) -> Self {
        Self {
            body,
            is_tool_result: false,
            id,
            subject,
        }
    }
}

/// Makes answers in one protocol.
pub(crate) trait Responder {
    /// The protocol's own answer.
    type Answer;

    /// The protocol's name in metrics and log.
    const PROTOCOL: Protocol;

    /// Makes the id of a reservation for a call that may have to be rolled back.
    fn reserve(&self) -> Option<ReservationId> {
        None
    }

    /// Returns true if a client's answer to its server's request may go on, with these header fields.
    fn takes_answers(&self, _headers: &Headers<'_>) -> bool {
        false
    }

    /// Lends the pins of the server's tools; `None` where no tools are pinned.
    fn with_pins<R>(&self, judge: impl FnOnce(Option<&dyn PinnedTools>) -> R) -> R {
        judge(None)
    }

    /// Returns the arguments of this tool that clients mirror in header fields, by the server's own description of it;
    /// `None` if that is not known, so that the catalogue decides.
    fn bindings(&self, _tool: &str) -> Option<Arc<Bindings>> {
        None
    }

    /// Makes the answer that lets the request pass.
    fn allowed(&self, asked: &JudgedRequest<'_>, decision: &Decision<'_>) -> Self::Answer;

    /// Makes the answer that denies the request.
    fn denied(&self, decision: &Decision<'_>, denied: Denial<'_>) -> Self::Answer;
}
