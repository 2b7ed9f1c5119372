//! The configuration of a token issuer.

use callgate_core::address::is_loopback_host;
use http::Uri;

use super::{Algorithm, ClaimPath};

/// The configuration of a token issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthConfig {
    /// The required `iss` of tokens, compared exactly.
    pub issuer: String,
    /// Stands before the claim in the grant's id, so that two issuers never name one grant; empty for a single issuer.
    pub prefix: String,
    /// The source of the issuer's keys.
    pub jwks: JwksSource,
    /// The required `aud` of tokens, alone or in a list; `None`: the address of the requested server.
    pub audience: Option<String>,
    /// The accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// The claim that is the grant's id.
    pub grant: ClaimPath,
    /// Labels by name, each with its claim.
    pub labels: Vec<(String, ClaimPath)>,
    /// The accepted error of the issuer's clock, in milliseconds.
    pub clock_skew_ms: u64,
    /// The required words of `scope`.
    pub scopes: Vec<String>,
}

/// The most bytes of a prefix.
const MAX_PREFIX_BYTES: usize = 64;

/// The last character of a prefix, which separates it from longer names: `a` would take in the grant `alice`.
const SEPARATORS: [char; 3] = [':', '/', '|'];

/// The source of an issuer's keys: a JWK Set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// The contents of a file.
    Document(Vec<u8>),
    /// Fetched, and again from time to time.
    Url {
        /// The address: `https`, or `http` on loopback.
        url: String,
        /// Certificates in PEM of the authorities that are believed instead of the system's.
        ca_pem: Option<Vec<u8>>,
    },
    /// Fetched from the URL that the issuer's metadata names (RFC 8414, `OpenID` Connect Discovery), which is looked up each
    /// time.
    Discovery {
        /// Certificate authorities for the metadata and the keys, as with a URL of keys.
        ca_pem: Option<Vec<u8>>,
    },
}

/// An error in the configuration of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`gateway.oauth{}.{part}`: {message}", .index.map(|index| format!("[{index}]")).unwrap_or_default())]
pub struct OauthError {
    /// The index among several issuers, from 0; `None` if there is only one.
    pub index: Option<usize>,
    /// The key that is to be changed.
    pub part: &'static str,
    /// The error, and the expected value.
    pub message: String,
}

impl OauthError {
    pub(super) fn new(part: &'static str, message: impl Into<String>) -> Self {
        Self {
            index: None,
            part,
            message: message.into(),
        }
    }

    /// The same of one of several issuers.
    pub(super) const fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }
}

/// Refuses what would believe everybody or nobody.
pub(super) fn check(config: &OauthConfig) -> Result<(), OauthError> {
    let has_empty = |texts: &[String]| texts.iter().any(String::is_empty);
    if config.issuer.is_empty() {
        return Err(OauthError::new(
            "issuer",
            "it is empty; expected the issuer's URL",
        ));
    }
    if !is_prefix(&config.prefix) {
        return Err(OauthError::new(
            "prefix",
            format!(
                "expected at most {MAX_PREFIX_BYTES} bytes without NUL that end in `:`, `/` or `|`, such as `corp:`"
            ),
        ));
    }
    if config.audience.as_deref() == Some("") {
        return Err(OauthError::new(
            "audience",
            "it is empty; expected what tokens for callgate have as `aud`",
        ));
    }
    if config.algorithms.is_empty() {
        return Err(OauthError::new(
            "algorithms",
            "none is left; expected at least one",
        ));
    }
    if config.grant.is_empty() || config.labels.iter().any(|(_, claim)| claim.is_empty()) {
        return Err(OauthError::new(
            "grant",
            "a claim has no name; expected at least one for `grant` and for each of `labels`",
        ));
    }
    let mut names: Vec<&str> = config.labels.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(OauthError::new(
            "labels",
            "a label stands twice; keep one of them",
        ));
    }
    if has_empty(&config.scopes) {
        return Err(OauthError::new(
            "scopes",
            "a scope is empty; expected words as in `scope`",
        ));
    }
    Ok(())
}

/// Refuses several issuers of which two could mean one id, or one token.
pub(super) fn check_all(configs: &[OauthConfig]) -> Result<(), OauthError> {
    if configs.len() < 2 {
        return Ok(());
    }
    for (index, config) in configs.iter().enumerate() {
        let before = || configs.iter().take(index).enumerate();
        let fault = |part, message: String| Err(OauthError::new(part, message).at(index));
        if config.prefix.is_empty() {
            let message = "it is missing; with several issuers each needs one of its own, such as `corp:`";
            return fault("prefix", message.to_owned());
        }
        if let Some((other, _)) = before().find(|(_, other)| other.issuer == config.issuer) {
            let message = format!("it is the issuer of `gateway.oauth[{other}]` as well; keep one of them");
            return fault("issuer", message);
        }
        // Where neither begins with the other, no id of one can be an id of the other.
        let overlaps = |other: &str| other.starts_with(&config.prefix) || config.prefix.starts_with(other);
        if let Some((other, with)) = before().find(|(_, other)| overlaps(&other.prefix)) {
            let message = format!(
                "`{}` and `{}` of `gateway.oauth[{other}]` could make one id of two subjects; expected prefixes of which \
                 neither begins with the other",
                config.prefix, with.prefix
            );
            return fault("prefix", message);
        }
    }
    Ok(())
}

fn is_prefix(prefix: &str) -> bool {
    prefix.is_empty()
        || (prefix.len() <= MAX_PREFIX_BYTES && prefix.ends_with(SEPARATORS) && !prefix.contains('\0'))
}

/// Parses the address of keys. Plain HTTP is accepted on loopback only: whoever changes keys on the way can impersonate
/// anybody.
pub(super) fn address(url: &str) -> Result<Uri, OauthError> {
    let expected =
        "expected a URL such as `https://login.example.com/jwks.json`, or one of this machine by `http`";
    secure(url).ok_or_else(|| OauthError::new("jwks.url", expected))
}

/// A URL whose answers come unchanged: `https`, or `http` on this machine, and no password in it.
pub(super) fn secure(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    let has_password = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    let is_here = is_loopback_host(host);
    match uri.scheme_str() {
        Some("https") if !has_password => Some(uri),
        Some("http") if is_here && !has_password => Some(uri),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_unchanged() {
        for url in [
            "https://login.example.com/jwks.json",
            "https://[2001:db8::1]/",
            "http://127.0.0.1:8080/jwks",
            "http://[::1]/jwks",
            "http://localhost/jwks?x=y",
        ] {
            assert!(address(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "/jwks",
            "file:///jwks",
            "http://login.example.com/jwks",
            "http://10.0.0.1/jwks",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "https://user:secret@login.example.com/",
            "http://user:secret@localhost/",
        ] {
            let fault = address(url).expect_err(url).to_string();
            assert!(!fault.contains("secret"), "{fault}");
        }
    }
}
