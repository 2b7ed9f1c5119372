//! The enforcement points that may ask, and the identification of each request's sender.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_core::grant::{TokenDigest, TokenKey, TokenSpec};
use callgate_core::{Pep, PepId};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::bearer;
use crate::clock::Clock;

/// An enforcement point, as the operator configured it. Any one of its credentials is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PepSpec {
    /// The name of the enforcement point; reservations belong to it, across reloads.
    pub name: String,
    /// Its tokens, at most [`MAX_TOKENS`](callgate_core::grant::MAX_TOKENS); it sends one as
    /// `authorization: Bearer <token>`.
    pub tokens: Vec<TokenSpec>,
    /// DNS names and URIs; its client certificate must have one of them as a subject alternative name.
    pub certificate_names: Vec<String>,
    /// The users of its processes, for the Unix socket.
    pub unix_uids: Vec<u32>,
    /// True if it may name a configured grant by its id, because it identifies its callers itself.
    pub vouches: bool,
}

/// The error for a faulty list of enforcement points: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pep `{pep}`: {message}")]
pub struct PepError {
    /// The name of the enforcement point.
    pub pep: String,
    /// The fault and its remedy.
    pub message: String,
}

/// The credentials of the other end of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// The user behind the Unix socket.
    pub(crate) uid: Option<u32>,
    /// The names of its certificate, which has been verified.
    pub(crate) certificate_names: Vec<String>,
}

/// The enforcement point that sent a request, and the credentials that identified it.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pep: Pep,
    version: u64,
    token: Option<TokenDigest>,
    /// End of the token in Unix microseconds.
    until_us: Option<u64>,
    peer: Arc<Peer>,
}

/// The reason why a request cannot be attributed to an enforcement point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownPepError {
    /// No credential names an enforcement point.
    NoCredential,
    /// `authorization` is present and cannot be read.
    Malformed,
    /// The token belongs to no enforcement point.
    Token,
    /// The token has ended. Only logs tell it from an unknown one.
    Ended,
    /// The credentials name more than one.
    Contradictory,
    /// The credentials were withdrawn after the request began.
    Withdrawn,
}

impl UnknownPepError {
    /// The message for a caller whose token comes in a field of this name.
    pub(crate) fn message_about(self, field: &HeaderName) -> String {
        self.message().replace(AUTHORIZATION.as_str(), field.as_str())
    }

    /// The message for a caller whose token comes in `authorization`.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::NoCredential => {
                "who asks is not known here; send `authorization: Bearer <token>`, or show a client certificate or come \
                 from a user that callgate is configured with"
            }
            Self::Malformed => "`authorization` cannot be read; expected one field, `Bearer <token>`",
            Self::Token | Self::Ended => {
                "the token in `authorization` is not known here; check it, case included"
            }
            Self::Contradictory => {
                "the credentials name different enforcement points; send those of one of them"
            }
            Self::Withdrawn => {
                "who asks has been withdrawn meanwhile; ask again with credentials that are known"
            }
        }
    }

    /// One word for logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoCredential => "no credential",
            Self::Malformed => "malformed authorization",
            Self::Token => "unknown token",
            Self::Ended => "token past its end",
            Self::Contradictory => "contradictory credentials",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The enforcement points that may ask, as one configuration lists them. A list never changes; a reload makes a new
/// one.
#[derive(Debug)]
pub(crate) struct Peps {
    key: Option<TokenKey>,
    /// The user that this process runs as.
    own_uid: u32,
    // An empty list means nobody; without a list, anybody may ask.
    configured: bool,
    // Judges the ends of tokens.
    clock: Clock,
    // Differs from list to list.
    version: u64,
    listed: Vec<Pep>,
    /// The names of those in `listed`.
    names: Vec<String>,
    by_token: HashMap<TokenDigest, PepToken>,
    by_certificate: HashMap<String, usize>,
    by_uid: HashMap<u32, usize>,
}

/// One token of an enforcement point.
#[derive(Clone, Copy, Debug)]
struct PepToken {
    pep: usize,
    until_us: Option<u64>,
}

/// Makes lists of enforcement points, and numbers every name that was ever configured: a name that is configured again
/// finds its reservations.
#[derive(Debug)]
pub(crate) struct PepRegistry {
    key: Option<TokenKey>,
    clock: Clock,
    ids: HashMap<String, PepId>,
    version: u64,
}

impl PepRegistry {
    /// Makes a registry; `key` is the key of the digests of tokens, and `clock` judges their ends.
    pub(crate) fn new(key: Option<TokenKey>, clock: Clock) -> Self {
        Self {
            key,
            clock,
            ids: HashMap::new(),
            version: 0,
        }
    }

