//! What the worker is told at its start.

use std::fmt::{self, Write};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The place of the store, and the times of its leases.
#[derive(Clone)]
pub struct SharedConfig {
    /// `redis://`, `rediss://` or `unix://`; for Sentinel `redis+sentinel://HOST:PORT,HOST:PORT/NAME`, for a
    /// cluster `redis+cluster://HOST:PORT,HOST:PORT`, both also with `rediss+`.
    pub url: String,
    /// The password of the user.
    pub password: Option<String>,
    /// Certificates in PEM that are trusted; those of the machine without them.
    pub ca_pem: Option<Vec<u8>>,
    /// The first part of every key.
    pub prefix: String,
    /// Length of a lease.
    pub lease: Duration,
    /// Time for which a count refuses after the store has lost data; `None` for the window of each count.
    pub recovery: Option<Duration>,
    /// The longest time for which a call waits.
    pub budget: Duration,
}

impl fmt::Debug for SharedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may name a user, and the password is a secret.
        f.debug_struct("SharedConfig")
            .field("prefix", &self.prefix)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// Derives the key of the identities of shared counts from the key of the grants, which all nodes have.
pub fn hash_key(grant_key: &[u8]) -> [u8; 16] {
    digest(b"callgate: identities of shared counts", grant_key)
}

/// A word by which nodes compare that key, without telling it.
pub(crate) fn fingerprint(hash_key: &[u8; 16]) -> String {
    let digest = digest(b"callgate: fingerprint of the key of shared counts", hash_key);
    hex(&digest[..8])
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn digest(label: &[u8], secret: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update((label.len() as u64).to_le_bytes());
    hash.update(label);
    hash.update(secret);
    let full: [u8; 32] = hash.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&full[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_and_its_fingerprint_never_change() {
        // All nodes have to have the same, whatever their versions are.
        let key = hash_key(&[7; 32]);
        assert_eq!(hex(&key), "6507175d4348cc2ea613272bcf906e31");
        assert_eq!(fingerprint(&key), "134a65b54d2e80ab");
        assert_ne!(hash_key(&[8; 32]), key);
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = SharedConfig {
            url: "redis://me@host".to_owned(),
            password: Some("secret".to_owned()),
            ca_pem: None,
            prefix: "callgate".to_owned(),
            lease: Duration::from_secs(10),
            recovery: None,
            budget: Duration::from_millis(50),
        };
        let text = format!("{config:?}");
        assert!(!text.contains("secret") && !text.contains("me@"), "{text}");
    }
}
