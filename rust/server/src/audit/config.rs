//! The target of the decision log, and the handling of a decision that it cannot take.

use std::path::PathBuf;
use std::{fmt, io};

use callgate_ledger::{PublicKey, SigningKey};

/// The target of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Standard output, for containers.
    Stdout,
    /// Standard error, where standard output belongs to somebody else.
    Stderr,
    /// A file, created with mode 0600 and appended to; or a character device.
    File(PathBuf),
}

/// The handling of a decision whose line cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditMode {
    /// The decision stands; the line is dropped and counted.
    BestEffort,
    /// The call is denied, rule `(audit unavailable)`, and takes no units.
    Required,
}

/// A decision log. [`AuditConfig::new`] holds the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// The target of lines.
    pub target: AuditTarget,
    /// The handling of a decision whose line cannot be taken.
    pub mode: AuditMode,
    /// A file that would grow beyond this many bytes is rotated; 0 for never.
    pub max_bytes: u64,
    /// A file whose first line is this many seconds old is rotated; 0 for never.
    pub max_age_s: u64,
    /// Rotated files that are kept, at least 1: `PATH.1` is the newest.
    pub keep: u32,
    /// At most this many milliseconds pass between a line's writing and its being on the disk; 0 leaves that to the
    /// operating system.
    pub sync_interval_ms: u64,
    /// The signatures over the log; `None` for a plain one. A signed log is a file.
    pub signing: Option<AuditSigning>,
}

impl AuditConfig {
    /// A log there, with the defaults.
    pub const fn new(target: AuditTarget) -> Self {
        Self {
            target,
            mode: AuditMode::BestEffort,
            max_bytes: 256 * 1024 * 1024,
            max_age_s: 0,
            keep: 8,
            sync_interval_ms: 1_000,
            signing: None,
        }
    }
}

/// A million: [`AuditSigning::logged_of_million`] of every plain allow.
pub const EVERY_ALLOW: u32 = 1_000_000;

/// The signatures over a decision log (`docs/audit.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSigning {
    /// The private key.
    pub key: KeyPem,
    /// The public key that it has to have; `None` for any.
    pub public_key: Option<[u8; 32]>,
    /// The public keys that may have signed the log so far, besides that of `key`.
    pub former_keys: Vec<[u8; 32]>,
    /// The statements by which each key names the next one, as signed notes, the oldest first.
    pub statements: Vec<String>,
    /// The Unix time, in seconds, from which on the key signs nothing more; `None` for a key without an end.
    pub expires_unix_s: Option<u64>,
    /// The name of the stream, which is the beginning of the log's origin.
    pub stream: String,
    /// At most about this many milliseconds pass between a line's writing and a checkpoint over it.
    pub checkpoint_interval_ms: u64,
    /// Of a million allows that nothing distinguishes, as many are logged. The others are counted.
    pub logged_of_million: u32,
}

impl AuditSigning {
    /// Reads the private key.
    pub(crate) fn signing_key(&self) -> io::Result<SigningKey> {
        let key = SigningKey::from_pem(&self.key.0).map_err(io::Error::other)?;
        match self.public_key {
            Some(expected) if key.public() != PublicKey::new(expected) => Err(io::Error::other(
                "the audit key is not the one of the file `.pub` beside it; put the two of one key there",
            )),
            _ => Ok(key),
        }
    }
}

/// The content of a PEM file with a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPem(pub Vec<u8>);

// Without the key.
impl fmt::Debug for KeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPem(..)")
    }
}