    /// Makes a list: an empty one admits nobody, and without specifications anybody may ask.
    pub(crate) fn list(&mut self, specs: Option<Vec<PepSpec>>) -> Result<Peps, PepError> {
        match specs {
            Some(specs) => self.build(specs),
            None => Ok(Peps::anybody()),
        }
    }

    fn build(&mut self, specs: Vec<PepSpec>) -> Result<Peps, PepError> {
        self.version += 1;
        let mut table = Peps {
            key: self.key.clone(),
            clock: self.clock.clone(),
            configured: true,
            version: self.version,
            ..Peps::anybody()
        };
        let mut names: Vec<String> = Vec::with_capacity(specs.len());
        for spec in specs {
            let fault = |message: String| PepError {
                pep: spec.name.clone(),
                message,
            };
            if spec.name.is_empty() {
                return Err(fault("the `name` is empty; give it one".to_owned()));
            }
            if names.contains(&spec.name) {
                return Err(fault(
                    "a second one has this `name`; give each a name of its own".to_owned(),
                ));
            }
            if spec.tokens.is_empty() && spec.certificate_names.is_empty() && spec.unix_uids.is_empty() {
                return Err(fault(
                    "it has no credential; give it a `token_hash`, `certificates` or `uids`".to_owned(),
                ));
            }
            if let Some(message) = TokenSpec::fault(&spec.tokens) {
                return Err(fault(message));
            }
            if !spec.tokens.is_empty() && self.key.is_none() {
                return Err(fault(
                    "it has a `token_hash`, and no key is configured to check tokens with; configure the key that the \
                     hash was made with"
                        .to_owned(),
                ));
            }
            let index = names.len();
            let other = |other: usize| names.get(other).cloned().unwrap_or_default();
            for TokenSpec { digest, until_us } in &spec.tokens {
                let token = PepToken {
                    pep: index,
                    until_us: *until_us,
                };
                if let Some(earlier) = table.by_token.insert(*digest, token) {
                    let other = other(earlier.pep);
                    return Err(fault(format!(
                        "pep `{other}` has the same `token_hash`; create a token for each"
                    )));
                }
            }
            for name in &spec.certificate_names {
                if name.is_empty() {
                    return Err(fault(
                        "a name in `certificates` is empty; expected a DNS name or a URI".to_owned(),
                    ));
                }
                match table.by_certificate.insert(name.clone(), index) {
                    Some(earlier) if earlier != index => {
                        let other = other(earlier);
                        return Err(fault(format!(
                            "pep `{other}` has `{name}` in `certificates` as well; a name stands for one of them"
                        )));
                    }
                    _ => {}
                }
            }
            for uid in &spec.unix_uids {
                match table.by_uid.insert(*uid, index) {
                    Some(earlier) if earlier != index => {
                        let other = other(earlier);
                        return Err(fault(format!(
                            "pep `{other}` has {uid} in `uids` as well; a user stands for one of them"
                        )));
                    }
                    _ => {}
                }
            }
            table.listed.push(Pep {
                id: self.id(&spec.name),
                vouches: spec.vouches,
            });
            names.push(spec.name);
        }
        table.names = names;
        Ok(table)
    }

    fn id(&mut self, name: &str) -> PepId {
        // 0 is who asks where anybody may.
        let next = u32::try_from(self.ids.len() + 1).unwrap_or(u32::MAX);
        *self.ids.entry(name.to_owned()).or_insert(PepId(next))
    }
}

impl Peps {
    /// Makes the empty configuration: anybody may ask.
    pub(crate) fn anybody() -> Self {
        Self {
            key: None,
            clock: Clock::default(),
            own_uid: rustix::process::geteuid().as_raw(),
            configured: false,
            version: 0,
            listed: Vec::new(),
            names: Vec::new(),
            by_token: HashMap::new(),
            by_certificate: HashMap::new(),
            by_uid: HashMap::new(),
        }
    }

    /// Identifies the sender of a request by its header fields and its connection; `None` if anybody may ask.
    pub(crate) fn ask(
        &self,
        peer: &Arc<Peer>,
        headers: &HeaderMap,
    ) -> Result<Option<Asker>, UnknownPepError> {
        self.ask_by(&AUTHORIZATION, peer, headers)
    }

