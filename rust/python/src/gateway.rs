//! The `gateway` argument of `Server`: a mapping, converted to the data plane's configuration.

use std::collections::HashMap;
use std::time::Duration;

use callgate_gateway::oauth::OauthConfig;
use callgate_gateway::pins::Mode;
use callgate_mcp::Methods;
use callgate_server::{GatewayConfig, GatewayServer, UpstreamConfig};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::setup::{Fields, build, or};

/// Reads the mapping; an absent key has the default of [`GatewayConfig`] and [`UpstreamConfig`].
pub(crate) fn config(gateway: &Bound<'_, PyMapping>) -> PyResult<GatewayConfig> {
    Ok(
        build!(Fields::named("gateway".to_owned(), gateway.as_any())? => GatewayConfig {
            servers: "servers" => servers,
            methods: "methods" => methods,
            public_url: "public_url" => Fields::optional,
            lists_allowed_only: "lists_allowed_only" => Fields::or_default,
            pins_folder: "pins_folder" => Fields::optional,
            first_lists: "first_lists_s" => first_lists,
            oauth: "oauth" => oauth,
            allowed_origins: "allowed_origins" => Fields::or_default,
        }),
    )
}

fn servers(fields: &Fields<'_, '_>, key: &str) -> PyResult<HashMap<String, GatewayServer>> {
    let servers: Vec<(String, Py<PyAny>)> = fields.pairs(key)?;
    let read = servers.into_iter().map(|(name, server)| {
        let server = read_server(&name, server.bind(fields.py()))?;
        Ok((name, server))
    });
    read.collect()
}

fn methods(fields: &Fields<'_, '_>, key: &str) -> PyResult<Methods> {
    let Some((allow, deny)) = fields.optional::<(Vec<String>, Vec<String>)>(key)? else {
        return Ok(Methods::default());
    };
    Methods::new(&allow, &deny).map_err(|error| fields.error(format!("`{key}`: {error}")))
}

fn first_lists(fields: &Fields<'_, '_>, key: &str) -> PyResult<Option<Duration>> {
    Ok(fields.optional(key)?.map(Duration::from_secs))
}

fn oauth(fields: &Fields<'_, '_>, key: &str) -> PyResult<Vec<OauthConfig>> {
    let oauth = fields.optional::<Bound<'_, PyAny>>(key)?;
    oauth.map_or_else(|| Ok(Vec::new()), |oauth| crate::oauth::configs(&oauth))
}

fn read_server(name: &str, mapping: &Bound<'_, PyAny>) -> PyResult<GatewayServer> {
    let fields = Fields::named(format!("server `{name}`"), mapping)?;
    let usual = UpstreamConfig::at(String::new());
    let upstream = build!(fields => UpstreamConfig {
        url: "url" => Fields::required,
        ca_pem: "ca" => Fields::optional,
        headers: "headers" => Fields::or_default,
        allow_link_local: "allow_link_local" => or(usual.allow_link_local),
        connect_timeout_ms: "connect_timeout_ms" => or(usual.connect_timeout_ms),
        answer_timeout_ms: "answer_timeout_ms" => or(usual.answer_timeout_ms),
        max_requests: "max_requests" => or(usual.max_requests),
        max_requests_per_grant: "max_requests_per_grant" => Fields::optional,
        max_idle_connections: "max_idle_connections" => or(usual.max_idle_connections),
        idle_timeout_ms: "idle_timeout_ms" => or(usual.idle_timeout_ms),
        list_limit_bytes: "list_limit_bytes" => or(usual.list_limit_bytes),
        probe: "probe" => or(usual.probe),
    } beside "pinning");
    let pinning = match fields.optional::<String>("pinning")? {
        None => Mode::default(),
        Some(word) => word
            .parse()
            .map_err(|error| fields.error(format!("`pinning`: {error}")))?,
    };
    Ok(GatewayServer { upstream, pinning })
}
