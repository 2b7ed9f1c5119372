//! Keys that are fetched, and kept for a while.
//!
//! Strangers choose how often a key is missing, so how often is asked for keys is bounded by time alone. Nothing here waits
//! for a clock: time is an argument, and who runs the sidecar says when.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::watch;

use super::Algorithm;
use super::config::{OauthError, address};
use super::discovery::Discovery;
use super::keys::{Keys, KeysError, LIMIT_BYTES};
use crate::pool::{Pool, Usage};
use crate::upstream::{Connector, chain, connector};

/// The age at which keys are fetched again, in seconds: a key that the issuer withdraws may stay in use as long.
pub(super) const FRESH_S: u64 = 300;

/// Time between two attempts after a failure, and between two fetches for missing keys, in seconds.
pub(super) const PACE_S: u64 = 30;

/// The time that keys stay in use while no newer ones can be fetched, in seconds. Tokens live about as long, and an issuer that
/// cannot be reached makes no others.
pub(super) const KEPT_S: u64 = 3_600;

/// The time limit of one attempt, from the connection to the last byte.
const PATIENCE: Duration = Duration::from_secs(5);

const ACCEPTED: HeaderValue = HeaderValue::from_static("application/jwk-set+json, application/json");

/// The address of keys.
#[derive(Debug)]
pub(super) enum Place {
    /// At this URL.
    Keys(Uri),
    /// The address is in the issuer's metadata.
    Metadata(Discovery),
}

impl Place {
    pub(super) fn keys(url: &str) -> Result<Self, OauthError> {
        address(url).map(Self::Keys)
    }

    fn is_secure(&self) -> bool {
        match self {
            Self::Keys(uri) => uri.scheme_str() == Some("https"),
            Self::Metadata(discovery) => discovery.is_secure(),
        }
    }
}

/// Keys, and when they were fetched.
#[derive(Debug)]
struct Dated {
    keys: Keys,
    /// Of these keys: others have another one.
    number: u64,
    at_s: u64,
}

/// The state of fetching: whether a task fetches now, and when one did last, in seconds on the boot clock.
#[derive(Debug, Default)]
struct Progress {
    is_running: bool,
    /// The last attempt.
    tried_at_s: Option<u64>,
    /// The last that a missing key was the reason of.
    asked_at_s: Option<u64>,
}

/// The keys of a place.
pub(super) struct Fetched {
    place: Place,
    algorithms: Vec<Algorithm>,
    connector: Connector,
    usage: Usage,
    kept: ArcSwapOption<Dated>,
    progress: watch::Sender<Progress>,
}

/// One attempt to fetch keys. Dropped, it is over; it has to be [run](Self::run).
#[derive(Debug)]
pub struct Refresh {
    fetched: Arc<Fetched>,
    now_s: u64,
}

impl Fetched {
    /// Creates the keys of a place without fetching them.
    pub(super) fn new(
        place: Place,
        ca_pem: Option<&[u8]>,
        algorithms: Vec<Algorithm>,
    ) -> Result<Self, OauthError> {
        let is_secure = place.is_secure();
        if ca_pem.is_some() && !is_secure {
            let message = "authorities mean nothing without `https` where the keys are";
            return Err(OauthError::new("jwks.ca", message));
        }
        let connector = connector(ca_pem, is_secure, false, PATIENCE).map_err(|error| {
            let part = if error.part == "ca" { "jwks.ca" } else { "jwks.url" };
            OauthError::new(part, error.message)
        })?;
        Ok(Self {
            place,
            algorithms,
            connector,
            usage: Usage::default(),
            kept: ArcSwapOption::empty(),
            progress: watch::Sender::default(),
        })
    }

    /// Works with the keys in force and their number, if there are any at this time.
    pub(super) fn with<R>(&self, now_s: u64, work: impl FnOnce(&Keys, u64) -> R) -> Option<R> {
        let kept = self.kept.load();
        let kept = kept.as_ref().filter(|kept| age_s(kept, now_s) < KEPT_S)?;
        Some(work(&kept.keys, kept.number))
    }

    /// An attempt, if it is time for one anyway.
    pub(super) fn due(self: &Arc<Self>, now_s: u64) -> Option<Refresh> {
        let is_fresh = self
            .kept
            .load()
            .as_ref()
            .is_some_and(|kept| age_s(kept, now_s) < FRESH_S);
        self.begin(now_s, |progress| !is_fresh && is_over(progress.tried_at_s, now_s))
    }

