//! The services that Envoy asks.

mod attributes;
mod authz;
pub(super) mod ext_proc;
mod mcp_metadata;
pub(super) mod quota;
pub(super) mod rate_limit;
mod refused_limits;

pub(super) use authz::Authorizer;
