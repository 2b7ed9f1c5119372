//! The enforcement points that may ask, and which of them a request comes from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use callgate_core::grant::{TokenDigest, TokenKey};
use callgate_core::{Pep, PepId};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::bearer;

/// An enforcement point as the operator wrote it. Any one of its credentials is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PepSpec {
    /// Its name; reservations belong to it, across reloads.
    pub name: String,
    /// Digest of its token, which it sends as `authorization: Bearer <token>`.
    pub token_digest: Option<TokenDigest>,
    /// DNS names and URIs, one of which its client certificate has as an alternative name of the subject.
    pub certificate_names: Vec<String>,
    /// Users that it runs as, for the Unix socket.
    pub unix_uids: Vec<u32>,
    /// It may name a configured grant by its id, because it knows its callers by itself.
    pub vouches: bool,
}

/// Why a list of enforcement points is refused: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pep `{pep}`: {message}")]
pub struct PepError {
    /// Its name.
    pub pep: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What a connection shows of who is at its other end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// The user behind the Unix socket.
    pub(crate) uid: Option<u32>,
    /// The names of its certificate, which has been verified.
    pub(crate) certificate_names: Vec<String>,
}

/// Who asked a request, and by what it was known.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pep: Pep,
    version: u64,
    token: Option<TokenDigest>,
    peer: Arc<Peer>,
}

/// Why nobody is known to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// No credential names an enforcement point.
    NoCredential,
    /// `authorization` is there and cannot be read.
    Malformed,
    /// The token is nobody's.
    Token,
    /// The credentials name more than one.
    Contradictory,
    /// What was known when the request began has been withdrawn since.
    Withdrawn,
}

impl Unknown {
    /// What to do about it, where the token comes in a field of this name.
    pub(crate) fn message_about(self, field: &HeaderName) -> String {
        self.message().replace(AUTHORIZATION.as_str(), field.as_str())
    }

    /// What to do about it, where the token comes in `authorization`.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::NoCredential => {
                "who asks is not known here; send `authorization: Bearer <token>`, or show a client certificate or come \
                 from a user that callgate is configured with"
            }
            Self::Malformed => "`authorization` cannot be read; expected one field, `Bearer <token>`",
            Self::Token => "the token in `authorization` is not known here; check it, case included",
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
            Self::Contradictory => "contradictory credentials",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Everybody who may ask. Swapped as a whole.
#[derive(Debug, Default)]
struct Table {
    // An empty list means nobody; without a list, anybody may ask.
    configured: bool,
    // Grows with each swap, so that it tells one table from another.
    version: u64,
    // Holds for calls that see this generation of the engine's state, or a later one.
    from: u64,
    peps: Vec<Pep>,
    by_token: HashMap<TokenDigest, usize>,
    by_certificate: HashMap<String, usize>,
    by_uid: HashMap<u32, usize>,
}

/// A table, and the one before it: that is for calls that see a state of the engine from before the change, where both
/// were changed together.
#[derive(Debug, Default)]
struct Tables {
    now: Arc<Table>,
    before: Option<Arc<Table>>,
}

/// The enforcement points in force.
#[derive(Debug)]
pub(crate) struct Peps {
    key: Option<TokenKey>,
    /// The user that this process runs as.
    own_uid: u32,
    tables: ArcSwap<Tables>,
    // Numbers of names that were ever configured: a name that comes back finds its reservations.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<String, PepId>,
    version: u64,
}

/// A list that was checked. Until it is put in force, or dropped, there can be no other.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    table: Table,
    tables: &'a ArcSwap<Tables>,
    _known: MutexGuard<'a, Known>,
}

impl Prepared<'_> {
    /// Puts the list in force for calls that see this generation of the engine's state, or a later one.
    ///
    /// A later one than that of the state in force is the next one, and follows at once.
    pub(crate) fn put_in_force(mut self, from: u64) {
        self.table.from = from;
        let before = Arc::clone(&self.tables.load().now);
        self.tables.store(Arc::new(Tables {
            now: Arc::new(self.table),
            before: Some(before),
        }));
    }
}

impl Peps {
    /// Anybody may ask.
    pub(crate) fn anybody() -> Self {
        Self {
            key: None,
            own_uid: rustix::process::geteuid().as_raw(),
            tables: ArcSwap::default(),
            known: Mutex::default(),
        }
    }

    /// These may ask: an empty list is nobody, and without a list anybody may. `key` is that of their token digests.
    pub(crate) fn new(specs: Option<Vec<PepSpec>>, key: Option<TokenKey>) -> Result<Self, PepError> {
        let peps = Self {
            key,
            ..Self::anybody()
        };
        if let Some(specs) = specs {
            peps.prepare(specs)?.put_in_force(0);
        }
        Ok(peps)
    }

