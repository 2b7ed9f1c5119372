//! Connections to whom the configuration names.

use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

use super::config::UpstreamError;
use super::patient::Patient;
use super::resolver::Resolver;
use super::tls;
use crate::pool::Wired;

/// Makes connections over HTTP/1.1, with TLS or without.
pub(crate) type Connector = Patient<HttpsConnector<Wired<HttpConnector<Resolver>>>>;

/// One that believes these authorities, else the system's, and gives up a connection that takes longer than `patience`.
pub(crate) fn connector(
    ca_pem: Option<&[u8]>,
    is_secure: bool,
    allows_link_local: bool,
    patience: Duration,
) -> Result<Connector, UpstreamError> {
    let mut connector = HttpConnector::new_with_resolver(Resolver::new(allows_link_local));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Divided by the addresses of a name, so that each of them is tried.
    connector.set_connect_timeout(Some(patience));
    let roots = if is_secure {
        tls::client(ca_pem)?
    } else {
        tls::nothing()?
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(roots)
        .https_or_http()
        .enable_http1()
        .wrap_connector(Wired(connector));
    Ok(Patient::new(connector, patience))
}
