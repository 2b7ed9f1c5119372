//! Requests for rate limits, and their answers.

use smallvec::SmallVec;

use super::document::HeadersWhen;
use super::unit::Unit;

/// One request; its descriptors are limited together.
#[derive(Clone, Copy, Debug)]
pub struct RateRequest<'r, 'd> {
    /// The domain: the name of a file of limits.
    pub domain: &'r str,
    /// The descriptors.
    pub descriptors: &'r [Descriptor<'d>],
    /// The hits of descriptors without a number of their own; 0 counts as 1.
    pub hits: u32,
}

/// Keys and values, in the order of the configuration's levels.
pub type Entries<'r> = SmallVec<[(&'r str, &'r str); 4]>;

/// The key of a limit.
#[derive(Clone, Debug, Default)]
pub struct Descriptor<'r> {
    /// Its keys and values.
    pub entries: Entries<'r>,
    /// The limit that replaces the configured one.
    pub limit: Option<Override>,
    /// Hits; 0 takes nothing and checks whether anything is left.
    pub hits: Option<u64>,
}

/// A limit in the request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The maximum per unit.
    pub requests_per_unit: u32,
    /// The unit.
    pub unit: Unit,
}

/// The domain is not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDomainError;

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateAnswer<'s> {
    /// A descriptor is over its limit, so nothing was taken (except by `count_refused`).
    pub over_limit: bool,
    /// The status of each descriptor, in order.
    pub statuses: SmallVec<[RateStatus<'s>; 2]>,
    /// The error that prevented counting, if any.
    pub error: Option<RateError>,
    /// The domain's index in [`super::RateLimits::names`].
    pub domain_index: u32,
    /// The domain's setting for headers.
    pub headers: HeadersWhen,
}

/// The reason for which limits could not be counted; their descriptors are then over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateError {
    /// A new count is needed, and counters are at their cap (in all, or for this domain).
    Capacity,
    /// The counter file was closed, or belongs to another process.
    Unavailable,
    /// A panic.
    Internal,
}

/// The status of one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateStatus<'s> {
    /// True if the descriptor is over its limit.
    pub over_limit: bool,
    /// True if the descriptor exceeds a limit in shadow mode, which refuses nothing.
    pub shadow_over_limit: bool,
    /// The limit that applied.
    pub limit: Option<CurrentLimit<'s>>,
    /// Hits left; the largest number if the descriptor is unlimited.
    pub remaining: u32,
    /// Microseconds until its hits are free for a refusal, else until the whole limit is free. `None` if no limit
    /// applied, or if the time is unknown.
    pub reset_after_us: Option<u64>,
}

/// A limit as shown in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLimit<'s> {
    /// Its configured name; may be empty.
    pub name: &'s str,
    /// The maximum per unit.
    pub requests_per_unit: u32,
    /// The unit.
    pub unit: Unit,
}
