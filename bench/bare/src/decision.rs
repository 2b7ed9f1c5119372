//! `callgate.decision.v1.DecisionService`.

use callgate_proto::decision::v1::decision_service_server::DecisionService;
use callgate_proto::decision::v1::{
    CheckBatchRequest, CheckBatchResponse, CheckRequest, CheckResponse, CheckStreamRequest,
    CheckStreamResponse, GetApprovalRequest, GetApprovalResponse, Outcome, PeekRequest, PeekResponse,
    SettleRequest, SettleResponse, WatchApprovalRequest, WatchApprovalResponse,
};
use tokio_stream::StreamExt as _;
use tokio_stream::adapters::Map;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::reading::read_json;

/// Allows every call.
pub(crate) struct Bare;

fn answer(call: &CheckRequest) -> Result<CheckResponse, Status> {
    read_json(&call.args_json)?;
    Ok(CheckResponse {
        outcome: Outcome::Allow.into(),
        ..CheckResponse::default()
    })
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

    async fn peek(&self, _request: Request<PeekRequest>) -> Result<Response<PeekResponse>, Status> {
        Ok(Response::new(PeekResponse::default()))
    }

    async fn settle(&self, _request: Request<SettleRequest>) -> Result<Response<SettleResponse>, Status> {
        Ok(Response::new(SettleResponse { settled: false }))
    }

    async fn get_approval(
        &self,
        _request: Request<GetApprovalRequest>,
    ) -> Result<Response<GetApprovalResponse>, Status> {
        Err(Status::unimplemented("bare"))
    }

    type WatchApprovalStream = tokio_stream::Empty<Result<WatchApprovalResponse, Status>>;

    async fn watch_approval(
        &self,
        _request: Request<WatchApprovalRequest>,
    ) -> Result<Response<Self::WatchApprovalStream>, Status> {
        Err(Status::unimplemented("bare"))
    }
}
