//! The floor of the load tests: plain tonic handlers that only parse their message and return a fixed allow.
//!
//! `callgate-bench-bare [--listen 127.0.0.1:9292] [--socket PATH] [--tls-certificate FILE --tls-key FILE]`

mod decision;
mod envoy;
mod options;
mod reading;

use std::error::Error;
use std::path::PathBuf;

use callgate_proto::decision::v1::decision_service_server::DecisionServiceServer;
use callgate_proto::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use decision::Bare;
use envoy::{BareAuthorization, BareRateLimits};
use options::Options;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::{Identity, Server, ServerTlsConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    let mut tcp = transport(options.tls.as_ref())?;
    let tcp = tcp.add_routes(services()).serve(options.listen);
    let Some(path) = options.socket else {
        return Ok(tcp.await?);
    };
    let incoming = UnixListenerStream::new(UnixListener::bind(path)?);
    let mut unix = transport(None)?;
    let unix = unix.add_routes(services()).serve_with_incoming(incoming);
    tokio::try_join!(tcp, unix)?;
    Ok(())
}

fn services() -> Routes {
    Routes::new(DecisionServiceServer::new(Bare))
        .add_service(AuthorizationServer::new(BareAuthorization))
        .add_service(RateLimitServiceServer::new(BareRateLimits))
}

fn transport(tls: Option<&(PathBuf, PathBuf)>) -> Result<Server, Box<dyn Error>> {
    let server = Server::builder().tcp_nodelay(true);
    let Some((certificate, key)) = tls else {
        return Ok(server);
    };
    let identity = Identity::from_pem(std::fs::read(certificate)?, std::fs::read(key)?);
    Ok(server.tls_config(ServerTlsConfig::new().identity(identity))?)
}
