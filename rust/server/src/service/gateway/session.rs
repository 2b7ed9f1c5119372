//! Sessions that belong to a grant.
//!
//! A server's session id is all that it takes to act in that session. So what a client gets is the id and a mark that only
//! its own grant's requests can bear, made with a key that nobody else has: nothing has to be remembered, and every replica
//! with the same key of tokens knows it again.

use std::fmt;

use callgate_core::grant::TokenKey;

/// What the key of marks is derived for; another text would make other marks.
const PURPOSE: &str = "callgate 2026-11-22 sessions of the MCP gateway";

/// Between the mark and the server's own id.
const JOINT: char = '.';

/// The length of a mark: 128 bits in hexadecimal.
const MARK_LENGTH: usize = 32;

/// Makes and knows marks.
pub(crate) struct Sessions {
    key: [u8; 32],
}

impl Sessions {
    /// Those of this key of tokens.
    fn new(key: &TokenKey) -> Self {
        Self {
            key: key.derive(PURPOSE),
        }
    }

    /// Those of this key, or of one that nobody else has and that ends with this process: where callers have no tokens of
    /// ours, an issuer may still prove who they are.
    pub(crate) fn of(key: Option<&TokenKey>) -> Result<Self, getrandom::Error> {
        if let Some(key) = key {
            return Ok(Self::new(key));
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self::new(&TokenKey::new(key)))
    }

    /// The id that a client gets for a server's session.
    pub(super) fn marked(&self, server: &str, grant: &str, session: &str) -> String {
        format!("{}{JOINT}{session}", self.mark(server, grant, session))
    }

    /// The server's own id, if a client's is of this grant at this server.
    pub(super) fn unmarked<'s>(&self, server: &str, grant: &str, marked: &'s str) -> Option<&'s str> {
        let (mark, session) = marked.split_once(JOINT)?;
        // Compared as digests: how long that takes says nothing of the bytes.
        let expected = self.mark(server, grant, session);
        (blake3::hash(mark.as_bytes()) == blake3::hash(expected.as_bytes())).then_some(session)
    }

    fn mark(&self, server: &str, grant: &str, session: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [server, grant, session] {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut mark = hasher.finalize().to_hex().to_string();
        mark.truncate(MARK_LENGTH);
        mark
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_one_grant_s_at_one_server() {
        let sessions = Sessions::new(&TokenKey::new([1; 32]));
        let marked = sessions.marked("srv", "alice", "a.b-c");
        assert_eq!(sessions.unmarked("srv", "alice", &marked), Some("a.b-c"));
        for (server, grant) in [("srv", "bob"), ("other", "alice"), ("srva", "lice"), ("", "")] {
            assert_eq!(
                sessions.unmarked(server, grant, &marked),
                None,
                "{server} {grant}"
            );
        }
        for forged in ["a.b-c", ".a.b-c", "", &marked[1..], &format!("{marked}x")] {
            assert_eq!(sessions.unmarked("srv", "alice", forged), None, "{forged}");
        }
        let others = Sessions::new(&TokenKey::new([2; 32]));
        assert_eq!(others.unmarked("srv", "alice", &marked), None);
        let known = Sessions::of(Some(&TokenKey::new([1; 32]))).unwrap();
        assert_eq!(known.unmarked("srv", "alice", &marked), Some("a.b-c"));
        let of_this_process = Sessions::of(None).unwrap();
        assert_eq!(of_this_process.unmarked("srv", "alice", &marked), None);
    }
}
