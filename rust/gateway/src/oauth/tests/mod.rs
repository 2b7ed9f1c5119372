//! Tokens of issuers that are made here, and what is refused of them.

mod believing;
mod discovering;
mod fetching;
mod hostile;
mod published;
mod several;
mod signatures;
mod signing;

use callgate_core::Now;

use super::{Algorithm, ClaimPath, JwksSource, OauthConfig};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "https://callgate.example.com/mcp/files";

/// The second at which these tests are.
const NOW_S: u64 = 1_800_000_000;

fn at(second: u64) -> Now {
    Now::from_unix_us(second * 1_000_000)
}

fn claim(names: &[&str]) -> ClaimPath {
    ClaimPath::new(names.iter().map(|&name| name.to_owned()).collect())
}

fn config(jwks: JwksSource) -> OauthConfig {
    OauthConfig {
        issuer: ISSUER.to_owned(),
        prefix: String::new(),
        jwks,
        audience: None,
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        grant: claim(&["sub"]),
        labels: vec![
            ("team".to_owned(), claim(&["https://example.com/team"])),
            ("tenant".to_owned(), claim(&["realm", "tenant"])),
        ],
        clock_skew_ms: 30_000,
        scopes: Vec::new(),
    }
}
