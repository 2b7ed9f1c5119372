//! The parts that every exchange works with, and its questions to the engine.

use std::sync::Arc;

use callgate_mcp::Id;
use callgate_mcp::sse::{Event, UNKNOWN_LINE};
use tonic::Status;

use super::super::mcp_metadata::ReadMessage;
use super::head::Head;
use super::responder::{ExtProc, Listed, Verdict};
use crate::approvals::Asking;
use crate::bodies::ConnectionShare;
use crate::deadline::Deadline;
use crate::gate::{Buffers, Gate, work_on};
use crate::identity::Asker;
use crate::in_force::Configuration;
use crate::judging::{Admission, Judge, Lists, Payload, whole};
use crate::protocol::Protocol;
use crate::proxy::UnclearError;

/// The parts that exchanges share, and the enforcement point that began this one.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) gate: Arc<Gate>,
    pub(super) asker: Option<Asker>,
    /// Of this connection, for the bodies that are held.
    pub(super) share: Arc<ConnectionShare>,
    pub(super) body_limit_bytes: usize,
    pub(super) deadline: Option<Deadline>,
}

/// The body of a request, as far as Envoy sends it.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReceivedBody<'a> {
    /// The whole body.
    Whole(&'a [u8]),
    /// No body, though the request has one: the proxy does not send it.
    Nothing,
    /// A body that cannot be judged, for this reason.
    Unusable(&'static str),
}

impl Context {
    /// Admits the sender of the request, if it is still allowed to ask.
    fn admit<'c>(
        &self,
        configuration: &'c Configuration,
        asking: &'c Asking,
    ) -> Result<Admission<'c>, Status> {
        Admission::of(configuration, asking, self.asker.as_ref())
            .map_err(|unknown| Status::unauthenticated(unknown.message()))
    }

    /// Judges a request.
    pub(super) fn judge(
        &self,
        (configuration, asking): (&Configuration, &Asking),
        head: &Head,
        received: ReceivedBody<'_>,
    ) -> Result<Verdict, Status> {
        let admission = self.admit(configuration, asking)?;
        let responder = ExtProc { head };
        let judge = Judge::new(&responder, &self.gate, &admission);
        let read = ReadMessage::of(head.metadata.as_ref(), admission.proxies.mcp_metadata.as_deref());
        let read = match &read {
            Ok(read) => read.as_ref().map(ReadMessage::as_read),
            Err(unclear) => return Ok(judge.unclear(unclear)),
        };
        let body = match received {
            ReceivedBody::Unusable(reason) => return Ok(judge.unclear(&UnclearError::new(reason))),
            ReceivedBody::Nothing => None,
            ReceivedBody::Whole(body) => Some(body),
        };
        Ok(work_on(body.unwrap_or_default(), |buffers| {
            let carried = match body {
                None => Ok(read.map_or(Payload::Fields, Payload::Read)),
                Some(body) => whole(&head, body).map(|body| Payload::Body(body, read)),
            };
            judge.answer(&head, carried, buffers)
        }))
    }

    /// A reply to `tools/list`, without what its caller may not see.
    pub(super) fn cut_reply(&self, head: &Head, lists: &Listed, reply: &[u8]) -> Result<Vec<u8>, Status> {
        self.lists(head, lists, |lists| {
            work_on(reply, |Buffers { tape, .. }| {
                lists.reply(tape, reply).unwrap_or_else(String::into_bytes)
            })
        })
    }

    /// One event of a stream, likewise.
    pub(super) fn cut_event(
        &self,
        head: &Head,
        lists: &Listed,
        event: &Event<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Status> {
        self.lists(head, lists, |lists| {
            let cut = if event.is_plain() {
                work_on(event.raw(), |Buffers { tape, .. }| lists.event(tape, event))
            } else {
                Err(lists.withheld(UNKNOWN_LINE))
            };
            match cut {
                Ok(cut) => out.extend_from_slice(&cut),
                Err(instead) => out.extend_from_slice(&event_of(&instead)),
            }
        })
    }

    /// The message that its caller gets in place of a list that cannot be cut.
    pub(super) fn withhold(&self, head: &Head, lists: &Listed, reason: &str) -> Result<String, Status> {
        self.lists(head, lists, |lists| lists.withheld(reason))
    }

    /// Works on lists with the configuration in force.
    fn lists<R>(&self, head: &Head, lists: &Listed, work: impl FnOnce(&Lists<'_>) -> R) -> Result<R, Status> {
        let configuration = self.gate.configuration();
        let asking = Asking::default();
        let admission = self.admit(&configuration, &asking)?;
        let named = admission
            .proxies
            .name(&head)
            .map_err(|unclear| Status::invalid_argument(unclear.to_string()))?;
        Ok(work(&Lists {
            gate: &self.gate,
            protocol: Protocol::ExtProc,
            configuration: &configuration,
            request: named.request(admission.pep),
            id: lists.id.as_deref().and_then(Id::from_json),
            allowed_only: false,
            observed: None,
        }))
    }
}

/// A message as an event of its own.
pub(super) fn event_of(message: &str) -> Vec<u8> {
    format!("event: message\ndata: {message}\n\n").into_bytes()
}
