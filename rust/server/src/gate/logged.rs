//! The parts of a call that the decision log keeps, and denials of the server itself.

use std::borrow::Cow;

use callgate_core::{Caller, Decision, Now, Outcome, Request};

use crate::audit::LoggedRequest;
use crate::in_force::Configuration;
use crate::ingress::Ingress;

/// The fields of a request that the decision log keeps.
pub(super) fn asked<'a>(
    ingress: Ingress,
    configuration: &'a Configuration,
    request: &Request<'a>,
    decision: &Decision<'_>,
) -> LoggedRequest<'a> {
    LoggedRequest {
        ingress,
        identity: configuration.state.identity(request, decision),
        session: request.session,
        tool: request.tool,
    }
}

/// The server that a call was meant for; empty where nothing says so: neither a token that no grant has, nor a request that
/// could not be read.
pub(super) fn asked_server<'a>(
    configuration: &'a Configuration,
    request: &Request<'a>,
    decision: &Decision<'_>,
) -> &'a str {
    match request.caller {
        Caller::Named { grant: "", .. } | Caller::Token(_) | Caller::Contradictory
            if decision.grant_index.is_none() =>
        {
            request.server
        }
        _ => configuration.state.identity(request, decision).server,
    }
}

/// A denial by the server itself, on behalf of no policy.
// Generic because a decision is invariant in its lifetime: a `'static` one is no shorter one.
pub(super) fn denial<'s>(rule: &'static str, message: Cow<'s, str>, now: Now) -> Decision<'s> {
    Decision::bare(Outcome::Deny, Cow::Borrowed(rule), message, now.unix_us())
}
