//! The interface between the two directions and the policy that judges messages.

use std::borrow::Cow;

use callgate_core::ReservationId;

use super::fault::LineError;
use crate::id::RequestId;
use callgate_gateway::pins::Listing;

/// Judges the lines of one client and cuts the replies that it gets. What it hands back are messages without framing.
pub trait Judging: Send + Sync + 'static {
    /// Judges one line, which is without its end, and `looks` like this at its top.
    fn judge(&self, line: &[u8], looks: Looks) -> Judged;

    /// The reply to a line that is not forwarded because of a fault.
    fn refuse(&self, fault: LineError, id: Option<&RequestId>) -> String;

    /// The call with this reservation has `reached` the server, or it provably has not.
    fn settle(&self, reservation: ReservationId, reached: bool);

    /// A reply that may be a list of tools, without those that its caller may not see; or what the caller gets in its
    /// place. `listing` is what was asked for under this id.
    fn cut<'r>(&self, reply: &'r [u8], id: Option<&RequestId>, listing: &Listing) -> Cow<'r, [u8]>;

    /// The message to the caller in place of a reply that may be a list of tools and is longer than `limit_bytes`.
    fn withhold(&self, limit_bytes: usize, id: Option<&RequestId>) -> String;
}

/// The apparent kind of a line, before it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// A line with a method and an id.
    Request,
    /// A line with a method and without an id.
    Notification,
    /// A line with a result or an error, and without a method.
    Response,
    /// Any other line.
    Unclear,
}

/// The result of judging a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The line is forwarded unchanged.
    Forward(Forward),
    /// The line is not forwarded, and its sender gets this reply.
    Reply(String),
    /// The line is not forwarded, and its sender expects no reply.
    Drop,
}

/// Properties of a line that is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// Its reply is a list of tools.
    pub lists: bool,
    /// The units that it took, until it is known to have reached the server.
    pub reservation: Option<ReservationId>,
}