    /// Checks another list.
    pub(crate) fn prepare(&self, specs: Vec<PepSpec>) -> Result<Prepared<'_>, PepError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Prepared {
            table: self.build(specs, &mut known)?,
            tables: &self.tables,
            _known: known,
        })
    }

    fn build(&self, specs: Vec<PepSpec>, known: &mut Known) -> Result<Table, PepError> {
        known.version += 1;
        let mut table = Table {
            configured: true,
            version: known.version,
            ..Table::default()
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
            if spec.token_digest.is_none() && spec.certificate_names.is_empty() && spec.unix_uids.is_empty() {
                return Err(fault(
                    "it has no credential; give it a `token_hash`, `certificates` or `uids`".to_owned(),
                ));
            }
            if spec.token_digest.is_some() && self.key.is_none() {
                return Err(fault(
                    "it has a `token_hash`, and no key is configured to check tokens with; configure the key that the \
                     hash was made with"
                        .to_owned(),
                ));
            }
            let index = names.len();
            let other = |other: usize| names.get(other).cloned().unwrap_or_default();
            if let Some(digest) = spec.token_digest
                && let Some(earlier) = table.by_token.insert(digest, index)
            {
                let other = other(earlier);
                return Err(fault(format!(
                    "pep `{other}` has the same `token_hash`; create a token for each"
                )));
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
            table.peps.push(Pep {
                id: known.id(&spec.name),
                vouches: spec.vouches,
            });
            names.push(spec.name);
        }
        Ok(table)
    }

    /// Who sends a request with these header fields over a connection to this peer; `None` where anybody may ask.
    pub(crate) fn ask(&self, peer: &Arc<Peer>, headers: &HeaderMap) -> Result<Option<Asker>, Unknown> {
        self.ask_by(&AUTHORIZATION, peer, headers)
    }

    /// As [`Peps::ask`], with the token in a field of this name: proxies pass `authorization` on, and it is their client's.
    pub(crate) fn ask_by(
        &self,
        field: &HeaderName,
        peer: &Arc<Peer>,
        headers: &HeaderMap,
    ) -> Result<Option<Asker>, Unknown> {
        // Which list a call goes by is settled when it is decided: see `still`.
        let table = &self.tables.load().now;
        if !self.may_connect(table, peer) {
            return Err(Unknown::Withdrawn);
        }
        if !table.configured {
            return Ok(None);
        }
        let token = bearer::token(headers, field).map_err(|()| Unknown::Malformed)?;
        let token = match (token, &self.key) {
            (None, _) => None,
            (Some(token), Some(key)) => Some(key.digest(token)),
            (Some(_), None) => return Err(Unknown::Token),
        };
        let pep = table.find(peer, token.as_ref())?;
        Ok(Some(Asker {
            pep,
            version: table.version,
            token,
            peer: Arc::clone(peer),
        }))
    }

    /// Who asks, for a call that sees this generation of the engine's state: between the header of a request and each of
    /// its messages the list may have changed. `None` where the generation is too old to be told: load the state anew.
    pub(crate) fn still(&self, asker: Option<&Asker>, generation: u64) -> Option<Result<Pep, Unknown>> {
        let tables = self.tables.load();
        let table = if generation >= tables.now.from {
            &tables.now
        } else {
            tables.before.as_ref().filter(|table| generation >= table.from)?
        };
        Some(match asker {
            Some(asker) if asker.version == table.version => Ok(asker.pep),
            // What let a stranger connect is gone; only who was an enforcement point can be one here.
            Some(asker) if !self.may_connect(table, &asker.peer) => Err(Unknown::Withdrawn),
            _ if !table.configured => Ok(Pep::UNNAMED),
            Some(asker) => match table.find(&asker.peer, asker.token.as_ref()) {
                // Another one now: what was begun belongs to the one before.
                Ok(pep) if pep.id == asker.pep.id => Ok(pep),
                _ => Err(Unknown::Withdrawn),
            },
            None => Err(Unknown::Withdrawn),
        })
    }

    /// Whether a connection to this peer would be taken now; one that is open may be older than the list.
    pub(crate) fn admits(&self, peer: &Peer) -> bool {
        self.may_connect(&self.tables.load().now, peer)
    }

    /// The Unix socket is for its own user, root and the users of the list, whatever else they show.
    fn may_connect(&self, table: &Table, peer: &Peer) -> bool {
        peer.uid
            .is_none_or(|uid| uid == self.own_uid || uid == 0 || table.by_uid.contains_key(&uid))
    }

    /// Whether any user is one.
    pub(crate) fn has_uids(&self) -> bool {
        !self.tables.load().now.by_uid.is_empty()
    }
}

impl Known {
    fn id(&mut self, name: &str) -> PepId {
        // 0 is who asks where anybody may.
        let next = u32::try_from(self.ids.len() + 1).unwrap_or(u32::MAX);
        *self.ids.entry(name.to_owned()).or_insert(PepId(next))
    }
}

impl Table {
    fn find(&self, peer: &Peer, token: Option<&TokenDigest>) -> Result<Pep, Unknown> {
        let by_token = token.map(|token| self.by_token.get(token).ok_or(Unknown::Token));
        let by_token = by_token.transpose()?;
        let by_uid = peer.uid.and_then(|uid| self.by_uid.get(&uid));
        let certificate_names = peer.certificate_names.iter();
        let by_certificate = certificate_names.filter_map(|name| self.by_certificate.get(name));
        let mut named = by_token.into_iter().chain(by_uid).chain(by_certificate);
        let first = named.next().ok_or(Unknown::NoCredential)?;
        if named.any(|other| other != first) {
            return Err(Unknown::Contradictory);
        }
        self.peps.get(*first).copied().ok_or(Unknown::NoCredential)
    }
}

#[cfg(test)]
mod tests;
