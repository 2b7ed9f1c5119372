//! Rate limits by domain and descriptors, as in `envoy.service.ratelimit.v3` (`docs/rate-limits.md`).
//!
//! A file contains one domain: a tree whose levels match the entries of a descriptor, one level per entry. The result
//! is a limit, and the entries identify its count. Either all limits of a request give their units, or none does.

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
    CurrentLimit, Descriptor, Entries, Override, RateAnswer, RateError, RateRequest, RateStatus,
    UnknownDomainError,
};
pub use tree::RateLimits;
pub use unit::{Align, Unit};

pub(crate) use decide::Evaluation;
