//! Judging what a proxy asks about: the same for every protocol that proxies speak.
//!
//! A protocol says what the request was ([`Attributes`]) and how much of it the proxy sent along ([`Carried`]), and turns
//! what comes of it into its own answer ([`Door`]).

mod admission;
mod body;
mod judge;
mod lists;
mod params;
pub(crate) mod pins;
mod reservation;

use std::sync::Arc;

use callgate_core::bindings::Bindings;
use callgate_core::{Decision, Request};
use callgate_mcp::{Headers, Id, MessageTarget};

use crate::protocol::Protocol;

pub(crate) use admission::Admission;
pub(crate) use body::whole;
pub(crate) use judge::Judge;
pub(crate) use lists::Lists;
pub(crate) use reservation::Reserved;

#[cfg(doc)]
use crate::proxy::Attributes;

/// What the proxy itself has read of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) named: MessageTarget<'a>,
    pub(crate) id: Option<Id<'a>>,
}

/// What came along of a request's message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Carried<'a> {
    /// The whole body, see [`whole`], and what the proxy has read of it, if it tells: it must be the same.
    Body(&'a [u8], Option<Read<'a>>),
    /// No body, and nobody knows whether there is one. The header fields say what the message is, where the server has to
    /// hold them against it, and nobody has seen the arguments.
    Fields,
    /// What the proxy has read of the body; nobody has seen the arguments.
    Read(Read<'a>),
    /// The method, and the `params` from which the proxy makes the message anew.
    Parts(&'a str, Option<&'a [u8]>),
}

/// A request as it was judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// What the engine was asked. Its tool is empty where none is called.
    pub(crate) request: Request<'a>,
    /// The method of the message; `None` where a path names the tool, and where there is no message.
    pub(crate) method: Option<&'a str>,
    /// The message's id, where it is known.
    pub(crate) id: Option<Id<'a>>,
    /// `authorization` is where callers send their token to callgate.
    hides_token: bool,
}

impl Asked<'_> {
    /// A token is for callgate; the upstream must not see it, whoever was believed to call.
    pub(crate) const fn hides_token(&self) -> bool {
        self.hides_token
    }
}

/// What must not go on, and what its caller is told.
#[derive(Debug)]
pub(crate) struct Denied<'a> {
    /// JSON for the caller: a reply to its message, or the decision where a path named the tool.
    pub(crate) body: String,
    /// The body is a tool's result, and clients are to get it as one, with status 200.
    pub(crate) is_tool_result: bool,
    /// The id of the request that the body answers, where it could be read.
    pub(crate) id: Option<Id<'a>>,
    pub(crate) subject: Subject,
}

/// What kind of message was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A message without an id: where its body came along, one that asks for nothing and gets no answer.
    Notification,
    /// A request of a method that the configuration neither allows nor denies.
    UnknownMethod,
    /// Anything else.
    Other,
}

impl<'a> Denied<'a> {
    /// What is no result of a tool.
    const fn message(body: String, id: Option<Id<'a>>, subject: Subject) -> Self {
        Self {
            body,
            is_tool_result: false,
            id,
            subject,
        }
    }
}

/// How one protocol answers.
pub(crate) trait Door {
    /// The protocol's own answer.
    type Answer;

    /// What metrics and log call it.
    const PROTOCOL: Protocol;

    /// The id of a reservation for a call that may have to be rolled back.
    fn reserve(&self) -> Option<u128> {
        None
    }

    /// Whether a client's answer to what the server has asked it may go on, if its fields are these.
    fn takes_answers(&self, _headers: &Headers<'_>) -> bool {
        false
    }

    /// Why no call of this tool may go on, whoever makes it: the rule, and what its caller is told.
    fn objection(&self, _tool: &str) -> Option<(&'static str, String)> {
        None
    }

    /// Which arguments of this tool clients mirror in header fields, by what its server says of it; `None` where nothing
    /// is known of that, and the catalogue is asked.
    fn bindings(&self, _tool: &str) -> Option<Arc<Bindings>> {
        None
    }

    /// The request may go on.
    fn allowed(&self, asked: &Asked<'_>, decision: &Decision<'_>) -> Self::Answer;

    /// The request must not go on.
    fn denied(&self, decision: &Decision<'_>, denied: Denied<'_>) -> Self::Answer;
}
