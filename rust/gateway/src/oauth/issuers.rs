//! The issuers whose tokens are believed, each for its own.

use std::sync::Arc;

use super::Issuer;
use super::config::{OauthConfig, OauthError, check_all};
use super::token::{TokenError, claimed_issuer};

/// The issuers whose tokens are believed.
#[derive(Debug, Default)]
pub struct Issuers(Vec<Arc<Issuer>>);

impl Issuers {
    /// Creates the configured issuers. An issuer that `before` has with the same configuration is taken over, and so
    /// are keys that were fetched from the same place.
    pub fn new(configs: Vec<OauthConfig>, before: &Self) -> Result<Self, OauthError> {
        check_all(&configs)?;
        let are_several = configs.len() > 1;
        let issuers = configs.into_iter().enumerate().map(|(index, config)| {
            if let Some(kept) = before.iter().find(|kept| *kept.config() == config) {
                return Ok(Arc::clone(kept));
            }
            let kept = before.iter().find(|kept| kept.has_keys_of(&config));
            let issuer = Issuer::new(config, kept.map(AsRef::as_ref));
            issuer
                .map(Arc::new)
                .map_err(|error| if are_several { error.at(index) } else { error })
        });
        issuers.collect::<Result<_, _>>().map(Self)
    }

    /// Returns true if there is no issuer.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, as they are configured.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.0.iter()
    }

    /// The only issuer that may have signed a token: with several issuers, the one that the token names. That name
    /// proves nothing yet.
    pub fn of(&self, token: &str) -> Result<&Arc<Issuer>, TokenError> {
        if let [only] = self.0.as_slice() {
            return Ok(only);
        }
        let claimed = claimed_issuer(token)?;
        let found = self.0.iter().find(|issuer| issuer.config().issuer == claimed);
        found.ok_or(TokenError::Issuer)
    }
}
