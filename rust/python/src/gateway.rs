//! The `gateway` argument of `Server`: a mapping, converted to the data plane's configuration.

use std::time::Duration;

use callgate_gateway::pins::Mode;
use callgate_mcp::Methods;
use callgate_server::{GatewayConfig, GatewayServer, UpstreamConfig};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::error::Error;
use crate::setup::{Fields, pairs};

const FIELDS: [&str; 8] = [
    "servers",
    "methods",
    "public_url",
    "lists_allowed_only",
    "pins_folder",
    "first_lists_s",
    "oauth",
    "allowed_origins",
];
const UPSTREAM_FIELDS: [&str; 12] = [
    "url",
    "ca",
    "headers",
    "allow_link_local",
    "connect_timeout_ms",
    "answer_timeout_ms",
    "max_requests",
    "max_requests_per_grant",
    "max_idle_connections",
    "idle_timeout_ms",
    "list_limit_bytes",
    "pinning",
];

/// Reads the mapping; an absent key has the default of [`GatewayConfig`] and [`UpstreamConfig`].
pub(crate) fn config(gateway: &Bound<'_, PyMapping>) -> PyResult<GatewayConfig> {
    let fields = Fields::named("gateway".to_owned(), &FIELDS, gateway.as_any())?;
    let mut config = GatewayConfig {
        public_url: fields.optional("public_url")?,
        lists_allowed_only: fields.optional("lists_allowed_only")?.unwrap_or_default(),
        pins_folder: fields.optional("pins_folder")?,
        first_lists: fields.optional("first_lists_s")?.map(Duration::from_secs),
        allowed_origins: fields.optional("allowed_origins")?.unwrap_or_default(),
        ..GatewayConfig::default()
    };
    if let Some((allow, deny)) = fields.optional::<(Vec<String>, Vec<String>)>("methods")? {
        config.methods = Methods::new(&allow, &deny)
            .map_err(|error| Error::Value("gateway".to_owned(), format!("`methods`: {error}")))?;
    }
    if let Some(servers) = fields.optional::<Bound<'_, PyAny>>("servers")? {
        let servers: Vec<(String, Py<PyAny>)> = pairs("gateway: `servers`", &servers)?;
        for (name, server) in servers {
            let server = read_server(&name, server.bind(gateway.py()))?;
            config.servers.insert(name, server);
        }
    }
    if let Some(oauth) = fields.optional::<Bound<'_, PyAny>>("oauth")? {
        config.oauth = crate::oauth::configs(&oauth)?;
    }
    Ok(config)
}

fn read_server(name: &str, mapping: &Bound<'_, PyAny>) -> PyResult<GatewayServer> {
    let place = format!("server `{name}`");
    let fields = Fields::named(place.clone(), &UPSTREAM_FIELDS, mapping)?;
    let pinning = match fields.optional::<String>("pinning")? {
        None => Mode::default(),
        Some(word) => word
            .parse()
            .map_err(|error| Error::Value(place, format!("`pinning`: {error}")))?,
    };
    let usual = UpstreamConfig::at(fields.required::<String>("url")?);
    let upstream = UpstreamConfig {
        ca_pem: fields.optional("ca")?,
        headers: fields.optional("headers")?.unwrap_or_default(),
        allow_link_local: fields
            .optional("allow_link_local")?
            .unwrap_or(usual.allow_link_local),
        connect_timeout_ms: fields
            .optional("connect_timeout_ms")?
            .unwrap_or(usual.connect_timeout_ms),
        answer_timeout_ms: fields
            .optional("answer_timeout_ms")?
            .unwrap_or(usual.answer_timeout_ms),
        max_requests: fields.optional("max_requests")?.unwrap_or(usual.max_requests),
        max_requests_per_grant: fields.optional("max_requests_per_grant")?,
        max_idle_connections: fields
            .optional("max_idle_connections")?
            .unwrap_or(usual.max_idle_connections),
        idle_timeout_ms: fields
            .optional("idle_timeout_ms")?
            .unwrap_or(usual.idle_timeout_ms),
        list_limit_bytes: fields
            .optional("list_limit_bytes")?
            .unwrap_or(usual.list_limit_bytes),
        ..usual
    };
    Ok(GatewayServer { upstream, pinning })
}
