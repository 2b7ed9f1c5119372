//! What every exchange works with, and what it asks of the engine.

use std::borrow::Cow;
use std::sync::Arc;

use callgate_core::json::Tape;
use callgate_mcp::list;
use callgate_mcp::sse::Event;
use callgate_mcp::{Id, reply as mcp};
use tonic::Status;

use super::super::super::judging::{Carried, Judge, whole};
use super::super::super::unfinished::Share;
use super::super::mcp_metadata::ReadMessage;
use super::door::{ExtProc, Lists, Reserved, Verdict};
use super::head::Head;
use crate::gate::{Admitted, Gate, Protocol, aside};
use crate::identity::Asker;
use crate::proxy::Unclear;

/// Why a list is withheld (`docs/policy.md` section 2).
const HIDDEN: &str = "(hidden)";

/// What exchanges share, and who has begun this one.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) gate: Arc<Gate>,
    pub(super) asker: Option<Asker>,
    /// Of this connection, for the bodies that are held.
    pub(super) share: Arc<Share>,
    pub(super) body_limit_bytes: usize,
}

/// How much of a request's body there is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Came<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// None, though there is one: the proxy does not send it.
    Nothing,
    /// Nothing that could be judged, for this reason.
    Unusable(&'static str),
}

impl Context {
    /// Who asks, now, and what goes with that.
    fn admit(&self) -> Result<Admitted, Status> {
        self.gate
            .admit_proxied(self.asker.as_ref())
            .map_err(|unknown| Status::unauthenticated(unknown.message()))
    }

    /// Judges a request.
    pub(super) fn judge(&self, head: &Head, came: Came<'_>) -> Result<Verdict, Status> {
        let admitted = self.admit()?;
        let judge = Judge {
            door: &ExtProc { head },
            gate: &self.gate,
            admitted: &admitted,
        };
        let read = ReadMessage::of(head.metadata.as_ref(), admitted.proxies.mcp_metadata.as_deref());
        let read = match &read {
            Ok(read) => read.as_ref().map(ReadMessage::as_read),
            Err(unclear) => return Ok(judge.unclear(unclear)),
        };
        Ok(match came {
            Came::Unusable(reason) => judge.unclear(&Unclear::new(reason)),
            Came::Nothing => judge.answer(&head, Ok(read.map_or(Carried::Fields, Carried::Read))),
            Came::Whole(body) => aside(body, || {
                let carried = whole(&head, body);
                judge.answer(&head, carried.map(|body| Carried::Body(body, read)))
            }),
        })
    }

    /// Gives the units of a call back that never reached the upstream, or keeps them for good.
    pub(super) fn settle(&self, reserved: Reserved, never_reached: bool) {
        let now = self.gate.clock.now();
        let Reserved { reservation, pep } = reserved;
        if never_reached {
            self.gate.engine.roll_back(reservation, pep, now);
        } else {
            self.gate.engine.commit(reservation, pep, now);
        }
    }

    /// A reply to `tools/list`, without what its caller may not see.
    pub(super) fn cut_reply(&self, head: &Head, lists: &Lists, reply: &[u8]) -> Result<Vec<u8>, Status> {
        self.cut(head, lists, |keep| {
            aside(reply, || {
                list::filter(&mut Tape::new(), reply, keep).map(Cow::into_owned)
            })
        })
        .map(|cut| cut.unwrap_or_else(String::into_bytes))
    }

    /// One event of a stream, likewise.
    pub(super) fn cut_event(
        &self,
        head: &Head,
        lists: &Lists,
        event: &Event<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Status> {
        let cut = self.cut(head, lists, |keep| {
            aside(event.raw(), || {
                list::filter_event(&mut Tape::new(), event, keep).map(|cut| out.extend_from_slice(&cut))
            })
        })?;
        if let Err(instead) = cut {
            out.extend_from_slice(&event_of(&instead));
        }
        Ok(())
    }

    /// The message that its caller gets in place of a list that cannot be cut.
    pub(super) fn withhold(&self, head: &Head, lists: &Lists, reason: &str) -> Result<String, Status> {
        self.cut(head, lists, |_| Err::<(), _>(reason.to_owned()))
            .map(|withheld| withheld.err().unwrap_or_default())
    }

    /// Lets `work` ask which tools the caller may see now; what it cannot do becomes a message for the caller.
    fn cut<R, E: ToString>(
        &self,
        head: &Head,
        lists: &Lists,
        work: impl FnOnce(&mut dyn FnMut(&str) -> bool) -> Result<R, E>,
    ) -> Result<Result<R, String>, Status> {
        let Admitted { state, pep, proxies } = self.admit()?;
        let named = proxies
            .name(&head)
            .map_err(|unclear| Status::invalid_argument(unclear.to_string()))?;
        let request = named.request(pep);
        // A grant that was revoked meanwhile sees nothing.
        let listing = self.gate.engine.listing(&state, &request, self.gate.clock.now());
        let mut keep = |tool: &str| listing.is_some_and(|listing| listing.shows(tool));
        let failure = match work(&mut keep) {
            Ok(done) => return Ok(Ok(done)),
            Err(failure) => failure.to_string(),
        };
        let message = format!("the server's list of tools is withheld, because it cannot be cut: {failure}");
        let id = lists.id.as_deref().and_then(Id::from_json);
        let gate = &self.gate;
        let message = gate.deny(Protocol::ExtProc, &state, &request, HIDDEN, message, |decision| {
            mcp::denied_request(id, decision)
        });
        Ok(Err(message))
    }
}

/// A message as an event of its own.
pub(super) fn event_of(message: &str) -> Vec<u8> {
    format!("event: message\ndata: {message}\n\n").into_bytes()
}
