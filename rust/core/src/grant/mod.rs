//! Grants: a caller's labelled credential for one or several servers, each with its policy.

mod labels;
mod places;
mod shard;
mod table;
mod token;

pub use labels::labels_digest;
pub(crate) use places::{Places, Resolved};
pub use table::{Grant, Grants, KnownToken, Labels};
pub use token::{TOKEN_PREFIX, Token, TokenDigest, TokenKey, without_tokens};

/// The most tokens of one grant or one enforcement point: the present one, and the one that it replaces.
pub const MAX_TOKENS: usize = 2;

/// One token of a grant or of an enforcement point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSpec {
    /// Its digest.
    pub digest: TokenDigest,
    /// Its end in Unix microseconds, from which on it is unknown. `None` if it has no end.
    pub until_us: Option<u64>,
}

impl TokenSpec {
    /// Returns the fault of a list of tokens that belong together, if it has one.
    pub fn fault(tokens: &[Self]) -> Option<String> {
        if tokens.len() > MAX_TOKENS {
            let count = tokens.len();
            return Some(format!(
                "it has {count} tokens, expected at most {MAX_TOKENS}; take the oldest out"
            ));
        }
        let is_repeated = |(index, token): (usize, &Self)| {
            let earlier = tokens.iter().take(index);
            earlier
                .map(|other| other.digest)
                .any(|other| other == token.digest)
        };
        let has_repeated = tokens.iter().enumerate().any(is_repeated);
        has_repeated.then(|| "it has the same token twice; keep one of them".to_owned())
    }
}

impl From<TokenDigest> for TokenSpec {
    /// A token without an end.
    fn from(digest: TokenDigest) -> Self {
        Self {
            digest,
            until_us: None,
        }
    }
}

/// One grant from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSpec {
    /// Its id in counters, logs and decisions. Not empty, without NUL.
    pub id: String,
    /// The caller's tokens, at most [`MAX_TOKENS`]; empty for a grant that only a vouching enforcement point can name.
    pub tokens: Vec<TokenSpec>,
    /// The name of its one server, which calls with its token need not name. Empty if `servers` lists them.
    pub server: String,
    /// The key of its policy at that server; `None` denies every call with `(no policy)`.
    pub policy: Option<String>,
    /// The names of its servers, each with the key of its policy there, for a grant whose calls name their server.
    pub servers: Vec<(String, String)>,
    /// Its labels, `(name, value)`, at most one per name.
    pub labels: Vec<(String, String)>,
    /// Expiry time in Unix microseconds; later calls are refused. `None` if it never expires.
    pub expires_at_us: Option<u64>,
    /// True if the grant is revoked for good.
    pub revoked: bool,
}

/// A change of one managed grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantChange {
    /// The grant is there from now on, as a new one or in the place of the one with its id.
    Put(GrantSpec),
    /// No grant has this id any more.
    Remove(String),
}

/// The reason why a managed grant stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grant `{id}`: {message}")]
pub struct GrantFault {
    /// Id of the grant.
    pub id: String,
    /// The fault and the remedy.
    pub message: String,
}
