//! Tokens of an OAuth issuer: JWTs that prove to callgate who calls.
//!
//! An [`Issuer`] is built from an [`OauthConfig`] and says of a token who it makes the caller out to be. Its keys come from
//! a document, or are fetched: who runs the sidecar asks for a [`Refresh`] when it [is due](Issuer::due), and when a token
//! comes [by a key that is missing](Issuer::missing). What a caller may do is decided elsewhere.

mod algorithm;
mod believed;
mod claims;
mod config;
mod discovery;
mod fetch;
mod issuers;
mod keys;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use callgate_core::Now;

pub use algorithm::Algorithm;
pub use claims::ClaimPath;
pub use config::{JwksSource, OauthConfig, OauthError};
pub use fetch::Refresh;
pub use issuers::Issuers;
pub use keys::KeysError;
pub use token::{Issued, TokenError};

use believed::{Believed, Presented};
use discovery::Discovery;
use fetch::{Fetched, Place};
use keys::Keys;
use token::Unproven;

/// An issuer whose tokens are believed.
#[derive(Debug)]
pub struct Issuer {
    config: OauthConfig,
    source: Source,
    believed: Believed,
}

#[derive(Debug)]
enum Source {
    Document(Keys),
    Fetched(Arc<Fetched>),
}

impl Issuer {
    /// One that is configured so. Nothing is fetched yet; keys that `before` has fetched from there go on.
    pub fn new(config: OauthConfig, before: Option<&Self>) -> Result<Self, OauthError> {
        config::check(&config)?;
        let source = match (&config.jwks, before.filter(|before| before.has_keys_of(&config))) {
            (JwksSource::Document(document), _) => {
                let keys = Keys::parse(document, &config.algorithms).and_then(Keys::at_least_one);
                Source::Document(keys.map_err(|error| OauthError::new("jwks.file", error.to_string()))?)
            }
            (
                _,
                Some(Self {
                    source: Source::Fetched(fetched),
                    ..
                }),
            ) => Source::Fetched(Arc::clone(fetched)),
            (JwksSource::Url { url, ca_pem }, _) => fetched(Place::keys(url)?, ca_pem.as_deref(), &config)?,
            (JwksSource::Discovery { ca_pem }, _) => {
                let place = Place::Metadata(Discovery::new(&config.issuer)?);
                fetched(place, ca_pem.as_deref(), &config)?
            }
        };
        Ok(Self {
            config,
            source,
            believed: Believed::default(),
        })
    }

    /// The configuration.
    pub const fn config(&self) -> &OauthConfig {
        &self.config
    }

    /// Returns true if this issuer's keys are those of an issuer with this configuration.
    fn has_keys_of(&self, config: &OauthConfig) -> bool {
        let is_same_place = match config.jwks {
            JwksSource::Discovery { .. } => self.config.issuer == config.issuer,
            JwksSource::Document(_) | JwksSource::Url { .. } => true,
        };
        is_same_place && self.config.jwks == config.jwks && self.config.algorithms == config.algorithms
    }

    /// Verifies a token for a resource with the address `audience`, and returns the caller.
    ///
    /// The signature of a token that was believed there a short while ago is not looked at again, as long as the keys are the
    /// same.
    pub fn verify(&self, token: &str, audience: &str, now: Now) -> Result<Arc<Issued>, TokenError> {
        let audience = self.config.audience.as_deref().unwrap_or(audience);
        let presented = Presented::new(token, audience);
        let verify = |keys: &Keys, number: u64| {
            if let Some(issued) = self.believed.get(&presented, number, now) {
                return Ok(issued);
            }
            let token = Unproven::read(token, &self.config.algorithms)?;
            token.prove(keys)?;
            let (issued, span) = token.claims(&self.config, audience, now.unix_us())?;
            let issued = Arc::new(issued);
            self.believed.put(presented, &issued, span, number, now);
            Ok(issued)
        };
        match &self.source {
            // Others are another issuer's.
            Source::Document(keys) => verify(keys, 0),
            Source::Fetched(fetched) => fetched
                .with(second(now), verify)
                .unwrap_or_else(|| Err(self.without_keys(token))),
        }
    }

    /// The reason to refuse a token while there are no keys. Errors that no key could correct are reported all the same.
    fn without_keys(&self, token: &str) -> TokenError {
        Unproven::read(token, &self.config.algorithms)
            .err()
            .unwrap_or(TokenError::NoKeys)
    }

    /// Returns true if there are keys that a token could be signed by.
    pub fn has_keys(&self, now: Now) -> bool {
        match &self.source {
            Source::Document(_) => true,
            Source::Fetched(fetched) => fetched.with(second(now), |keys, _| keys.len() > 0) == Some(true),
        }
    }

    /// An attempt to fetch the keys, where it is time for one; it is to be run beside everything else.
    pub fn due(&self, now: Now) -> Option<Refresh> {
        match &self.source {
            Source::Document(_) => None,
            Source::Fetched(fetched) => fetched.due(second(now)),
        }
    }

    /// Returns true if a token could be valid but for its key, which is missing. Then it is useful to
    /// [wait](Self::settled) for keys that come, and to fetch them where this gives an attempt; it gives one now and
    /// then, whatever tokens come.
    pub fn missing(&self, token: &str, audience: &str, now: Now) -> Option<Option<Refresh>> {
        let Source::Fetched(fetched) = &self.source else {
            return None;
        };
        let audience = self.config.audience.as_deref().unwrap_or(audience);
        let presented = Presented::new(token, audience);
        let is_believed = |_: &Keys, number| self.believed.get(&presented, number, now).is_some();
        if fetched.with(second(now), is_believed) == Some(true) {
            return None;
        }
        let unproven = Unproven::read(token, &self.config.algorithms).ok()?;
        match unproven.claims(&self.config, audience, now.unix_us()) {
            Ok(_) | Err(TokenError::Scope(_)) => {}
            Err(_) => return None,
        }
        let lacks_key = |keys: &Keys, _| {
            // Without an id only signatures tell, which are dear: what they tell is kept.
            unproven.lacks_key(keys).unwrap_or_else(|| {
                matches!(
                    self.verify(token, audience, now),
                    Err(TokenError::UnknownKey | TokenError::NoKeys)
                )
            })
        };
        let is_missing = fetched.with(second(now), lacks_key).unwrap_or(true);
        is_missing.then(|| fetched.missing(second(now)))
    }

    /// Waits until no keys are being fetched: seconds at most.
    pub async fn settled(&self) {
        if let Source::Fetched(fetched) = &self.source {
            fetched.settled().await;
        }
    }
}

fn fetched(place: Place, ca_pem: Option<&[u8]>, config: &OauthConfig) -> Result<Source, OauthError> {
    let fetched = Fetched::new(place, ca_pem, config.algorithms.clone())?;
    Ok(Source::Fetched(Arc::new(fetched)))
}

const fn second(now: Now) -> u64 {
    now.boot_ns / 1_000_000_000
}
