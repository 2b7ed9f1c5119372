//! The ways to a server, by its URL.

use std::time::Duration;

use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode,
};

use crate::cluster::{Address, Cluster};
use crate::config::SharedConfig;
use crate::error::SharedError;
use crate::link::{Link, opened, with_patience};

/// The scheme of Sentinels in a URL; TLS has `rediss+sentinel://`.
const SENTINEL: &str = "+sentinel://";
/// The scheme of a Redis Cluster in a URL; TLS has `rediss+cluster://`.
const CLUSTER: &str = "+cluster://";
const PLAIN: &str = "redis";
const TLS: &str = "rediss";

/// The ways to a server.
pub(crate) enum Route {
    /// Always the same.
    Server(Box<Client>),
    /// The master that Sentinels name.
    Sentinel(Box<SentinelClient>),
    /// The master of a policy's shard.
    Cluster(Box<Cluster>),
}

impl Route {
    /// Reads the URL.
    pub(crate) fn new(config: &SharedConfig) -> Result<Self, SharedError> {
        for tls in [false, true] {
            let url = config.url.strip_prefix(if tls { TLS } else { PLAIN });
            if let Some(rest) = url.and_then(|url| url.strip_prefix(SENTINEL)) {
                return sentinel(rest, tls, config);
            }
            if let Some(rest) = url.and_then(|url| url.strip_prefix(CLUSTER)) {
                return cluster(rest, tls, config);
            }
        }
        let info = config.url.as_str().into_connection_info().map_err(url_error)?;
        let info = with_password(info, config.password.as_deref());
        let client = if config.url.starts_with("rediss://") {
            Client::build_with_tls(info, certificates(config))
        } else {
            Client::open(info)
        };
        client
            .map(|client| Self::Server(Box::new(client)))
            .map_err(url_error)
    }

    /// The same way for another policy, if each policy has a way of its own.
    pub(crate) fn fork(&self) -> Option<Self> {
        match self {
            Self::Cluster(cluster) => Some(Self::Cluster(cluster.clone())),
            Self::Server(_) | Self::Sentinel(_) => None,
        }
    }

    /// Connects to the server that has a key, and looks at it. Takes no longer than `patience` for each answer.
    pub(crate) async fn connect(&mut self, key: &str, patience: Duration) -> Result<Link, SharedError> {
        let config = with_patience(patience);
        let connection = match self {
            Self::Server(client) => {
                opened(
                    client.get_multiplexed_async_connection_with_config(&config),
                    patience,
                )
                .await?
            }
            Self::Sentinel(client) => {
                opened(client.get_async_connection_with_config(&config), patience).await?
            }
            Self::Cluster(cluster) => return cluster.connect(key, patience).await,
        };
        Link::new(connection, false).await
    }
}

/// Reads what follows the scheme of Sentinels: `USER@HOST:PORT,HOST:PORT/MASTER`.
fn sentinel(rest: &str, is_tls: bool, config: &SharedConfig) -> Result<Route, SharedError> {
    let (user, rest) = user(rest)?;
    let (hosts, name) = rest
        .split_once('/')
        .filter(|(_, name)| !name.is_empty())
        .ok_or_else(|| SharedError::Url("expected the name of a master behind the Sentinels".to_owned()))?;
    let addresses = addresses(hosts)?;
    let addresses = addresses
        .into_iter()
        .map(|address| ConnectionAddr::Tcp(address.host, address.port))
        .collect::<Vec<_>>();
    let mut builder =
        SentinelClientBuilder::new(addresses, name, SentinelServerType::Master).map_err(url_error)?;
    if let Some(user) = user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &config.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if is_tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates(config));
    }
    let client = builder.build().map_err(url_error)?;
    Ok(Route::Sentinel(Box::new(client)))
}

/// Reads what follows the scheme of a cluster: `USER@HOST:PORT,HOST:PORT`.
fn cluster(rest: &str, is_tls: bool, config: &SharedConfig) -> Result<Route, SharedError> {
    let (user, hosts) = user(rest)?;
    let mut settings = RedisConnectionInfo::default();
    if let Some(user) = user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &config.password {
        settings = settings.set_password(password);
    }
    let cluster = Cluster::new(addresses(hosts)?, settings, is_tls, config.ca_pem.clone());
    Ok(Route::Cluster(Box::new(cluster)))
}

/// The user's name before `@`, and what follows it.
fn user(rest: &str) -> Result<(Option<String>, &str), SharedError> {
    let Some((user, rest)) = rest.rsplit_once('@') else {
        return Ok((None, rest));
    };
    let user =
        decoded(user).ok_or_else(|| SharedError::Url("expected a user's name before `@`".to_owned()))?;
    Ok((Some(user), rest))
}

fn addresses(hosts: &str) -> Result<Vec<Address>, SharedError> {
    let addresses = hosts.split(',').map(Address::parse).collect::<Option<Vec<_>>>();
    addresses
        .filter(|addresses| addresses.iter().all(|address| !address.host.is_empty()))
        .ok_or_else(|| SharedError::Url("expected `HOST:PORT` for each host".to_owned()))
}

fn certificates(config: &SharedConfig) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: config.ca_pem.clone(),
    }
}

/// The library's error may hold the URL, and that a secret.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` needs")]
fn url_error(error: RedisError) -> SharedError {
    SharedError::Url(error.category().to_owned())
}

/// A part of a URL without its `%` forms.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            after.get(2..)?
        } else {
            bytes.push(*first);
            after
        };
    }
    String::from_utf8(bytes).ok()
}

fn with_password(info: ConnectionInfo, password: Option<&str>) -> ConnectionInfo {
    let Some(password) = password else { return info };
    let settings = info.redis_settings().clone().set_password(password);
    info.set_redis_settings(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_url_are_decoded() {
        assert_eq!(decoded("a%40b").as_deref(), Some("a@b"));
        assert_eq!(decoded("plain").as_deref(), Some("plain"));
        for broken in ["a%4", "a%zz", "a%ff"] {
            assert_eq!(decoded(broken), None);
        }
    }

    #[test]
    fn urls_are_read() {
        let config = |url: &str| SharedConfig {
            url: url.to_owned(),
            password: Some("secret".to_owned()),
            ca_pem: None,
            prefix: "callgate".to_owned(),
            lease: Duration::from_secs(10),
            recovery: None,
            budget: Duration::from_millis(50),
        };
        for url in [
            "redis://127.0.0.1:6379/2",
            "redis://me@redis.example",
            "rediss://redis.example:6380",
            "unix:///run/redis.sock",
            "redis+sentinel://a:26379,b:26379/main",
            "rediss+sentinel://me%40x@[::1]:26379/main",
            "redis+cluster://a:6379",
            "rediss+cluster://me%40x@a:6379,[::1]:6380",
        ] {
            assert!(Route::new(&config(url)).is_ok(), "{url}");
        }
        for url in [
            "http://x",
            "redis+sentinel://a:26379",
            "redis+sentinel://a:26379/",
            "redis+sentinel://a/main",
            "redis+sentinel:///main",
            "redis+cluster://",
            "redis+cluster://:6379",
            "redis+cluster://a",
            "redis+cluster://a:6379,b",
            "redis+cluster://me%zz@a:6379",
        ] {
            let error = Route::new(&config(url)).err().map(|error| error.to_string());
            assert!(
                error
                    .as_ref()
                    .is_some_and(|error| error.contains("counters.shared.url") && !error.contains("secret")),
                "{url}: {error:?}"
            );
        }
    }
}
