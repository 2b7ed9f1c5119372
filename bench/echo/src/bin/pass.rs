//! The floor of the gateway: a proxy built from the same libraries. It reads each request completely, forwards it,
//! streams the reply back, and decides nothing.
//!
//! `callgate-bench-pass ADDRESS URL`

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Upstream = Client<HttpConnector, Full<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("expected the address to listen on and the URL of the server".into());
    };
    let (address, url): (SocketAddr, Uri) = (address.parse()?, url.parse()?);
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let upstream = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, upstream.clone(), url.clone()));
    }
}

async fn serve(stream: TcpStream, upstream: Upstream, url: Uri) {
    let service = service_fn(|request| pass(&upstream, &url, request));
    // A connection that breaks is no failure of this proxy; the bench counts its own answers.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn pass(
    upstream: &Upstream,
    url: &Uri,
    request: Request<Incoming>,
) -> Result<Response<Incoming>, Box<dyn Error + Send + Sync>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    parts.headers.remove(http::header::HOST);
    parts.uri = url.clone();
    let request = Request::from_parts(parts, Full::from(body));
    Ok(upstream.request(request).await?)
}
