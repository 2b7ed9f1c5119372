//! Judging the lines of one client.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use callgate_core::ReservationId;
use callgate_core::json::Tape;
use callgate_gateway::pins::{Listing, Observation, Server as PinnedServer, Variant};
use callgate_mcp::{Id, reply as mcp};
use callgate_pipes::RequestId;
use callgate_pipes::stdio::{Judged, Judging, LineError, Looks};

use super::attributes::LineAttributes;
use super::responder::{StdioResponder, of_client};
use crate::approvals::Asking;
use crate::gate::{Buffers, Gate, work_on};
use crate::in_force::Configuration;
use crate::judging::{Admission, Judge, Lists, OpenReservation, Payload};
use crate::judging::{pins, policy_names};
use crate::metrics::INVALID_REQUEST;
use crate::passes::settled_in_place;
use crate::protocol::Protocol;

/// Judges the lines of one client.
pub(super) struct LineJudge {
    pub(super) gate: Arc<Gate>,
    pub(super) attributes: LineAttributes,
    /// Removes from lists the tools that this caller may never call, too.
    pub(super) lists_allowed_only: bool,
    /// The server's name.
    pub(super) server: String,
    /// The pins of its tools, if they are pinned.
    pub(super) pins: Option<PinnedServer>,
    /// The client's variant, as it stated it last.
    pub(super) client: Mutex<Variant>,
}

impl Judging for LineJudge {
    fn judge(&self, line: &[u8], looks: Looks) -> Judged {
        let judge = |configuration: &Configuration, asking: &Asking| {
            let admission = Admission::of(configuration, asking, None);
            let admission = &admission.map_err(|unknown| unknown.message().to_owned())?;
            let responder = StdioResponder {
                server: &self.server,
                pins: self.pins.as_ref(),
                line,
                client: &self.client,
                is_unanswered: matches!(looks, Looks::Notification | Looks::Response),
            };
            let judge = Judge::new(&responder, &self.gate, admission);
            Ok(work_on(line, |buffers| {
                judge.answer(&&self.attributes, Ok(Payload::Body(line, None)), buffers)
            }))
        };
        let judged = self.counting(|| settled_in_place(&self.gate, judge));
        judged.unwrap_or_else(|reason| Judged::Reply(self.unclear(reason)))
    }

    fn refuse(&self, fault: LineError, id: Option<&RequestId>) -> String {
        let json = id.map(RequestId::json);
        let id = json.as_deref().and_then(Id::from_json);
        let refused = self.with(|admission| {
            let named = self.named(admission)?;
            let request = named.request(admission.pep);
            let message = fault.to_string();
            Ok(self.gate.deny(
                Protocol::Stdio,
                admission.configuration,
                &request,
                INVALID_REQUEST,
                message,
                |decision| mcp::denied_request(id, decision),
            ))
        });
        refused.unwrap_or_else(|reason| self.unclear(reason))
    }

    fn settle(&self, reservation: ReservationId, reached: bool) {
        // If there is no enforcement point, the units belong to nobody.
        let settle = |admission: &Admission<'_>| {
            let pep = admission.pep.id;
            OpenReservation { reservation, pep }.settle(&self.gate, !reached);
            Ok(())
        };
        let _ = self.counting(|| self.with(settle));
    }

    fn cut<'r>(&self, reply: &'r [u8], id: Option<&RequestId>, listing: &Listing) -> Cow<'r, [u8]> {
        let cut = work_on(reply, |Buffers { tape, .. }| {
            match self.observe(tape, reply, listing) {
                Ok(observed) => self.lists(id, observed.as_ref(), |lists| {
                    lists.reply(tape, reply).unwrap_or_else(String::into_bytes)
                }),
                Err(reason) => self.lists(id, None, |lists| lists.withheld(&reason).into_bytes()),
            }
        });
        Cow::Owned(cut.unwrap_or_else(|reason| self.unclear(reason).into_bytes()))
    }

    fn withhold(&self, limit_bytes: usize, id: Option<&RequestId>) -> String {
        let reason = format!("the reply is longer than {limit_bytes} bytes");
        let withheld = self.lists(id, None, |lists| lists.withheld(&reason));
        withheld.unwrap_or_else(|reason| self.unclear(reason))
    }
}

impl LineJudge {
    /// Calls `work` with the configuration that is in force now.
    fn with<R>(&self, work: impl FnOnce(&Admission<'_>) -> Result<R, String>) -> Result<R, String> {
        let configuration = self.gate.configuration();
        let asking = Asking::default();
        let admission = Admission::of(&configuration, &asking, None);
        work(&admission.map_err(|unknown| unknown.message().to_owned())?)
    }

    /// Calls `work` where it may wait for another process that keeps the counters.
    fn counting<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.gate.engine.store().is_follower() {
            return tokio::task::block_in_place(work);
        }
        work()
    }

    fn named(&self, admission: &Admission<'_>) -> Result<crate::proxy::Named<'_>, String> {
        let attributes = &self.attributes;
        let named = admission.proxies.name(&attributes);
        named.map_err(|unclear| unclear.to_string())
    }

    /// Compares a list with the accepted tools of the server; the error says why the list must not be shown.
    fn observe(
        &self,
        tape: &mut Tape,
        reply: &[u8],
        listing: &Listing,
    ) -> Result<Option<Observation>, String> {
        policy_names::compare(&self.gate, &self.server, listing.page.as_page_ref(), tape, reply);
        let Some(pins) = &self.pins else {
            return Ok(None);
        };
        let said = listing.variant.clone();
        let variant = said.unwrap_or_else(|| of_client(&self.client));
        let asked = (listing.page.as_page_ref(), &variant);
        pins::observe(&self.gate, pins, &self.server, asked, tape, reply)
    }

    /// Calls `work` with the lists that this client may see.
    fn lists<R>(
        &self,
        id: Option<&RequestId>,
        observed: Option<&Observation>,
        work: impl FnOnce(Lists<'_>) -> R,
    ) -> Result<R, String> {
        let json = id.map(RequestId::json);
        self.with(|admission| {
            let named = self.named(admission)?;
            Ok(work(Lists {
                gate: &self.gate,
                protocol: Protocol::Stdio,
                configuration: admission.configuration,
                request: named.request(admission.pep),
                id: json.as_deref().and_then(Id::from_json),
                allowed_only: self.lists_allowed_only,
                observed,
            }))
        })
    }

    /// Makes the denial of a message whose caller cannot be read.
    fn unclear(&self, reason: String) -> String {
        self.gate.refuse(Protocol::Stdio, reason, |decision| {
            mcp::denied_request(None, decision)
        })
    }
}
