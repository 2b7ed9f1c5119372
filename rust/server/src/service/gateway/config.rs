//! The servers behind the gateway, and how requests to them are read.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_gateway::{Upstream, UpstreamConfig, UpstreamError};
use callgate_mcp::Methods;

use crate::proxy::{IdentitySource, PathTemplate, ProxyConfig, ServerSource};

/// The servers behind the gateway, and how requests to them are read.
#[derive(Clone, Debug, Default)]
pub struct GatewayConfig {
    /// Where the servers are, by name.
    pub upstreams: HashMap<String, UpstreamConfig>,
    /// Which messages that call no tool may pass.
    pub methods: Methods,
    /// Where clients reach the gateway, without a path, such as `https://callgate.example.com`; `None`: by the host that
    /// they name.
    pub public_url: Option<String>,
    /// Leave out of lists what a caller may never call, beside what is hidden.
    pub lists_allowed_only: bool,
}

/// What is wrong with a server's configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server `{server}`: {fault}")]
pub struct GatewayError {
    /// The server's name.
    pub server: String,
    /// What is wrong with it.
    pub fault: UpstreamError,
}

/// A gateway that is configured so.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    upstreams: HashMap<String, Arc<Upstream>>,
    /// Where callers prove who they are.
    by_token: Arc<ProxyConfig>,
    /// Where no grants are configured.
    by_nothing: Arc<ProxyConfig>,
    pub(super) public_url: Option<String>,
    pub(super) lists_allowed_only: bool,
}

impl Gateway {
    /// A new one; servers that `before` had under the same configuration keep their connections.
    pub(crate) fn new(config: GatewayConfig, before: Option<&Self>) -> Result<Self, GatewayError> {
        let mut upstreams = HashMap::with_capacity(config.upstreams.len());
        for (name, upstream) in config.upstreams {
            let kept = before.and_then(|before| before.upstreams.get(&name));
            let kept = kept.filter(|kept| *kept.config() == upstream).map(Arc::clone);
            let upstream = match kept {
                Some(kept) => kept,
                None => Arc::new(Upstream::new(upstream).map_err(|fault| GatewayError {
                    server: name.clone(),
                    fault,
                })?),
            };
            upstreams.insert(name, upstream);
        }
        let reading = |identity| {
            Arc::new(ProxyConfig {
                identity: vec![identity],
                server: vec![ServerSource::Path],
                hosts: HashMap::new(),
                paths: vec![PathTemplate::mcp()],
                methods: config.methods.clone(),
                tool_errors: true,
                mcp_metadata: None,
            })
        };
        Ok(Self {
            upstreams,
            by_token: reading(IdentitySource::Token),
            by_nothing: reading(IdentitySource::Anonymous),
            public_url: config.public_url,
            lists_allowed_only: config.lists_allowed_only,
        })
    }

    /// The server that stands at a path, with its name; the error is for a client.
    pub(super) fn at(&self, path: &str) -> Result<(String, Arc<Upstream>), String> {
        let name = PathTemplate::mcp_server(path).map_err(|unclear| unclear.to_string())?;
        let found = name.and_then(|name| Some((Arc::clone(self.upstreams.get(&*name)?), name.into_owned())));
        found.map(|(upstream, name)| (name, upstream)).ok_or_else(|| {
            "no such server here; expected `/mcp/<server>` with the name of a server that has an `upstream`".to_owned()
        })
    }

    /// How requests are read where callers prove who they are, or need not.
    pub(super) const fn reading(&self, needs_token: bool) -> &Arc<ProxyConfig> {
        if needs_token {
            &self.by_token
        } else {
            &self.by_nothing
        }
    }
}
