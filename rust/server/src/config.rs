//! What a server listens on, and its bounds.

use std::path::PathBuf;

use crate::AuditConfig;
use crate::limits::Limits;

/// What a server listens on, and its bounds. The defaults are those of `callgate serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// TCP address such as `127.0.0.1:9191`; port 0 takes a free one. `None`: no TCP.
    pub listen: Option<String>,
    /// Path of a Unix socket to create, for this process's own user and root. `None`: no socket.
    pub socket: Option<PathBuf>,
    /// Worker threads; 0 stands for one per core.
    pub workers: usize,
    /// How long [`crate::Server::stop`] waits for what is in flight, in milliseconds.
    pub grace_ms: u64,
    /// What callers may use up.
    pub limits: Limits,
    /// Hosts, beyond the loopback names, that `Host` and `Origin` of HTTP requests may name (without a port).
    pub allowed_hosts: Vec<String>,
    /// The decision log. `None`: decisions are not logged.
    pub audit: Option<AuditConfig>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: Some("127.0.0.1:9191".to_owned()),
            socket: None,
            workers: 0,
            grace_ms: 10_000,
            limits: Limits::default(),
            allowed_hosts: Vec::new(),
            audit: None,
        }
    }
}
