//! The servers behind the gateway, and the reading of requests to them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::oauth::{Issuers, OauthConfig, OauthError};
use callgate_gateway::pins::{Endpoint, FIRST_LISTS, Mode, Pins, PinsError, Server as PinnedServer};
use callgate_gateway::{Tally, Upstream, UpstreamConfig, UpstreamError};
use callgate_mcp::Methods;

use super::origins::Origins;
use crate::proxy::{IdentitySource, PathTemplate, ProxyConfig, ServerSource};

/// Prefix of the paths of servers.
pub(crate) const MCP: &str = "/mcp/";

/// The configuration of the gateway: the servers behind it, and the reading of requests to them.
#[derive(Clone, Debug, Default)]
pub struct GatewayConfig {
    /// The servers by name.
    pub servers: HashMap<String, GatewayServer>,
    /// The methods of messages without a tool call that may pass.
    pub methods: Methods,
    /// The address under which clients reach the gateway, without a path, such as `https://callgate.example.com`;
    /// `None`: the host that they name.
    pub public_url: Option<String>,
    /// Removes from lists the tools that a caller may never call, besides the hidden ones.
    pub lists_allowed_only: bool,
    /// The folder of the accepted tools of servers, created if it is missing; `None`: nothing is pinned. After a server
    /// got a folder, a reload does not change it.
    pub pins_folder: Option<PathBuf>,
    /// The time after a server's first complete list in which the lists of further variants are accepted;
    /// [`callgate_gateway::pins::FIRST_LISTS`] for `None`.
    pub first_lists: Option<Duration>,
    /// The issuers whose tokens callers may use; empty: no issuer is trusted.
    pub oauth: Vec<OauthConfig>,
    /// The origins of pages whose scripts may use the gateway, such as `http://localhost:6274`.
    pub allowed_origins: Vec<String>,
}

/// One server behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayServer {
    /// The address of the server.
    pub upstream: UpstreamConfig,
    /// The handling of tools that differ from the accepted ones.
    pub pinning: Mode,
}

/// A faulty configuration of the gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A server is not configured as it must be.
    #[error("server `{server}`: {fault}")]
    Upstream {
        /// The server's name.
        server: String,
        /// The fault.
        fault: UpstreamError,
    },
    /// The issuers of callers' tokens are not configured as they must be.
    #[error(transparent)]
    Oauth(#[from] OauthError),
    /// The pins of servers' tools cannot be read.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The thread that writes the accepted tools could not be started.
    #[error("cannot start the thread that keeps pins: {0}")]
    Threads(#[source] io::Error),
}

/// A server, in the form that requests use.
#[derive(Debug)]
pub(crate) struct ServerEntry {
    /// The name of the server.
    pub(crate) server: String,
    pub(crate) upstream: Arc<Upstream>,
    /// The pins of the server's tools, if they are pinned.
    pub(crate) pins: Option<PinnedServer>,
}

/// The gateway, built from a configuration.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    pub(crate) servers: HashMap<String, Arc<ServerEntry>>,
    /// The counts of every server that was ever configured.
    pub(crate) tallies: BTreeMap<String, Arc<Tally>>,
    /// The reading of requests whose callers prove who they are.
    pub(super) by_token: ProxyConfig,
    /// The reading of requests if neither grants nor an issuer are configured.
    pub(super) by_nothing: ProxyConfig,
    pub(crate) public_url: Option<String>,
    pub(crate) lists_allowed_only: bool,
    /// The issuers whose tokens are trusted, besides the tokens of grants.
    pub(crate) issuers: Issuers,
    pub(crate) origins: Origins,
}

impl Gateway {
    /// Builds a gateway; servers that `before` had under the same configuration keep their connections, and an issuer
    /// its keys.
    pub(crate) fn new(
        config: GatewayConfig,
        pins: Option<&Pins>,
        before: Option<&Self>,
    ) -> Result<Self, GatewayError> {
        if let Some(pins) = pins {
            pins.set_first_lists(config.first_lists.unwrap_or(FIRST_LISTS));
        }
        let mut servers = HashMap::with_capacity(config.servers.len());
        let mut tallies = before.map(|before| before.tallies.clone()).unwrap_or_default();
        for (name, GatewayServer { upstream, pinning }) in config.servers {
            let endpoint = Endpoint::url(&upstream.url);
            let kept = before.and_then(|before| before.servers.get(&name));
            let kept = kept.filter(|kept| *kept.upstream.config() == upstream);
            let upstream = if let Some(kept) = kept {
                Arc::clone(&kept.upstream)
            } else {
                let tally = tallies.entry(name.clone()).or_default();
                let upstream = Upstream::new(upstream, Arc::clone(tally));
                Arc::new(upstream.map_err(|fault| GatewayError::Upstream {
                    server: name.clone(),
                    fault,
                })?)
            };
            let pins = pins
                .filter(|_| pinning != Mode::Off)
                .map(|pins| pins.server(&name, endpoint, pinning))
                .transpose()?;
            let entry = ServerEntry {
                server: name.clone(),
                upstream,
                pins,
            };
            servers.insert(name, Arc::new(entry));
        }
        let issuers = issuers(config.oauth, config.public_url.is_some(), before)?;
        let reading = |identity| ProxyConfig {
            identity: vec![identity],
            server: vec![ServerSource::Path],
            hosts: HashMap::new(),
            paths: vec![PathTemplate::mcp()],
            methods: config.methods.clone(),
            tool_errors: true,
            mcp_metadata: None,
        };
        Ok(Self {
            servers,
            tallies,
            by_token: reading(IdentitySource::Token),
            by_nothing: reading(IdentitySource::Anonymous),
            public_url: config.public_url,
            lists_allowed_only: config.lists_allowed_only,
            issuers,
            origins: Origins::new(config.allowed_origins),
        })
    }

    /// Finds the server at a path; the error is for a client.
    pub(crate) fn at(&self, path: &str) -> Result<&Arc<ServerEntry>, String> {
        let name = PathTemplate::mcp_server(plain(path)).map_err(|unclear| unclear.to_string())?;
        name.and_then(|name| self.servers.get(&*name)).ok_or_else(|| {
            "no such server here; expected `/mcp/<server>` with the name of a server that has an `upstream`"
                .to_owned()
        })
    }

    /// Returns the audience that an issuer's token needs at a server by default: the server's address.
    pub(crate) fn audience(&self, server: &str) -> String {
        let base = self.public_url.as_deref().unwrap_or_default();
        format!("{base}{MCP}{server}")
    }

    /// Returns the reading of requests for callers who must prove who they are, or for callers who need not.
    pub(crate) const fn reading(&self, needs_token: bool) -> &ProxyConfig {
        if needs_token {
            &self.by_token
        } else {
            &self.by_nothing
        }
    }
}

/// Returns the path of a server in its configured form: some clients add a final `/`.
pub(crate) fn plain(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Builds the issuers; an issuer keeps the keys that one with the same configuration has fetched.
fn issuers(
    configs: Vec<OauthConfig>,
    has_address: bool,
    before: Option<&Gateway>,
) -> Result<Issuers, OauthError> {
    if let Some(index) = configs.iter().position(|config| config.audience.is_none())
        && !has_address
    {
        return Err(OauthError {
            index: (configs.len() > 1).then_some(index),
            part: "audience",
            message: "expected it, or `gateway.public_url`, from which it follows: else tokens for anybody would be taken"
                .to_owned(),
        });
    }
    match before {
        Some(before) => Issuers::new(configs, &before.issuers),
        None => Issuers::new(configs, &Issuers::default()),
    }
}
