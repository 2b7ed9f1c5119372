//! callgate's data plane: decisions over gRPC and plain HTTP, on one TCP port and on a Unix socket.
//!
//! [`Server::start`] puts an [`Engine`](callgate_core::Engine) behind `callgate.decision.v1.DecisionService`,
//! `envoy.service.ratelimit.v3.RateLimitService`, `grpc.health.v1.Health`, server reflection and `POST /v1/check`. It runs on threads of its own, so whoever started
//! it (the Python control plane, a test) may block as it likes. Whatever a call holds, it gets a decision
//! (`docs/policy.md` section 5); an error status is for what is no request at all.

mod apart;
mod approvals;
mod audit;
mod bodies;
mod candidate;
mod clock;
mod config;
mod deadline;
mod doors;
mod error;
mod events;
mod feed;
mod flood;
mod flush;
mod freeze_file;
mod gate;
mod identity;
mod in_force;
mod ingress;
mod issuer_keys;
mod judging;
mod limits;
mod listed_tools;
mod listener;
mod metrics;
mod net;
mod passes;
mod phase;
mod protocol;
mod proxy;
mod random;
#[cfg(test)]
mod rooms;
mod server;
mod shared_store;
#[cfg(test)]
mod testing;
mod threads;
mod tls;
mod upkeep;
mod upstream_probes;

pub use approvals::{
    ApprovalChannel, ApprovalState, ApprovalView, Approvals, ApprovalsConfig, GivenBack, LookError,
    OpenQuestion, Questions, QuestionsTaken, Reply,
};
pub use audit::{AuditConfig, AuditHead, AuditMode, AuditSigning, AuditTarget, EVERY_ALLOW, KeyPem};
pub use callgate_gateway::{UpstreamConfig, UpstreamError};
pub use candidate::{CandidateChange, CandidateExample, CandidateReport};
pub use clock::{Clock, ManualClock, SystemClock, read_clocks};
pub use config::ServerConfig;
#[cfg(feature = "bench")]
pub use doors::bench;
pub use doors::stdio::{Wrap, WrapCaller, WrapConfig};
pub use error::{ReloadError, StartError};
pub use events::{Event, FieldValue, Level};
pub use feed::{DecisionFilter, DecisionListener, GrantCounts, GrantTally, TooManyListenersError};
pub use freeze_file::{FreezeFileError, read_freezes};
pub use identity::{PepError, PepSpec};
pub use in_force::{GatewayConfig, GatewayError, GatewayServer};
pub use limits::{LimitMut, Limits};
pub use metrics::{
    CandidateCount, DecisionCount, DenialCount, DurationHistogram, MetricFamily, MetricSample, MetricValues,
    MetricsSnapshot, PolicyInfo, RateLimitCount, RequestCount, SignedLogNumbers, StoreErrorCount,
    UpstreamNumbers, duration_bounds_ns, store_duration_bounds_ns,
};
pub use net::descriptor_limit;
pub use proxy::{ANONYMOUS, IdentitySource, PathTemplate, ProxyConfig, ServerSource, TemplateError};
pub use random::{keep_ids_in_stock, new_token, random_key, random_reservation_id};
pub use server::{Reload, Server};
pub use tls::{TlsError, TlsPem};
