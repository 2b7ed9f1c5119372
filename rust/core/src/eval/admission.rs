//! Step 1 of `docs/policy.md` section 2: the server and the grant are known, the grant is valid and has a policy.

use std::borrow::Cow;

use super::{Evaluation, INVALID, message};
use crate::compile::CompiledPolicy;
use crate::grant::{Grant, KnownToken, Labels, labels_digest};
use crate::request::DEFAULT_SERVER;
use crate::state::Unserved;
use crate::{Caller, PinnedTools, Request};

/// The message for a caller whose token belongs to no grant; it does not repeat the token, which is a secret.
const NO_SUCH_TOKEN: &str = "the token of the caller is that of no grant of this server; check it, case included, or ask the operator for another";

/// The message for an enforcement point that names a grant without being trusted to vouch for callers.
const NOT_VOUCHED: &str = "grants are configured here, so a grant's id is taken only from who vouches for its callers; send the \
     caller's `grant_token` instead";

/// The message for a call that has to say at which of the grant's servers it is.
const SERVER_MISSING: &str =
    "the grant is for several servers, and the call names none; name the server in the call";

/// A well-formed request of a known caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdmittedRequest<'c> {
    pub(super) grant: &'c str,
    pub(super) tool: &'c str,
    pub(super) server: &'c str,
    pub(super) session: Option<&'c str>,
    pub(super) pins: Option<&'c dyn PinnedTools>,
    labels: LabelsOf<'c>,
    grant_index: Option<u32>,
}

/// The source of the labels.
#[derive(Clone, Copy, Debug)]
enum LabelsOf<'c> {
    Request(&'c [(&'c str, &'c str)]),
    Grant(&'c Labels),
}

/// The reason why a caller is not admitted.
#[derive(Debug)]
pub(super) struct AdmissionError {
    pub(super) rule: &'static str,
    pub(super) message: Cow<'static, str>,
    pub(super) grant_index: Option<u32>,
}

/// The policy that decides, and its index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decider<'s> {
    pub(super) policy: &'s CompiledPolicy,
    pub(super) policy_index: u32,
}

impl<'c> AdmittedRequest<'c> {
    /// A call of these names, for the counts that it would use: without a session, labels and pins.
    pub(super) const fn of_names(grant: &'c str, tool: &'c str, server: &'c str) -> Self {
        Self {
            grant,
            tool,
            server,
            session: None,
            pins: None,
            labels: LabelsOf::Request(&[]),
            grant_index: None,
        }
    }

    /// The grant's label of this name.
    pub(super) fn label(&self, name: &str) -> Option<&'c str> {
        match self.labels {
            LabelsOf::Request(labels) => labels
                .iter()
                .find(|(label, _)| *label == name)
                .map(|(_, value)| *value),
            LabelsOf::Grant(labels) => labels
                .iter()
                .find(|(label, _)| **label == *name)
                .map(|(_, value)| &**value),
        }
    }

    /// The digest of all labels; `None` if there are none.
    pub(super) fn labels_digest(&self) -> Option<u64> {
        match self.labels {
            LabelsOf::Request(labels) => labels_digest(self.grant, labels.iter().copied()),
            LabelsOf::Grant(labels) => {
                let labels = labels.iter().map(|(name, value)| (&**name, &**value));
                labels_digest(self.grant, labels)
            }
        }
    }

    /// All labels of the grant.
    pub(super) fn labels(&self) -> Vec<(String, String)> {
        let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        match self.labels {
            LabelsOf::Request(labels) => labels.iter().map(|(name, value)| owned(name, value)).collect(),
            LabelsOf::Grant(labels) => labels.iter().map(|(name, value)| owned(name, value)).collect(),
        }
    }

    /// Index of the configured grant.
    pub(super) const fn grant_index(&self) -> Option<u32> {
        self.grant_index
    }
}

