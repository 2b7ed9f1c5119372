//! The shards of a Redis Cluster.
//!
//! All keys of a policy are on one shard. Each policy has a plain connection to the master of its shard, because the
//! identity of that one server dates its counts: a client that follows shards by itself would hide a failover.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates};

use crate::error::SharedError;
use crate::link::{Link, opened, told, with_patience};

/// Redirections that are followed from one node.
const MOST_MOVES: usize = 5;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads `HOST:PORT`. The host may be empty or `?` in a redirection: it is the host that was asked.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let host = if host == "?" { "" } else { host };
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

/// The way to the shards. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Cluster {
    seeds: Vec<Address>,
    settings: RedisConnectionInfo,
    is_tls: bool,
    /// Certificates in PEM that are trusted over TLS; those of the machine without them.
    ca_pem: Option<Vec<u8>>,
    links: Arc<Mutex<HashMap<Address, Link>>>,
    /// The node that had the policy last.
    last: Option<Address>,
}

impl Cluster {
    /// The cluster to which these nodes belong.
    pub(crate) fn new(
        seeds: Vec<Address>,
        settings: RedisConnectionInfo,
        is_tls: bool,
        ca_pem: Option<Vec<u8>>,
    ) -> Self {
        Self {
            seeds,
            settings,
            is_tls,
            ca_pem,
            links: Arc::default(),
            last: None,
        }
    }

    /// Connects to the master of a key's shard, by the first node that answers.
    pub(crate) async fn connect(&mut self, key: &str, patience: Duration) -> Result<Link, SharedError> {
        let mut fault = SharedError::Connection("no node of the cluster is known".to_owned());
        let nodes: Vec<Address> = self.last.iter().chain(&self.seeds).cloned().collect();
        for node in nodes {
            match self.follow(node, key, patience).await {
                Ok((address, link)) => {
                    self.last = Some(address);
                    return Ok(link);
                }
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    /// Asks a node for a key, and goes where it says.
    async fn follow(
        &self,
        first: Address,
        key: &str,
        patience: Duration,
    ) -> Result<(Address, Link), SharedError> {
        let mut at = first;
        for _ in 0..MOST_MOVES {
            let named = |error: SharedError| match error {
                SharedError::Connection(text) => {
                    SharedError::Connection(format!("{}:{}: {text}", at.host, at.port))
                }
                SharedError::Server(text) => SharedError::Server(format!("{}:{}: {text}", at.host, at.port)),
                other => other,
            };
            let known = self.known(&at);
            let connection = match &known {
                Some(link) => link.connection(),
                None => self.open(&at, patience).await.map_err(named)?,
            };
            match owner(connection.clone(), key).await {
                Ok(None) => {
                    // A server that was a replica meanwhile has another identity on the same connection.
                    let found = Link::new(connection, true).await.map_err(named)?;
                    let link = match known {
                        Some(link) if link.identity == found.identity => link,
                        Some(link) => {
                            link.give_up();
                            found
                        }
                        None => found,
                    };
                    self.keep(&at, &link);
                    return Ok((at, link));
                }
                Ok(Some(next)) => {
                    // A node without a name of its own is the host that was asked, at another port.
                    let host = if next.host.is_empty() { at.host } else { next.host };
                    at = Address { host, ..next };
                }
                Err(error) => {
                    if let Some(link) = known {
                        link.give_up();
                    }
                    return Err(named(error));
                }
            }
        }
        Err(SharedError::Connection(
            "the nodes of the cluster send from one to the other".to_owned(),
        ))
    }

    async fn open(&self, at: &Address, patience: Duration) -> Result<MultiplexedConnection, SharedError> {
        let error = |error: RedisError| SharedError::Connection(told(&error));
        let Address { host, port } = at.clone();
        let address = if self.is_tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = address.into_connection_info().map_err(error)?;
        let info = info.set_redis_settings(self.settings.clone());
        let client = if self.is_tls {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: self.ca_pem.clone(),
            };
            Client::build_with_tls(info, certificates)
        } else {
            Client::open(info)
        };
        let client = client.map_err(error)?;
        let config = with_patience(patience);
        opened(
            client.get_multiplexed_async_connection_with_config(&config),
            patience,
        )
        .await
    }

    fn known(&self, at: &Address) -> Option<Link> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(at).filter(|link| !link.is_given_up()).cloned()
    }

    fn keep(&self, at: &Address, link: &Link) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, link| !link.is_given_up());
        links.insert(at.clone(), link.clone());
    }
}

/// The node that has a key, if it is not the one that is asked.
async fn owner(mut connection: MultiplexedConnection, key: &str) -> Result<Option<Address>, SharedError> {
    let mut exists = redis::cmd("EXISTS");
    let answer: Result<i64, RedisError> = exists.arg(key).query_async(&mut connection).await;
    match answer {
        Ok(_) => Ok(None),
        Err(error) => match error.redirect_node().map(|(node, _)| Address::parse(node)) {
            Some(Some(next)) => Ok(Some(next)),
            _ => Err(SharedError::Connection(told(&error))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_are_read() {
        for (text, host, port) in [
            ("10.0.0.7:6381", "10.0.0.7", 6381),
            (":6381", "", 6381),
            ("?:6381", "", 6381),
            ("fd00::7:6381", "fd00::7", 6381),
            ("[fd00::7]:6381", "fd00::7", 6381),
            ("redis-1.example:1", "redis-1.example", 1),
        ] {
            let address = Address {
                host: host.to_owned(),
                port,
            };
            assert_eq!(Address::parse(text), Some(address), "{text}");
        }
        for text in ["", "host", "host:", "host:x", "host:65536"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
