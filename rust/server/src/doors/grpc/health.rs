//! `grpc.health.v1`.

use callgate_proto::decision::v1::decision_service_server::SERVICE_NAME;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthReporter;

pub(crate) type HealthService = HealthServer<tonic_health::server::HealthService>;

/// The longest question, in bytes: it is the name of a service, from anybody.
pub(crate) const QUESTION_LIMIT_BYTES: usize = 4 * 1024;

/// The server as a whole, and its one service.
const NAMES: [&str; 2] = ["", SERVICE_NAME];

/// Sets the status that the health service reports.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// Creates the service. It tells at first only that the server as a whole serves.
    pub(crate) fn new() -> (Self, HealthService) {
        let reporter = HealthReporter::new();
        let service = tonic_health::server::HealthService::from_health_reporter(reporter.clone());
        let service = HealthServer::new(service).max_decoding_message_size(QUESTION_LIMIT_BYTES);
        (Self { reporter }, service)
    }

    pub(crate) async fn set_serving(self, serving: bool) {
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Not serving any more. Then ends the streams of those who watch, since they would hold up a graceful stop.
    pub(crate) async fn end(mut self) {
        self.clone().set_serving(false).await;
        for name in NAMES {
            self.reporter.clear_service_status(name).await;
        }
    }
}
