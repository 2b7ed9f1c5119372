//! The `proxies` argument of `Server`: a mapping, converted to the data plane's configuration.

use callgate_mcp::Methods;
use callgate_server::{IdentitySource, ProxyConfig, ServerSource};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::error::Error;

const KEYS: &str = "`identity`, `server`, `hosts`, `paths`, `methods`, `tool_errors`, `mcp_metadata`";
const IDENTITY: &str = "a list of `(\"token\",)`, `(\"spiffe\",)`, `(\"header\", NAME)` or `(\"metadata\", NAMESPACE, KEY, ...)`";
const SERVER: &str =
    "a list of `(\"path\",)`, `(\"host\",)` `(\"token\",)`, `(\"always\", NAME)` or `(\"extension\", NAME)`";

/// Reads the mapping; an absent key has the default of [`ProxyConfig`].
pub(crate) fn config(proxies: &Bound<'_, PyMapping>) -> PyResult<ProxyConfig> {
    let mut config = ProxyConfig::default();
    for item in proxies.items()?.iter() {
        let (key, value): (String, Bound<'_, PyAny>) = item
            .extract()
            .map_err(|_| config_error("expected its keys to be strings".to_owned()))?;
        match key.as_str() {
            "identity" => config.identity = sources(&key, &value, IDENTITY, identity)?,
            "server" => config.server = sources(&key, &value, SERVER, server)?,
            "hosts" => {
                config.hosts = value
                    .extract()
                    .map_err(|_| wrong_value(&key, "servers by lower-case host"))?;
            }
            "paths" => {
                let paths: Vec<String> = value
                    .extract()
                    .map_err(|_| wrong_value(&key, "a list of paths"))?;
                let parsed = paths.iter().map(|path| {
                    path.parse()
                        .map_err(|error| config_error(format!("`paths`: bad path `{path}`: {error}")))
                });
                config.paths = parsed.collect::<PyResult<_>>()?;
            }
            "methods" => {
                let (allow, deny): (Vec<String>, Vec<String>) = value
                    .extract()
                    .map_err(|_| wrong_value(&key, "two lists of methods, those allowed and those denied"))?;
                config.methods = Methods::new(&allow, &deny)
                    .map_err(|error| config_error(format!("`methods`: {error}")))?;
            }
            "tool_errors" => {
                config.tool_errors = value.extract().map_err(|_| wrong_value(&key, "a boolean"))?;
            }
            "mcp_metadata" => {
                config.mcp_metadata = value
                    .extract()
                    .map_err(|_| wrong_value(&key, "a namespace of dynamic metadata, or `None`"))?;
            }
            _ => return Err(config_error(format!("unknown key `{key}`, expected {KEYS}"))),
        }
    }
    Ok(config)
}

fn sources<T>(
    key: &str,
    value: &Bound<'_, PyAny>,
    expected: &str,
    source: impl Fn(&[&str]) -> Option<T>,
) -> PyResult<Vec<T>> {
    let words: Vec<Vec<String>> = value.extract().map_err(|_| wrong_value(key, expected))?;
    let read = words.iter().map(|words| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        source(&words).ok_or_else(|| wrong_value(key, expected))
    });
    read.collect()
}

fn identity(words: &[&str]) -> Option<IdentitySource> {
    match words {
        ["token"] => Some(IdentitySource::Token),
        ["spiffe"] => Some(IdentitySource::Spiffe),
        ["header", name] => Some(IdentitySource::Header((*name).to_owned())),
        ["metadata", namespace, path @ ..] if !path.is_empty() => Some(IdentitySource::Metadata {
            namespace: (*namespace).to_owned(),
            path: path.iter().map(|&key| key.to_owned()).collect(),
        }),
        _ => None,
    }
}

fn server(words: &[&str]) -> Option<ServerSource> {
    match words {
        ["path"] => Some(ServerSource::Path),
        ["host"] => Some(ServerSource::Host),
        ["token"] => Some(ServerSource::Token),
        ["always", name] => Some(ServerSource::Always((*name).to_owned())),
        ["extension", name] => Some(ServerSource::Extension((*name).to_owned())),
        _ => None,
    }
}

fn wrong_value(key: &str, expected: &str) -> PyErr {
    config_error(format!("`{key}`: expected {expected}"))
}

fn config_error(message: String) -> PyErr {
    Error::Value("proxies".to_owned(), message).into()
}
