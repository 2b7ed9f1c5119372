//! What a decision on arguments cannot do without.

use serde::de::IgnoredAny;
use tonic::Status;

/// Reads JSON to its end and keeps nothing of it.
pub(crate) fn read_json(bytes: &[u8]) -> Result<(), Status> {
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map(|IgnoredAny| ())
        .map_err(|error| Status::invalid_argument(error.to_string()))
}
