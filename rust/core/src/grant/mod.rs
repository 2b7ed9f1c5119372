//! Grants: a caller's labelled credential, which belongs to one server and carries one policy.

mod table;
mod token;

pub use table::{Grant, Grants, Labels};
pub use token::{TOKEN_PREFIX, Token, TokenDigest, TokenKey, without_tokens};

/// One grant as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSpec {
    /// Its id: what counters, logs and decisions call it. Not empty, without NUL.
    pub id: String,
    /// Digest of the caller's token; `None` for a grant that only a vouching enforcement point can name.
    pub token_digest: Option<TokenDigest>,
    /// Name of the server that it belongs to.
    pub server: String,
    /// Key of its policy; `None` denies every call, `(no policy)`.
    pub policy: Option<String>,
    /// Its labels, `(name, value)`, at most one per name.
    pub labels: Vec<(String, String)>,
    /// Unix microseconds from which on it is expired; `None`: never.
    pub expires_at_us: Option<u64>,
    /// It is withdrawn for good.
    pub revoked: bool,
}
