//! `envoy.service.rate_limit_quota.v3.RateLimitQuotaService` (`docs/quotas.md`).
//!
//! An Envoy groups its requests into buckets, and callgate leases it a number of tokens for each. Envoy admits requests with
//! them, asks nobody, and reports each few seconds how many it admitted.
//!
//! **The rule.** Tokens are units of the counters that every other door counts in, taken when they are leased. A lease that is
//! sent at `t` for a time to live of `T` ends at `t + T + M` at the latest. `M` is the margin: the longest time that an
//! assignment, a report, or Envoy's timer may be late. Then:
//!
//! 1. Leased tokens are counted as used at the end of their lease, until more is known.
//! 2. A token that a report says was used is counted as used when the report arrived.
//! 3. Tokens that no report says were used come back once a report has arrived a margin after the end of the lease.
//! 4. A lease is replaced by another bucket of tokens, and then ends a margin after its replacement was sent; or it is
//!    extended, with the tokens that are left. It is extended only if Envoy still has it when the extension arrives, because
//!    Envoy would fill the bucket of a lease that has ended.
//! 5. If a stream ends, its leases count as in 1. A lease knows only the reports of its own stream. In the first two margins of
//!    a stream, a report may be about leases of another stream of the same Envoy. So as many tokens are counted for longer
//!    than any lease can be mistaken for another because of it, and no such lease is extended.
//!
//! A report names a number of requests and no lease, so tokens of the oldest lease are the first to be used. If they were
//! those of a later one, the older ones were not used, and as many are counted, no earlier.
//!
//! At every moment, the counters therefore hold every unit that was used within the last window, and every one that may be
//! used. So no window holds more than `max`, over all Envoys and all doors of this process.
//!
//! **Counts that nodes share.** Tokens are units of this node's share. They are lent while the node's lease lasts, and the store
//! counts the share until they have ended and all reports about them have come (`Limits::quota_ahead_us`), a window longer. So
//! the rule holds over all nodes, also if this one is gone. Too small a share grows without a wait of the stream: the worker
//! asks the store, and the next look at the bucket finds the units.

mod bucket;
mod interest;
mod lease;
mod named;
#[cfg(test)]
mod shared_tests;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callgate_proto::pb::envoy::service::rate_limit_quota::v3::RateLimitQuotaUsageReports;
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_service_server::RateLimitQuotaService;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::doors::unary::Sender;
use crate::gate::Gate;
use crate::limits::Limits;
use crate::phase::Phase;
use interest::Interests;
use lease::Terms;
use stream::Assignments;

/// Largest report. One bucket takes at least two bytes of it, and much more after decoding.
pub(crate) const MESSAGE_LIMIT_BYTES: usize = 512 * 1024;

/// Buckets of one stream, and of all streams. Their names are the callers' choice.
const MAX_STREAM_BUCKETS: usize = 2_048;
const MAX_BUCKETS: usize = 32_768;

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Quotas {
    gate: Arc<Gate>,
    phase: watch::Receiver<Phase>,
    shared: Arc<SharedQuotas>,
}

/// The knowledge of all streams.
#[derive(Debug)]
struct SharedQuotas {
    terms: Terms,
    interests: Arc<Interests>,
    buckets: AtomicUsize,
}

/// The place of one bucket among those of all streams.
#[derive(Debug)]
struct BucketPlace(Arc<SharedQuotas>);

impl BucketPlace {
    /// `None` if there are too many buckets.
    fn take(shared: &Arc<SharedQuotas>) -> Option<Self> {
        // Relaxed: a number that publishes nothing else. The place is made first, so that it is given back in any case.
        let before = shared.buckets.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(shared));
        (before < MAX_BUCKETS).then_some(place)
    }
}

impl Drop for BucketPlace {
    fn drop(&mut self) {
        self.0.buckets.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Quotas {
    pub(crate) fn new(gate: Arc<Gate>, phase: watch::Receiver<Phase>, limits: Limits) -> Self {
        let shared = SharedQuotas {
            terms: Terms::of(&limits),
            interests: Arc::default(),
            buckets: AtomicUsize::new(0),
        };
        Self {
            gate,
            phase,
            shared: Arc::new(shared),
        }
    }
}

#[tonic::async_trait]
impl RateLimitQuotaService for Quotas {
    type StreamRateLimitQuotasStream = Assignments;

    async fn stream_rate_limit_quotas(
        &self,
        request: Request<Streaming<RateLimitQuotaUsageReports>>,
    ) -> Result<Response<Assignments>, Status> {
        let (_, extensions, reports) = request.into_parts();
        let sender = Sender::of(&extensions)?;
        let gate = Arc::clone(&self.gate);
        let asker = sender.asker.clone();
        let assignments =
            Assignments::new(gate, asker, Arc::clone(&self.shared), reports, self.phase.clone());
        Ok(Response::new(assignments))
    }
}
