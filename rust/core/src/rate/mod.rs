//! Rate limits by domain and descriptors, as `envoy.service.ratelimit.v3` asks for them (`docs/rate-limits.md`).
//!
//! A file holds one domain: a tree whose levels are matched by the entries of a descriptor, one after the other. What is
//! found is a limit, and the entries themselves say which count of it is meant. All limits of a request give their units,
//! or none does.

mod counts;
mod decide;
mod document;
mod find;
mod request;
#[cfg(test)]
mod tests;
mod tree;
mod unit;
mod wildcard;

pub use document::{Domain, HeadersWhen, LimitRule, Rule, parse};
pub use request::{
    CurrentLimit, Descriptor, Entries, Override, RateAnswer, RateFault, RateRequest, RateStatus,
    UnknownDomain,
};
pub use tree::RateLimits;
pub use unit::{Align, Unit};

pub(crate) use decide::Asked;
