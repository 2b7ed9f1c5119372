//! TLS handshakes.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::doors::Services;
use crate::identity::{Peer, names_in};
use crate::tls::Tls;

/// A client that has not finished its handshake by then is cut off.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Shakes hands, under the certificates of this moment. One that fails is counted and logged.
pub(super) async fn shake(
    tls: Tls,
    stream: TcpStream,
    services: Arc<Services>,
) -> Option<(TlsStream<TcpStream>, Peer)> {
    let accepting = TlsAcceptor::from(tls.current()).accept(stream);
    match tokio::time::timeout(TIMEOUT, accepting).await {
        Ok(Ok(stream)) => {
            let peer = Peer {
                uid: None,
                certificate_names: certificate_names(&stream),
            };
            Some((stream, peer))
        }
        Ok(Err(error)) => {
            services.gate.failed_handshake(&error.to_string());
            None
        }
        Err(_) => {
            services.gate.failed_handshake("it took too long");
            None
        }
    }
}

/// Names of the client's certificate, which the handshake has verified.
fn certificate_names(stream: &TlsStream<TcpStream>) -> Vec<String> {
    let (_, connection) = stream.get_ref();
    let own = connection.peer_certificates().and_then(<[_]>::first);
    own.map(|certificate| names_in(certificate)).unwrap_or_default()
}