    /// An attempt, if one may be made because a key is missing.
    pub(super) fn missing(self: &Arc<Self>, now_s: u64) -> Option<Refresh> {
        let has_any = self.kept.load().is_some();
        self.begin(now_s, |progress| {
            // What has just failed fails again.
            let may = is_over(progress.asked_at_s, now_s) && (has_any || is_over(progress.tried_at_s, now_s));
            if may {
                progress.asked_at_s = Some(now_s);
            }
            may
        })
    }

    /// Waits until nobody fetches.
    pub(super) async fn settled(&self) {
        let mut progress = self.progress.subscribe();
        // The sender is `self`, so it is there.
        let _ = progress.wait_for(|progress| !progress.is_running).await;
    }

    fn begin(self: &Arc<Self>, now_s: u64, may: impl FnOnce(&mut Progress) -> bool) -> Option<Refresh> {
        let begins = self.progress.send_if_modified(|progress| {
            let begins = !progress.is_running && may(progress);
            if begins {
                progress.is_running = true;
                progress.tried_at_s = Some(now_s);
            }
            begins
        });
        begins.then(|| Refresh {
            fetched: Arc::clone(self),
            now_s,
        })
    }

    async fn fetch(&self) -> Result<Keys, KeysError> {
        let document = match &self.place {
            Place::Keys(uri) => self.get(uri).await?,
            Place::Metadata(discovery) => {
                let uri = self.discover(discovery).await?;
                let document = self.get(&uri).await;
                document.map_err(|error| KeysError(format!("`{uri}`: {error}")))?
            }
        };
        Keys::parse(&document, &self.algorithms)
    }

    /// Finds the address of the keys, from the first valid metadata.
    async fn discover(&self, discovery: &Discovery) -> Result<Uri, KeysError> {
        let mut faults = Vec::new();
        for place in discovery.places() {
            let document = self.get(place).await;
            match document.and_then(|document| discovery.keys_at(&document)) {
                Ok(uri) => return Ok(uri),
                Err(error) => faults.push(format!("`{place}`: {error}")),
            }
        }
        Err(KeysError(format!(
            "no metadata of the issuer: {}",
            faults.join("; ")
        )))
    }

    /// The document at a URL.
    async fn get(&self, uri: &Uri) -> Result<Bytes, KeysError> {
        // One request in minutes: a connection that is kept would be closed when it is needed.
        let pool = Pool::new(self.connector.clone(), uri, 0, Duration::ZERO)
            .ok_or_else(|| KeysError("its URL has no host".to_owned()))?;
        let request = || {
            let mut request = Request::new(Full::default());
            *request.uri_mut() = uri.clone();
            request.headers_mut().insert(ACCEPT, ACCEPTED);
            let identity = HeaderValue::from_static("identity");
            request.headers_mut().insert(ACCEPT_ENCODING, identity);
            request
        };
        let reply = pool.send(request, &self.usage).await;
        let reply = reply.map_err(|error| KeysError(chain(&error)))?;
        if reply.status() != StatusCode::OK {
            // Redirects, too: where they lead nobody has said that keys are believed.
            return Err(KeysError(format!(
                "the answer has status {}, expected 200",
                reply.status().as_u16()
            )));
        }
        let body = Limited::new(reply.into_body(), LIMIT_BYTES).collect().await;
        let body = body.map_err(|error| KeysError(format!("the answer cannot be read: {error}")))?;
        Ok(body.to_bytes())
    }
}

impl Refresh {
    /// Fetches the keys; they are in force when it is done. Gives their number where they are others than before, 0 where the
    /// issuer has withdrawn its last one, and an error where the ones before stay.
    pub async fn run(self) -> Result<Option<usize>, KeysError> {
        let keys = tokio::time::timeout(PATIENCE, self.fetched.fetch())
            .await
            .unwrap_or_else(|_| Err(KeysError(format!("no answer within {} s", PATIENCE.as_secs()))))?;
        let before = self.fetched.kept.load();
        let is_new = before.as_ref().is_none_or(|kept| kept.keys != keys);
        let number = before.as_ref().map_or(0, |kept| kept.number) + u64::from(is_new);
        let count = keys.len();
        self.fetched.kept.store(Some(Arc::new(Dated {
            keys,
            number,
            at_s: self.now_s,
        })));
        Ok(is_new.then_some(count))
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        self.fetched
            .progress
            .send_modify(|progress| progress.is_running = false);
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

fn age_s(kept: &Dated, now_s: u64) -> u64 {
    now_s.saturating_sub(kept.at_s)
}

fn is_over(at_s: Option<u64>, now_s: u64) -> bool {
    at_s.is_none_or(|at_s| now_s.saturating_sub(at_s) >= PACE_S)
}
