//! The services that Envoy asks.

mod attributes;
mod authz;

pub(super) use authz::Authorizer;
