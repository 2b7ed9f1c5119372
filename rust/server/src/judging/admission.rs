//! Who asks a question by gRPC, and whether anybody still waits for the answer.

use http::Extensions;
use tonic::Status;

use crate::deadline::{self, Deadline};
use crate::gate::{Admitted, Gate};
use crate::identity::Asker;

/// What a question is answered by, from what the connection says of it.
pub(crate) fn admitted(gate: &Gate, extensions: &Extensions) -> Result<Admitted, Status> {
    let deadline: Option<&Deadline> = extensions.get();
    if deadline.copied().is_some_and(Deadline::is_over) {
        return Err(deadline::over());
    }
    let asker: Option<&Asker> = extensions.get();
    gate.admit_proxied(asker)
        .map_err(|unknown| Status::unauthenticated(unknown.message()))
}
