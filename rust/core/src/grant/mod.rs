//! Grants: a caller's labelled credential, which belongs to one server and has one policy.

mod table;
mod token;

pub use table::{Grant, Grants, Labels};
pub use token::{TOKEN_PREFIX, Token, TokenDigest, TokenKey, without_tokens};

/// One grant from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSpec {
    /// Its id in counters, logs and decisions. Not empty, without NUL.
    pub id: String,
    /// The digest of the caller's token; `None` for a grant that only a vouching enforcement point can name.
    pub token_digest: Option<TokenDigest>,
    /// The name of its server.
    pub server: String,
    /// The key of its policy; `None` denies every call with `(no policy)`.
    pub policy: Option<String>,
    /// Its labels, `(name, value)`, at most one per name.
    pub labels: Vec<(String, String)>,
    /// Expiry time in Unix microseconds; later calls are refused. `None` if it never expires.
    pub expires_at_us: Option<u64>,
    /// It is revoked for good.
    pub revoked: bool,
}
