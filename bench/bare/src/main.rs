//! The floor of the load tests: a bare tonic handler that only parses its message and answers a fixed allow.
//!
//! `callgate-bench-bare [--listen 127.0.0.1:9292] [--socket PATH] [--tls-certificate FILE --tls-key FILE]`

mod options;

use std::error::Error;
use std::path::PathBuf;

use callgate_proto::decision::v1::decision_service_server::{DecisionService, DecisionServiceServer};
use callgate_proto::decision::v1::{
    CheckBatchRequest, CheckBatchResponse, CheckRequest, CheckResponse, CheckStreamRequest,
    CheckStreamResponse, Outcome, SettleRequest, SettleResponse,
};
use options::Options;
use serde::de::IgnoredAny;
use tokio::net::UnixListener;
use tokio_stream::StreamExt as _;
use tokio_stream::adapters::Map;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming, async_trait};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Bare;

/// What a decision cannot do without: reading the arguments to their end.
fn answer(call: &CheckRequest) -> Result<CheckResponse, Status> {
    match serde_json::from_slice::<IgnoredAny>(&call.args_json) {
        Ok(IgnoredAny) => Ok(CheckResponse {
            outcome: Outcome::Allow.into(),
            ..CheckResponse::default()
        }),
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    }
}

fn answer_in_stream(message: Result<CheckStreamRequest, Status>) -> Result<CheckStreamResponse, Status> {
    let CheckStreamRequest { id, call } = message?;
    let decision = Some(answer(&call.unwrap_or_default())?);
    Ok(CheckStreamResponse { id, decision })
}

type Answers = Map<
    Streaming<CheckStreamRequest>,
    fn(Result<CheckStreamRequest, Status>) -> Result<CheckStreamResponse, Status>,
>;

#[async_trait]
impl DecisionService for Bare {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        answer(request.get_ref()).map(Response::new)
    }

    async fn check_batch(
        &self,
        request: Request<CheckBatchRequest>,
    ) -> Result<Response<CheckBatchResponse>, Status> {
        let decisions: Result<Vec<_>, _> = request.get_ref().calls.iter().map(answer).collect();
        decisions.map(|decisions| Response::new(CheckBatchResponse { decisions }))
    }

    type CheckStreamStream = Answers;

    async fn check_stream(
        &self,
        request: Request<Streaming<CheckStreamRequest>>,
    ) -> Result<Response<Answers>, Status> {
        Ok(Response::new(request.into_inner().map(answer_in_stream)))
    }

    async fn settle(&self, _request: Request<SettleRequest>) -> Result<Response<SettleResponse>, Status> {
        Ok(Response::new(SettleResponse { settled: false }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read(std::env::args().skip(1))?;
    let mut tcp = transport(options.tls.as_ref())?;
    let tcp = tcp
        .add_service(DecisionServiceServer::new(Bare))
        .serve(options.listen);
    let Some(path) = options.socket else {
        return Ok(tcp.await?);
    };
    let incoming = UnixListenerStream::new(UnixListener::bind(path)?);
    let mut unix = transport(None)?;
    let unix = unix
        .add_service(DecisionServiceServer::new(Bare))
        .serve_with_incoming(incoming);
    tokio::try_join!(tcp, unix)?;
    Ok(())
}

fn transport(tls: Option<&(PathBuf, PathBuf)>) -> Result<Server, Box<dyn Error>> {
    let server = Server::builder().tcp_nodelay(true);
    let Some((certificate, key)) = tls else {
        return Ok(server);
    };
    let identity = Identity::from_pem(std::fs::read(certificate)?, std::fs::read(key)?);
    Ok(server.tls_config(ServerTlsConfig::new().identity(identity))?)
}
