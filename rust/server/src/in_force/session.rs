//! Sessions that belong to a grant, and to a variant of clients.
//!
//! A server's session id is all that it takes to act in that session. So what a client gets is the id and a mark that only
//! its own grant's requests can bear, made with a key that nobody else has: nothing has to be remembered, and every replica
//! with the same key of tokens knows it again. The id also says what its client declared when it began the session, which later
//! requests do not say.

use std::fmt;

use callgate_core::grant::TokenKey;
use callgate_gateway::pins::Variant;

/// Context of the derived key of marks; another text would make other marks.
const PURPOSE: &str = "callgate 2026-11-22 sessions of the MCP gateway, with variants";

/// Between the mark and what follows.
const JOINT: char = '.';

/// Between the client's variant, which never has it, and the server's own id.
const END_OF_VARIANT: char = '~';

/// The length of a mark: 128 bits in hexadecimal.
const MARK_LENGTH: usize = 32;

/// Makes and knows marks.
pub(crate) struct Sessions {
    key: [u8; 32],
}

impl Sessions {
    /// Derives the key of marks from the key of tokens.
    fn new(key: &TokenKey) -> Self {
        Self {
            key: key.derive(PURPOSE),
        }
    }

    /// Derives the key of marks from the key of tokens. Without one it makes a random key, which ends with this
    /// process: callers without tokens of callgate may still be proven by an issuer.
    pub(crate) fn of(key: Option<&TokenKey>) -> Result<Self, getrandom::Error> {
        if let Some(key) = key {
            return Ok(Self::new(key));
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self::new(&TokenKey::new(key)))
    }

    /// The id that a client gets for a server's session.
    pub(crate) fn marked(&self, server: &str, grant: &str, variant: &Variant, session: &str) -> String {
        let said = saying(variant, session);
        format!("{}{JOINT}{said}", self.mark(server, grant, &said))
    }

    /// The server's own id and its client's variant, if a client's id is of this grant at this server.
    pub(crate) fn unmarked<'s>(
        &self,
        server: &str,
        grant: &str,
        marked: &'s str,
    ) -> Option<(Variant, &'s str)> {
        let (mark, said) = marked.split_once(JOINT)?;
        // Compared as digests: how long that takes says nothing of the bytes.
        let expected = self.mark(server, grant, said);
        (blake3::hash(mark.as_bytes()) == blake3::hash(expected.as_bytes())).then(|| said_by(said))?
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

/// A session's id with its client's variant. If callers need no proof of identity, this is the whole id: any client
/// that knows the server's own id can use the session anyway.
pub(crate) fn saying(variant: &Variant, session: &str) -> String {
    format!("{variant}{END_OF_VARIANT}{session}")
}

/// The variant and the server's own id, if an id says them.
pub(crate) fn said_by(session: &str) -> Option<(Variant, &str)> {
    let (variant, own) = session.split_once(END_OF_VARIANT)?;
    Some((Variant::parse(variant)?, own))
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
        let variant = Variant::parse("2025-11-25+roots").unwrap();
        let own = Some((variant.clone(), "a.b~c"));
        let marked = sessions.marked("srv", "alice", &variant, "a.b~c");
        assert_eq!(sessions.unmarked("srv", "alice", &marked), own);
        for (server, grant) in [("srv", "bob"), ("other", "alice"), ("srva", "lice"), ("", "")] {
            assert_eq!(
                sessions.unmarked(server, grant, &marked),
                None,
                "{server} {grant}"
            );
        }
        let other_variant = marked.replace("+roots", "");
        let bare = marked.replace("2025-11-25+roots~", "");
        for forged in [
            "a.b-c",
            ".a.b-c",
            "",
            &marked[1..],
            &format!("{marked}x"),
            &other_variant,
            &bare,
        ] {
            assert_eq!(sessions.unmarked("srv", "alice", forged), None, "{forged}");
        }
        let others = Sessions::new(&TokenKey::new([2; 32]));
        assert_eq!(others.unmarked("srv", "alice", &marked), None);
        let known = Sessions::of(Some(&TokenKey::new([1; 32]))).unwrap();
        assert_eq!(known.unmarked("srv", "alice", &marked), own);
        let of_this_process = Sessions::of(None).unwrap();
        assert_eq!(of_this_process.unmarked("srv", "alice", &marked), None);
    }

    #[test]
    fn without_grants_an_id_says_the_variant_alone() {
        for variant in [Variant::unknown(), Variant::parse("2025-11-25+roots").unwrap()] {
            let said = saying(&variant, "a~b");
            assert_eq!(said_by(&said), Some((variant, "a~b")));
        }
        for other in ["", "a", "2025-11-25", "a b~c", "~c"] {
            assert_eq!(said_by(other), None, "{other}");
        }
    }
}
