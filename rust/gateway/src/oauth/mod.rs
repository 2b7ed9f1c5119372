//! Tokens of an OAuth issuer: JWTs that prove to callgate who calls.
//!
//! An [`Issuer`] is built from an [`OauthConfig`] and says of a token who it makes the caller out to be. Its keys come from
//! a document, or are fetched: who runs the sidecar asks for a [`Refresh`] when it [is due](Issuer::due), and when a token
//! comes [by a key that is missing](Issuer::missing). What a caller may do is decided elsewhere.

mod algorithm;
mod claims;
mod config;
mod fetch;
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
pub use keys::KeysError;
pub use token::{Issued, Refused};

use fetch::Fetched;
use keys::Keys;
use token::Unproven;

/// An issuer whose tokens are believed.
#[derive(Debug)]
pub struct Issuer {
    config: OauthConfig,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Document(Keys),
    Url(Arc<Fetched>),
}

impl Issuer {
    /// One that is configured so. Nothing is fetched yet; keys that `before` has fetched from there go on.
    pub fn new(config: OauthConfig, before: Option<&Self>) -> Result<Self, OauthError> {
        config::check(&config)?;
        let is_same = |before: &&Self| {
            before.config.jwks == config.jwks && before.config.algorithms == config.algorithms
        };
        if let Some(Source::Url(fetched)) = before.filter(is_same).map(|before| &before.source) {
            let source = Source::Url(Arc::clone(fetched));
            return Ok(Self { config, source });
        }
        let source = match &config.jwks {
            JwksSource::Document(document) => {
                let keys = Keys::parse(document, &config.algorithms).and_then(Keys::at_least_one);
                Source::Document(keys.map_err(|error| OauthError::new("jwks.file", error.to_string()))?)
            }
            JwksSource::Url { url, ca_pem } => Source::Url(Arc::new(Fetched::new(
                url,
                ca_pem.as_deref(),
                config.algorithms.clone(),
            )?)),
        };
        Ok(Self { config, source })
    }

    /// How it is configured.
    pub const fn config(&self) -> &OauthConfig {
        &self.config
    }

    /// Whom a token makes the caller out to be, at a resource whose address is `audience`.
    pub fn verify(&self, token: &str, audience: &str, now: Now) -> Result<Issued, Refused> {
        let token = Unproven::read(token, &self.config.algorithms)?;
        match &self.source {
            Source::Document(keys) => token.prove(keys),
            Source::Url(fetched) => fetched
                .with(second(now), |keys| token.prove(keys))
                .unwrap_or(Err(Refused::NoKeys)),
        }?;
        token.claims(&self.config, audience, now.unix_us())
    }

    /// Whether there are keys that a token could be signed by.
    pub fn has_keys(&self, now: Now) -> bool {
        match &self.source {
            Source::Document(_) => true,
            Source::Url(fetched) => fetched.with(second(now), |keys| keys.len() > 0) == Some(true),
        }
    }

    /// An attempt to fetch the keys, where it is time for one; it is to be run beside everything else.
    pub fn due(&self, now: Now) -> Option<Refresh> {
        match &self.source {
            Source::Document(_) => None,
            Source::Url(fetched) => fetched.due(second(now)),
        }
    }

    /// Whether a token could be good but for its key, which is not here. So it is worth to [wait](Self::settled) for keys
    /// that come, and to fetch them where this gives an attempt; it gives one now and then, whatever tokens come.
    pub fn missing(&self, token: &str, audience: &str, now: Now) -> Option<Option<Refresh>> {
        let Source::Url(fetched) = &self.source else {
            return None;
        };
        let token = Unproven::read(token, &self.config.algorithms).ok()?;
        match token.claims(&self.config, audience, now.unix_us()) {
            Ok(_) | Err(Refused::Scope(_)) => {}
            Err(_) => return None,
        }
        let is_missing = fetched
            .with(second(now), |keys| token.lacks_key(keys))
            .unwrap_or(true);
        is_missing.then(|| fetched.missing(second(now)))
    }

    /// Waits until no keys are being fetched: seconds at most.
    pub async fn settled(&self) {
        if let Source::Url(fetched) = &self.source {
            fetched.settled().await;
        }
    }
}

const fn second(now: Now) -> u64 {
    now.boot_ns / 1_000_000_000
}