    /// Like [`Peps::ask`], with the token in a field of this name: proxies pass on the `authorization` of their client.
    pub(crate) fn ask_by(
        &self,
        field: &HeaderName,
        peer: &Arc<Peer>,
        headers: &HeaderMap,
    ) -> Result<Option<Asker>, UnknownPepError> {
        // The list that applies to a call is chosen when the call is decided: see `still`.
        if !self.may_connect(peer) {
            return Err(UnknownPepError::Withdrawn);
        }
        if !self.configured {
            return Ok(None);
        }
        let token = bearer::token(headers, field).map_err(|()| UnknownPepError::Malformed)?;
        let token = match (token, &self.key) {
            (None, _) => None,
            (Some(token), Some(key)) => Some(key.digest(token)),
            (Some(_), None) => return Err(UnknownPepError::Token),
        };
        let pep = self.find(peer, token.as_ref())?;
        let known = token.as_ref().and_then(|token| self.by_token.get(token));
        Ok(Some(Asker {
            pep,
            version: self.version,
            token,
            until_us: known.and_then(|token| token.until_us),
            peer: Arc::clone(peer),
        }))
    }

    /// Returns the enforcement point of a call that is decided by this list. The list may have changed between the
    /// header of a request and each of its messages.
    pub(crate) fn still(&self, asker: Option<&Asker>) -> Result<Pep, UnknownPepError> {
        match asker {
            Some(asker) if asker.version == self.version && !self.is_over(asker.until_us) => Ok(asker.pep),
            // An older list allowed the peer to connect; this one does not admit it.
            Some(asker) if !self.may_connect(&asker.peer) => Err(UnknownPepError::Withdrawn),
            _ if !self.configured => Ok(Pep::UNNAMED),
            Some(asker) => match self.find(&asker.peer, asker.token.as_ref()) {
                // If the credentials now belong to another enforcement point, the call is refused: the request was
                // begun by the earlier one.
                Ok(pep) if pep.id == asker.pep.id => Ok(pep),
                _ => Err(UnknownPepError::Withdrawn),
            },
            None => Err(UnknownPepError::Withdrawn),
        }
    }

    /// The name by which other nodes know an enforcement point: empty for who asks where anybody may.
    pub(crate) fn name_of(&self, id: PepId) -> Option<&str> {
        if !self.configured {
            return (id == Pep::UNNAMED.id).then_some("");
        }
        let mut all = self.listed.iter().zip(&self.names);
        all.find(|(pep, _)| pep.id == id).map(|(_, name)| name.as_str())
    }

    /// The enforcement point with this name: see [`Self::name_of`].
    pub(crate) fn id_of(&self, name: &str) -> Option<PepId> {
        if !self.configured {
            return name.is_empty().then_some(Pep::UNNAMED.id);
        }
        let mut all = self.listed.iter().zip(&self.names);
        all.find(|(_, known)| *known == name).map(|(pep, _)| pep.id)
    }

    /// Returns true if a new connection of this peer would be accepted; an open one may be older than the list.
    pub(crate) fn admits(&self, peer: &Peer) -> bool {
        self.may_connect(peer)
    }

    /// The Unix socket is for the process's own user, root and the users of the list, whatever other credentials they
    /// have.
    fn may_connect(&self, peer: &Peer) -> bool {
        peer.uid
            .is_none_or(|uid| uid == self.own_uid || uid == 0 || self.by_uid.contains_key(&uid))
    }

    /// Returns true if any enforcement point is identified by its user.
    pub(crate) fn has_uids(&self) -> bool {
        !self.by_uid.is_empty()
    }

    /// Returns true if this end of a token, in Unix microseconds, has come.
    fn is_over(&self, until_us: Option<u64>) -> bool {
        // The clock is read only if there is an end.
        until_us.is_some_and(|until_us| self.clock.now().unix_us() >= until_us)
    }

    fn by_token(&self, token: &TokenDigest) -> Result<&usize, UnknownPepError> {
        let PepToken { pep, until_us } = self.by_token.get(token).ok_or(UnknownPepError::Token)?;
        if self.is_over(*until_us) {
            return Err(UnknownPepError::Ended);
        }
        Ok(pep)
    }

    fn find(&self, peer: &Peer, token: Option<&TokenDigest>) -> Result<Pep, UnknownPepError> {
        let by_token = token.map(|token| self.by_token(token)).transpose()?;
        let by_uid = peer.uid.and_then(|uid| self.by_uid.get(&uid));
        let certificate_names = peer.certificate_names.iter();
        let by_certificate = certificate_names.filter_map(|name| self.by_certificate.get(name));
        let mut named = by_token.into_iter().chain(by_uid).chain(by_certificate);
        let first = named.next().ok_or(UnknownPepError::NoCredential)?;
        if named.any(|other| other != first) {
            return Err(UnknownPepError::Contradictory);
        }
        self.listed
            .get(*first)
            .copied()
            .ok_or(UnknownPepError::NoCredential)
    }
}

#[cfg(test)]
mod tests;
