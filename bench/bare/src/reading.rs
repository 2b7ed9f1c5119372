//! The least work of a decision on arguments.

use serde::de::IgnoredAny;
use tonic::Status;

/// Parses JSON to its end and keeps nothing.
pub(crate) fn read_json(bytes: &[u8]) -> Result<(), Status> {
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map(|IgnoredAny| ())
        .map_err(|error| Status::invalid_argument(error.to_string()))
}
