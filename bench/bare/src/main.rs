//! The floor of the load tests: a bare tonic handler that only parses its message and answers a fixed allow.
//!
//! `callgate-bench-bare [--listen 127.0.0.1:9292]`

use std::error::Error;
use std::net::SocketAddr;

use callgate_proto::decision::v1::decision_service_server::{DecisionService, DecisionServiceServer};
use callgate_proto::decision::v1::{
    CheckBatchRequest, CheckBatchResponse, CheckRequest, CheckResponse, CheckStreamRequest,
    CheckStreamResponse, Outcome, SettleRequest, SettleResponse,
};
use serde::de::IgnoredAny;
use tokio_stream::StreamExt as _;
use tokio_stream::adapters::Map;
use tonic::{Request, Response, Status, Streaming, async_trait};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEFAULT_LISTEN: &str = "127.0.0.1:9292";

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
    let listen = listen_address(std::env::args().skip(1))?;
    tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(DecisionServiceServer::new(Bare))
        .serve(listen)
        .await?;
    Ok(())
}

fn listen_address(mut arguments: impl Iterator<Item = String>) -> Result<SocketAddr, Box<dyn Error>> {
    let listen = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, _, _) => DEFAULT_LISTEN.to_owned(),
        (Some("--listen"), Some(listen), None) => listen,
        _ => return Err("expected no arguments or `--listen ADDRESS`".into()),
    };
    listen
        .parse()
        .map_err(|_| format!("expected an IP address and a port, got `{listen}`").into())
}

#[cfg(test)]
mod tests {
    use super::listen_address;

    #[test]
    fn arguments() {
        let parse = |words: &[&str]| listen_address(words.iter().map(ToString::to_string));
        assert_eq!(parse(&[]).unwrap().port(), 9292);
        assert_eq!(parse(&["--listen", "127.0.0.1:7"]).unwrap().port(), 7);
        assert!(parse(&["--listen"]).is_err());
        assert!(parse(&["--port", "7"]).is_err());
    }
}
