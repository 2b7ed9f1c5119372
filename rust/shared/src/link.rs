//! The connection to Redis.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError, Script,
    TlsCertificates, TlsMode, Value,
};

use crate::config::SharedConfig;
use crate::error::SharedError;

/// The scheme of Sentinels in a URL; TLS has `rediss+sentinel://`.
const SENTINEL: &str = "redis+sentinel://";
const SENTINEL_TLS: &str = "rediss+sentinel://";
/// The oldest version of Redis whose scripts do what ours needs.
const OLDEST: u64 = 7;

/// The ways to a server.
pub(crate) enum Route {
    /// Always the same.
    Server(Box<Client>),
    /// The master that Sentinels name.
    Sentinel(Box<SentinelClient>),
}

/// An open connection to a master, whose properties were looked at.
#[derive(Clone)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    /// What the server has kept since this identity is its own: it changes with each restart and each promotion.
    pub(crate) identity: Identity,
}

/// A server that has kept its data since it got this identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(String);

impl Identity {
    /// The identity as a word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Route {
    /// Reads the URL.
    pub(crate) fn new(config: &SharedConfig) -> Result<Self, SharedError> {
        // The library's error may hold the URL, and that a secret.
        let error = |error: RedisError| SharedError::Url(error.category().to_owned());
        let (is_tls, sentinels) = match (
            config.url.strip_prefix(SENTINEL),
            config.url.strip_prefix(SENTINEL_TLS),
        ) {
            (Some(rest), _) => (false, Some(rest)),
            (_, Some(rest)) => (true, Some(rest)),
            _ => (config.url.starts_with("rediss://"), None),
        };
        let certificates = || TlsCertificates {
            client_tls: None,
            root_cert: config.ca_pem.clone(),
        };
        let Some(sentinels) = sentinels else {
            let info = config.url.as_str().into_connection_info().map_err(error)?;
            let info = with_password(info, config.password.as_deref());
            let client = if is_tls {
                Client::build_with_tls(info, certificates())
            } else {
                Client::open(info)
            };
            return client.map(|client| Self::Server(Box::new(client))).map_err(error);
        };
        let (user, rest) = sentinels
            .rsplit_once('@')
            .map_or((None, sentinels), |(user, rest)| (Some(user), rest));
        let (hosts, name) = rest
            .split_once('/')
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| {
                SharedError::Url("expected the name of a master behind the Sentinels".to_owned())
            })?;
        let addresses = hosts
            .split(',')
            .map(|host| {
                let (host, port) = host.rsplit_once(':')?;
                let host = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'))
                    .unwrap_or(host);
                Some(ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| SharedError::Url("expected `HOST:PORT` for each Sentinel".to_owned()))?;
        let mut builder =
            SentinelClientBuilder::new(addresses, name, SentinelServerType::Master).map_err(error)?;
        if let Some(user) = user {
            let user = decoded(user)
                .ok_or_else(|| SharedError::Url("expected a user's name before `@`".to_owned()))?;
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &config.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if is_tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(certificates());
        }
        let client = builder.build().map_err(error)?;
        Ok(Self::Sentinel(Box::new(client)))
    }

    /// Connects, and looks at the server. Takes no longer than `patience` for each of both.
    pub(crate) async fn connect(&mut self, patience: Duration) -> Result<Link, SharedError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let connected = async {
            match self {
                Self::Server(client) => client.get_multiplexed_async_connection_with_config(&config).await,
                Self::Sentinel(client) => client.get_async_connection_with_config(&config).await,
            }
        };
        let connection = tokio::time::timeout(2 * patience, connected).await;
        let mut connection = match connection {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(SharedError::Connection(told(&error))),
            Err(_) => return Err(SharedError::Connection("the store does not answer".to_owned())),
        };
        let info = redis::cmd("INFO");
        let info: Result<String, RedisError> = info.query_async(&mut connection).await;
        let info = info.map_err(|error| SharedError::Connection(told(&error)))?;
        let identity = look_at(&info)?;
        Ok(Link { connection, identity })
    }
}

impl Link {
    /// Runs a script as one step.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[String],
        args: &[String],
    ) -> Result<Value, SharedError> {
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        for arg in args {
            call.arg(arg);
        }
        let mut connection = self.connection.clone();
        let answer: Result<Value, RedisError> = call.invoke_async(&mut connection).await;
        answer.map_err(|error| SharedError::Connection(told(&error)))
    }
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

/// An error in words, without secrets.
fn told(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.category()),
        None => error.to_string(),
    }
}

/// The identity of a server, or the reason why counts must not be kept there.
fn look_at(info: &str) -> Result<Identity, SharedError> {
    let field = |name: &str| {
        let lines = info.lines();
        lines
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.trim())
    };
    let error = |message: String| Err(SharedError::Server(message));
    let (Some(run_id), Some(version)) = (field("run_id"), field("redis_version")) else {
        return error(
            "the store does not say which server it is (`INFO` lacks `run_id` or `redis_version`); expected Redis 7 or \
             later, or what speaks its protocol"
                .to_owned(),
        );
    };
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u64>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return error(format!(
            "the store is Redis {version}, expected version {OLDEST} or later"
        ));
    }
    if let Some(role) = field("role").filter(|role| *role != "master") {
        return error(format!(
            "the store is a {role}, which cannot be written to; expected the master, or a URL of its Sentinels"
        ));
    }
    if let Some(policy) = field("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        return error(format!(
            "the store has `maxmemory-policy {policy}`, so it may forget counts; expected `noeviction`"
        ));
    }
    let replication = field("master_replid").unwrap_or_default();
    Ok(Identity(format!("{run_id}/{replication}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\nmaster_replid:def\r\nmaxmemory_policy:noeviction\r\n";

    #[test]
    fn a_server_is_known_by_its_run_and_its_history() {
        assert_eq!(look_at(INFO).unwrap().as_str(), "abc/def");
        let without = INFO.replace("master_replid:def\r\n", "");
        assert_eq!(look_at(&without).unwrap().as_str(), "abc/");
    }

    #[test]
    fn a_server_that_may_lose_counts_is_refused() {
        for (from, to, message) in [
            ("run_id:abc", "x:y", "does not say which server"),
            ("redis_version:7.0.15", "redis_version:6.2.1", "Redis 6.2.1"),
            ("redis_version:7.0.15", "redis_version:new", "Redis new"),
            ("role:master", "role:slave", "is a slave"),
            ("noeviction", "allkeys-lru", "maxmemory-policy allkeys-lru"),
        ] {
            let error = look_at(&INFO.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

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
        ] {
            assert!(Route::new(&config(url)).is_ok(), "{url}");
        }
        for url in [
            "http://x",
            "redis+sentinel://a:26379",
            "redis+sentinel://a:26379/",
            "redis+sentinel://a/main",
            "redis+sentinel:///main",
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
