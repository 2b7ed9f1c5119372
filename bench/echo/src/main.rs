//! The server behind the gateways of the load tests. It answers every message with that message, as fast as hyper can,
//! and keeps open the streams that clients request by `GET`.
//!
//! `callgate-bench-echo ADDRESS`

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The first event of a stream: a client that receives it knows that the whole way to the server is open.
const FIRST_EVENT: &[u8] =
    b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"open\"}}\n\n";

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The members of a message that are needed to answer it.
#[derive(Deserialize)]
struct Message {
    id: u64,
    #[serde(rename = "params")]
    _params: IgnoredAny,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .ok_or("expected the address to listen on, such as 127.0.0.1:8081")?;
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("expected an IP address and a port, got `{address}`"))?;
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
    // A connection that breaks is no failure of this server; the bench counts its own answers.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    if request.method() == Method::GET {
        let first = tokio_stream::once(Ok(Frame::data(Bytes::from_static(FIRST_EVENT))));
        let events = StreamBody::new(first.chain(tokio_stream::pending()));
        return reply("text/event-stream", BodyExt::boxed_unsync(events));
    }
    let Ok(body) = request.into_body().collect().await else {
        return refused();
    };
    let body = body.to_bytes();
    let Ok(Message { id, .. }) = serde_json::from_slice(&body) else {
        return refused();
    };
    let head =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[],\"structuredContent\":");
    let echo = [head.as_bytes(), &body, b"}}"].concat();
    reply("application/json", Full::from(echo).boxed_unsync())
}

fn reply(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn refused() -> Response<Body> {
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
