//! Addresses that no server of anybody's is at.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

/// The addresses of metadata services of clouds, which give out credentials, beyond the link-local networks: AWS over
/// IPv6, Alibaba, Azure, Oracle.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// Returns true if an address is link-local, or that of a cloud's metadata service.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
}

/// The system's resolver, without what [`is_link_local`] says unless that is allowed.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    system: GaiResolver,
    allows_link_local: bool,
}

impl Resolver {
    pub(super) fn new(allows_link_local: bool) -> Self {
        Self {
            system: GaiResolver::new(),
            allows_link_local,
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allows = self.allows_link_local;
        let found = self.system.call(name);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = found
                .await?
                .filter(|address| allows || !is_link_local(address.ip()))
                .collect();
            if addresses.is_empty() {
                return Err(io::Error::other(
                    "its name leads to link-local or metadata addresses alone; set `allow_link_local` if that is meant",
                ));
            }
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_known_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(is_link_local(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "100.64.0.1"] {
            assert!(!is_link_local(address.parse().unwrap()), "{address}");
        }
    }
}
