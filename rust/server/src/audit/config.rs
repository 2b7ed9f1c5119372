//! The target of the decision log, and the handling of a decision that it cannot take.

use std::path::PathBuf;

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
        }
    }
}
