//! Whose tokens are believed, and what is made of them.

use std::net::IpAddr;

use http::Uri;

use super::{Algorithm, ClaimPath};

/// Whose tokens are believed, and what is made of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthConfig {
    /// What tokens have as `iss`, compared as it is.
    pub issuer: String,
    /// Where the issuer's keys are.
    pub jwks: JwksSource,
    /// What tokens have as `aud` or in it; `None`: the address of the server that is asked.
    pub audience: Option<String>,
    /// How tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// The claim that is the grant's id.
    pub grant: ClaimPath,
    /// Labels by name, each with its claim.
    pub labels: Vec<(String, ClaimPath)>,
    /// How far the issuer's clock may be off, in milliseconds.
    pub clock_skew_ms: u64,
    /// What must be in `scope`, all of it.
    pub scopes: Vec<String>,
}

/// Where an issuer's keys are: a JWK Set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// The contents of a file.
    Document(Vec<u8>),
    /// Fetched, and again from time to time.
    Url {
        /// Where from: `https`, or `http` on loopback.
        url: String,
        /// Certificates in PEM of the authorities that are believed instead of the system's.
        ca_pem: Option<Vec<u8>>,
    },
}

/// What is wrong with the configuration of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`gateway.oauth.{part}`: {message}")]
pub struct OauthError {
    /// The key that is to be changed.
    pub part: &'static str,
    /// What is wrong there, and what was expected.
    pub message: String,
}

impl OauthError {
    pub(super) fn new(part: &'static str, message: impl Into<String>) -> Self {
        Self {
            part,
            message: message.into(),
        }
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

/// Where keys are fetched. Whoever could change them on the way could be anybody, so plain HTTP stays on this machine.
pub(super) fn address(url: &str) -> Result<Uri, OauthError> {
    let expected =
        "expected a URL such as `https://login.example.com/jwks.json`, or one of this machine by `http`";
    let fault = || OauthError::new("jwks.url", expected);
    let uri: Uri = url.parse().map_err(|_| fault())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(fault)?;
    let has_password = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    match uri.scheme_str() {
        Some("https") if !has_password => Ok(uri),
        Some("http") if is_here && !has_password => Ok(uri),
        _ => Err(fault()),
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
