//! What is asked, and what is answered.

use smallvec::SmallVec;

use super::document::HeadersWhen;
use super::unit::Unit;

/// One request: all of its descriptors are limited together.
#[derive(Clone, Copy, Debug)]
pub struct RateRequest<'r, 'd> {
    /// Which file of limits.
    pub domain: &'r str,
    /// What is limited.
    pub descriptors: &'r [Descriptor<'d>],
    /// Hits of descriptors that do not say how many; 0 counts as 1.
    pub hits: u32,
}

/// Keys and values, in the order of the configuration's levels.
pub type Entries<'r> = SmallVec<[(&'r str, &'r str); 4]>;

/// What one limit is looked up by.
#[derive(Clone, Debug, Default)]
pub struct Descriptor<'r> {
    /// Its keys and values.
    pub entries: Entries<'r>,
    /// The limit to apply instead of the configured one.
    pub limit: Option<Override>,
    /// Hits; 0 takes nothing and asks whether anything is left.
    pub hits: Option<u64>,
}

/// A limit that the request brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// How many per unit.
    pub requests_per_unit: u32,
    /// The unit.
    pub unit: Unit,
}

/// No domain of this name is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDomain;

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateAnswer<'s> {
    /// Some descriptor is over its limit, so nothing was taken (but by `count_refused`).
    pub over_limit: bool,
    /// One for each descriptor, in order.
    pub statuses: SmallVec<[RateStatus<'s>; 2]>,
    /// What kept the limits from being counted.
    pub fault: Option<RateFault>,
    /// Place of the domain in [`super::RateLimits::names`].
    pub domain_index: u32,
    /// When the domain wants headers.
    pub headers: HeadersWhen,
}

/// Why limits could not be counted: their descriptors are over the limit then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateFault {
    /// A count is new, and counters are at their cap (in all, or for this domain).
    Capacity,
    /// The file of counters was closed, or belongs to another process.
    Unavailable,
    /// A panic.
    Internal,
}

/// What became of one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateStatus<'s> {
    /// It is over its limit.
    pub over_limit: bool,
    /// It would be, were its limit not in shadow mode.
    pub shadow_over_limit: bool,
    /// The limit that applied.
    pub limit: Option<CurrentLimit<'s>>,
    /// Hits left; the largest number there is where the descriptor is unlimited.
    pub remaining: u32,
    /// Microseconds: for a refusal until its hits are free, else until the whole limit is. `None` where no limit applied,
    /// or nobody knows.
    pub reset_after_us: Option<u64>,
}

/// A limit as answers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLimit<'s> {
    /// Its configured name; may be empty.
    pub name: &'s str,
    /// How many per unit.
    pub requests_per_unit: u32,
    /// The unit.
    pub unit: Unit,
}
