//! The gRPC services of callgate's own: decisions and health.

mod batch;
pub(super) mod decision;
pub(super) mod health;
mod stream;
mod watching;
pub(super) mod written;