impl<'s> Evaluation<'_, 's, '_> {
    /// Returns the fault of the caller's fields that makes this request malformed with the present configuration,
    /// though it may be well formed with another.
    pub(super) fn caller_fault(&self) -> Option<&'static str> {
        match self.request.caller {
            Caller::Named { labels, .. } if !labels.is_empty() && self.state.grants().is_configured() => {
                Some("grants are configured here, so labels come from the grant; send none")
            }
            _ => None,
        }
    }

    /// Finds the grant and the server of the request, and the policy that decides.
    pub(super) fn admit<'c>(&self) -> Result<(AdmittedRequest<'c>, Decider<'s>), AdmissionError>
    where
        Self: 'c,
        's: 'c,
    {
        if let Caller::Issued { grant, labels } = self.request.caller {
            self.admit_issued(grant, labels)
        } else if self.state.grants().is_configured() {
            self.admit_configured()
        } else {
            self.admit_unconfigured()
        }
    }

    /// Admits a caller that callgate has identified by a third party's proof: as the configured grant of that id at the
    /// server, if there is one, else by the labels of the request.
    fn admit_issued<'c>(
        &self,
        grant: &'c str,
        labels: &'c [(&'c str, &'c str)],
    ) -> Result<(AdmittedRequest<'c>, Decider<'s>), AdmissionError>
    where
        Self: 'c,
        's: 'c,
    {
        let request = self.request;
        let server = named_or_default(request);
        let grants = self.state.grants();
        let configured = grants
            .by_id(grant)
            .and_then(|index| Some((index, grants.get(index)?)));
        if let Some((index, grant)) = configured {
            self.is_server_named(index, grant)?;
            let server_index = self.state.server_index(server);
            if let Some(server_index) = server_index.filter(|server| grant.is_for(*server)) {
                return self.admit_grant(index, grant, server, server_index);
            }
            // An id is configured once, so a grant that is revoked at one server is revoked at all of them.
            if grant.is_revoked() {
                return Err(AdmissionError::of(
                    "(grant revoked)",
                    message::grant_revoked(grant.id()),
                ));
            }
            // A list of servers is the whole of what the caller may use.
            if server_index.is_some() && grant.own_server().is_none() {
                return Err(AdmissionError::of(
                    "(unknown grant)",
                    message::unknown_grant(grant.id()),
                ));
            }
        }
        let (policy_index, policy) = self.serving(server)?;
        Ok((
            self.by_labels(grant, labels, server),
            Decider { policy, policy_index },
        ))
    }

    /// A caller without a configured grant, with the labels of the request.
    fn by_labels<'c>(
        &self,
        grant: &'c str,
        labels: &'c [(&'c str, &'c str)],
        server: &'c str,
    ) -> AdmittedRequest<'c>
    where
        Self: 'c,
    {
        AdmittedRequest {
            grant,
            tool: self.request.tool,
            server,
            session: self.request.session(),
            pins: self.request.pins,
            labels: LabelsOf::Request(labels),
            grant_index: None,
        }
    }

    /// Finds the policy for callers of a server without configured grants.
    fn serving(&self, server: &str) -> Result<(u32, &'s CompiledPolicy), AdmissionError> {
        self.state.serving(server).map_err(|unserved| match unserved {
            Unserved::UnknownServer => {
                AdmissionError::of("(unknown server)", message::unknown_server(server))
            }
            Unserved::NoPolicy => AdmissionError::of("(no policy)", message::no_policy_for_server(server)),
        })
    }

    /// Admits a caller while no grants are configured: callers are then trusted to name their grant.
    fn admit_unconfigured<'c>(&self) -> Result<(AdmittedRequest<'c>, Decider<'s>), AdmissionError>
    where
        Self: 'c,
    {
        let request = self.request;
        let server = named_or_default(request);
        let serving = self.state.serving(server);
        if serving.is_err_and(|unserved| unserved == Unserved::UnknownServer) {
            return Err(AdmissionError::of(
                "(unknown server)",
                message::unknown_server(server),
            ));
        }
        let Caller::Named { grant, labels } = request.caller else {
            return Err(AdmissionError::of("(unknown grant)", NO_SUCH_TOKEN));
        };
        let (policy_index, policy) =
            serving.map_err(|_| AdmissionError::of("(no policy)", message::no_policy_for_server(server)))?;
        Ok((
            self.by_labels(grant, labels, server),
            Decider { policy, policy_index },
        ))
    }

    fn admit_configured<'c>(&self) -> Result<(AdmittedRequest<'c>, Decider<'s>), AdmissionError>
    where
        Self: 'c,
        's: 'c,
    {
        let request = self.request;
        let grants = self.state.grants();
        // A token that has ended is answered as one that never was; only logs say whose it is.
        let mut ended = None;
        let (found, unknown): (_, Cow<'static, str>) = match request.caller {
            Caller::Token(token) => {
                let known = grants.by_token(token);
                let has_ended = known.is_some_and(|token| token.has_ended(self.now.unix_us()));
                let index = known.map(KnownToken::grant);
                ended = index.filter(|_| has_ended);
                (index.filter(|_| !has_ended), NO_SUCH_TOKEN.into())
            }
            Caller::Named { grant, .. } if request.pep.vouches => {
                (grants.by_id(grant), message::unknown_grant(grant).into())
            }
            Caller::Named { .. } | Caller::Issued { .. } | Caller::Contradictory => {
                (None, NOT_VOUCHED.into())
            }
        };
        let unknown = AdmissionError {
            grant_index: ended,
            ..AdmissionError::of("(unknown grant)", unknown)
        };
        let grant = found.and_then(|index| Some((index, grants.get(index)?)));
        if let Some((index, grant)) = grant {
            self.is_server_named(index, grant)?;
        }
        // A token alone says which server is meant; an unknown one says nothing, and no server was asked for.
        let own_server = matches!(request.caller, Caller::Token(_)) && request.server.is_empty();
        let server = match grant {
            Some((_, grant)) if own_server => grant.own_server().unwrap_or_default(),
            None if own_server => return Err(unknown),
            _ => named_or_default(request),
        };
        let Some(server_index) = self.state.server_index(server) else {
            return Err(AdmissionError::of(
                "(unknown server)",
                message::unknown_server(server),
            ));
        };
        let here = grant.filter(|(_, grant)| grant.is_for(server_index));
        let Some((grant_index, grant)) = here else {
            return Err(unknown);
        };
        self.admit_grant(grant_index, grant, server, server_index)
    }

    /// Refuses a call that names no server while its grant is for several.
    fn is_server_named(&self, index: u32, grant: Grant<'_>) -> Result<(), AdmissionError> {
        if self.request.server.is_empty() && grant.own_server().is_none() {
            return Err(AdmissionError {
                grant_index: Some(index),
                ..AdmissionError::of(INVALID, SERVER_MISSING)
            });
        }
        Ok(())
    }

    /// Admits a configured grant at its server, if it is valid and has a policy.
    fn admit_grant<'c>(
        &self,
        index: u32,
        grant: Grant<'c>,
        server: &'c str,
        server_index: u32,
    ) -> Result<(AdmittedRequest<'c>, Decider<'s>), AdmissionError>
    where
        Self: 'c,
        's: 'c,
    {
        let decider = self
            .validate(grant, server_index)
            .map_err(|refusal| AdmissionError {
                grant_index: Some(index),
                ..refusal
            })?;
        let admitted = AdmittedRequest {
            grant: grant.id(),
            tool: self.request.tool,
            server,
            session: self.request.session(),
            pins: self.request.pins,
            labels: LabelsOf::Grant(grant.labels()),
            grant_index: Some(index),
        };
        Ok((admitted, decider))
    }

    fn validate(&self, grant: Grant<'_>, server: u32) -> Result<Decider<'s>, AdmissionError> {
        if grant.is_revoked() {
            return Err(AdmissionError::of(
                "(grant revoked)",
                message::grant_revoked(grant.id()),
            ));
        }
        if grant.is_expired(self.now.unix_us()) {
            return Err(AdmissionError::of(
                "(grant expired)",
                message::grant_expired(grant.id()),
            ));
        }
        let policy = grant
            .serving(server)
            .and_then(|index| Some((index, self.state.compiled(index)?)));
        let (policy_index, policy) = policy
            .ok_or_else(|| AdmissionError::of("(no policy)", message::no_policy_for_grant(grant.id())))?;
        Ok(Decider { policy, policy_index })
    }
}

impl AdmissionError {
    fn of(rule: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            rule,
            message: message.into(),
            grant_index: None,
        }
    }
}

const fn named_or_default<'r>(request: &Request<'r>) -> &'r str {
    if request.server.is_empty() {
        DEFAULT_SERVER
    } else {
        request.server
    }
}
