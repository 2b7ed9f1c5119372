//! The configuration of a server: its listeners and its bounds.

use std::path::PathBuf;

use callgate_core::grant::TokenKey;
use callgate_shared::SharedConfig;

use crate::approvals::ApprovalChannel;
use crate::audit::AuditConfig;
use crate::identity::PepSpec;
use crate::in_force::GatewayConfig;
use crate::limits::Limits;
use crate::proxy::ProxyConfig;
use crate::tls::TlsPem;

/// The configuration of a server: its listeners and its bounds. The defaults are those of `callgate serve`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// TCP address such as `127.0.0.1:9191`; port 0 takes a free one. `None`: no TCP.
    pub listen: Option<String>,
    /// Path of a Unix socket to create, for this process's own user, root and the users of `peps`. `None`: no socket.
    pub socket: Option<PathBuf>,
    /// Worker threads; 0 stands for one per core.
    pub workers: usize,
    /// Longest time that [`crate::Server::stop`] waits for what is in flight, in milliseconds.
    pub grace_ms: u64,
    /// The bounds of what callers may use up.
    pub limits: Limits,
    /// Time between two writes of the counters' file to disk, in milliseconds: what a power failure may lose.
    pub flush_interval_ms: u64,
    /// Hosts, beyond the loopback names, that `Host` and `Origin` of HTTP requests may name (without a port).
    pub allowed_hosts: Vec<String>,
    /// The way to the store of approvals. `None`: calls that need an approval are denied.
    pub approvals: Option<ApprovalChannel>,
    /// The store of counters that nodes share. `None`: each counts for itself.
    pub shared: Option<SharedConfig>,
    /// The file of freezes, which is read again while the server runs. `None`: it has none.
    pub freeze_file: Option<PathBuf>,
    /// The decision log. `None`: decisions are not logged.
    pub audit: Option<AuditConfig>,
    /// Enforcement points that may ask: an empty list is nobody, and without a list anybody may who reaches a listener.
    pub peps: Option<Vec<PepSpec>>,
    /// Key of the digests of their tokens.
    pub pep_key: Option<TokenKey>,
    /// Certificates of the TCP listener; `None`: it speaks in the clear. The Unix socket always does.
    pub tls: Option<TlsPem>,
    /// The reading of caller, server and tool from a proxy's requests.
    pub proxies: ProxyConfig,
    /// The MCP servers that callgate itself stands before.
    pub gateway: GatewayConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: Some("127.0.0.1:9191".to_owned()),
            socket: None,
            workers: 0,
            grace_ms: 10_000,
            limits: Limits::default(),
            flush_interval_ms: 1_000,
            allowed_hosts: Vec::new(),
            approvals: None,
            shared: None,
            freeze_file: None,
            audit: None,
            peps: None,
            pep_key: None,
            tls: None,
            proxies: ProxyConfig::default(),
            gateway: GatewayConfig::default(),
        }
    }
}
