//! Decisions as the pumps between a client and its server are told them.

use std::sync::{Mutex, PoisonError};

use callgate_core::{Decision, PinnedTools, ReservationId};
use callgate_gateway::pins::{Server as PinnedServer, Variant};
use callgate_mcp::Headers;
use callgate_pipes::stdio::{Forward, Judged};

use crate::judging::pins::PinnedCall;
use crate::judging::{Denial, JudgedRequest, Responder};
use crate::metrics::INVALID_REQUEST;
use crate::protocol::Protocol;
use crate::random::random_reservation_id;

/// The method whose replies are lists of tools.
const TOOLS_LIST: &str = "tools/list";

/// The method by which a client states its name and version.
const INITIALIZE: &str = "initialize";

/// A line of a client.
pub(super) struct StdioResponder<'a> {
    /// The server's name.
    pub(super) server: &'a str,
    /// The pins of its tools, if they are pinned.
    pub(super) pins: Option<&'a PinnedServer>,
    pub(super) line: &'a [u8],
    /// The client's variant, as it stated it last.
    pub(super) client: &'a Mutex<Variant>,
    /// True if the line looks like a notification or an answer, so that its sender waits for no reply.
    pub(super) is_unanswered: bool,
}

impl Responder for StdioResponder<'_> {
    type Answer = Judged;

    const PROTOCOL: Protocol = Protocol::Stdio;

    fn reserve(&self) -> Option<ReservationId> {
        // Without random numbers the call is judged all the same, and its units are not given back.
        random_reservation_id().ok()
    }

    fn takes_answers(&self, _headers: &Headers<'_>) -> bool {
        // There is one client and one server, which could not ask it otherwise.
        true
    }

    fn with_pins<R>(&self, judge: impl FnOnce(Option<&dyn PinnedTools>) -> R) -> R {
        let call = self.pins.map(|pins| PinnedCall {
            pins,
            server: self.server,
            variant: || Variant::of_request(self.line).unwrap_or_else(|| of_client(self.client)),
        });
        judge(call.as_ref().map(|call| call as &dyn PinnedTools))
    }

    fn allowed(&self, asked: &JudgedRequest<'_>, decision: &Decision<'_>) -> Judged {
        let can_be_given_back = !decision.limits.is_empty() || !decision.approval.is_empty();
        if asked.method == Some(INITIALIZE) {
            let said = Variant::of_initialize(self.line);
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = said;
        }
        Judged::Forward(Forward {
            lists: asked.method == Some(TOOLS_LIST),
            reservation: decision.reservation.filter(|_| can_be_given_back),
        })
    }

    fn denied(&self, decision: &Decision<'_>, denied: Denial<'_>) -> Judged {
        // JSON-RPC has no replies to these messages; an invalid message gets a reply without an id.
        if self.is_unanswered && decision.rule != INVALID_REQUEST {
            return Judged::Drop;
        }
        Judged::Reply(denied.body)
    }
}

/// The client's variant, as it stated it last.
pub(super) fn of_client(client: &Mutex<Variant>) -> Variant {
    client.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
