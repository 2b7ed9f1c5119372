//! A decision service whose behaviour a test chooses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use callgate_load::{Calls, LoadError, Options, Report, Run, Target};
use callgate_proto::decision::v1 as pb;
use callgate_proto::decision::v1::decision_service_server::{DecisionService, DecisionServiceServer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming, async_trait};

/// The behaviour of the service.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// The begin of a silence, counted from the first call, and its length.
    pub(crate) stall: Option<(Duration, Duration)>,
    /// The additional silence of every other call.
    pub(crate) stagger: Duration,
    /// The service fails every n-th call with this status.
    pub(crate) fail_every: Option<(u64, tonic::Code)>,
    /// The token that callers must send.
    pub(crate) token: Option<String>,
    /// Answers to batches lack their last decision.
    pub(crate) is_short: bool,
    pub(crate) max_streams: Option<u32>,
    pub(crate) tls: Option<ServerTlsConfig>,
}

#[derive(Default)]
pub(crate) struct ReceivedCalls {
    pub(crate) calls: AtomicU64,
    in_flight: AtomicUsize,
    /// Calls in the silence, so far.
    pub(crate) waiting: AtomicUsize,
    pub(crate) most_in_flight: AtomicUsize,
    first: std::sync::OnceLock<Instant>,
}

#[derive(Clone)]
struct Service {
    behaviour: Behaviour,
    seen: Arc<ReceivedCalls>,
}

impl Service {
    /// Denies tools that begin with `no`, allows others.
    async fn decide(&self, call: &pb::CheckRequest) -> Result<pb::CheckResponse, Status> {
        let number = self.seen.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let first = *self.seen.first.get_or_init(Instant::now);
        let in_flight = self.seen.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.seen.most_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        if let Some((after, length)) = self.behaviour.stall
            && first.elapsed() >= after
        {
            self.seen.waiting.fetch_add(1, Ordering::Relaxed);
            let more = if number.is_multiple_of(2) {
                self.behaviour.stagger
            } else {
                Duration::ZERO
            };
            tokio::time::sleep((after + length + more).saturating_sub(first.elapsed())).await;
        }
        // Yields to others, so that calls in flight are visible.
        tokio::task::yield_now().await;
        self.seen.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some((every, code)) = self.behaviour.fail_every
            && number.is_multiple_of(every)
        {
            return Err(Status::new(code, "on purpose"));
        }
        let outcome = if call.tool.starts_with("no") {
            pb::Outcome::Deny
        } else {
            pb::Outcome::Allow
        };
        Ok(pb::CheckResponse {
            outcome: outcome.into(),
            rule: "/tools/t/require/x".to_owned(),
            ..pb::CheckResponse::default()
        })
    }

    fn known<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(token) = &self.behaviour.token else {
            return Ok(());
        };
        let sent = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        if sent == Some(&format!("Bearer {token}")) {
            Ok(())
        } else {
            Err(Status::unauthenticated("who asks?"))
        }
    }
}

#[async_trait]
impl DecisionService for Service {
    async fn check(&self, request: Request<pb::CheckRequest>) -> Result<Response<pb::CheckResponse>, Status> {
        self.known(&request)?;
        self.decide(request.get_ref()).await.map(Response::new)
    }

    async fn check_batch(
        &self,
        request: Request<pb::CheckBatchRequest>,
    ) -> Result<Response<pb::CheckBatchResponse>, Status> {
        self.known(&request)?;
        let mut decisions = Vec::new();
        for call in &request.get_ref().calls {
            decisions.push(self.decide(call).await?);
        }
        if self.behaviour.is_short {
            decisions.pop();
        }
        Ok(Response::new(pb::CheckBatchResponse { decisions }))
    }

    type CheckStreamStream =
        std::pin::Pin<Box<dyn Stream<Item = Result<pb::CheckStreamResponse, Status>> + Send>>;

    async fn check_stream(
        &self,
        request: Request<Streaming<pb::CheckStreamRequest>>,
    ) -> Result<Response<Self::CheckStreamStream>, Status> {
        self.known(&request)?;
        let service = self.clone();
        let answers = request.into_inner().then(move |message| {
            let service = service.clone();
            async move {
                let message = message?;
                let call = message.call.unwrap_or_default();
                let decision = service.decide(&call).await?;
                Ok(pb::CheckStreamResponse {
                    id: message.id,
                    decision: Some(decision),
                })
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn peek(&self, _request: Request<pb::PeekRequest>) -> Result<Response<pb::PeekResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn settle(
        &self,
        _request: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_approval(
        &self,
        _request: Request<pb::GetApprovalRequest>,
    ) -> Result<Response<pb::GetApprovalResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    type WatchApprovalStream = tokio_stream::Empty<Result<pb::WatchApprovalResponse, Status>>;

    async fn watch_approval(
        &self,
        _request: Request<pb::WatchApprovalRequest>,
    ) -> Result<Response<Self::WatchApprovalStream>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}

/// A running service; it ends when this is dropped or stopped.
pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) seen: Arc<ReceivedCalls>,
    runtime: Option<tokio::runtime::Runtime>,
    stop: Option<oneshot::Sender<()>>,
}

impl Running {
    /// Closes the listener, and every connection once its calls are answered.
    pub(crate) fn close(&mut self) {
        self.stop.take();
    }

    /// Closes every connection and the listener.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn serve(behaviour: Behaviour) -> Running {
    serve_at("127.0.0.1:0", behaviour)
}

pub(crate) fn serve_at(address: &str, behaviour: Behaviour) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(ReceivedCalls::default());
    let service = Service {
        behaviour: behaviour.clone(),
        seen: Arc::clone(&seen),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let mut server = Server::builder().max_concurrent_streams(behaviour.max_streams);
    if let Some(tls) = behaviour.tls {
        server = server.tls_config(tls).unwrap();
    }
    runtime.spawn(
        server
            .add_service(DecisionServiceServer::new(service))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                let _ = stopped.await;
            }),
    );
    Running {
        address,
        seen,
        runtime: Some(runtime),
        stop: Some(stop),
    }
}

pub(crate) fn calls() -> Calls {
    let lines =
        "{\"grant\": \"g\", \"tool\": \"yes\", \"args\": {\"a\": 1}}\n{\"grant\": \"g\", \"tool\": \"no\"}\n";
    Calls::parse("calls", lines.as_bytes()).unwrap()
}

/// Half a second of load without a warm-up.
pub(crate) fn options(address: &str) -> Options {
    Options {
        connections: 2,
        streams: 4,
        duration_ms: 500,
        warmup_ms: 0,
        timeout_ms: 5_000,
        ..Options::new(Target::parse(address).unwrap())
    }
}

pub(crate) fn run(options: Options) -> Result<Report, LoadError> {
    Run::start(options, &calls())?.finish()
}
