//! One well-formed call, with everything that conditions and limits may read.

use crate::Now;
use crate::compile::ToolFactsCompiled;
use crate::json::Value;
use crate::policy::ast::{Category, Risk, Root};

use super::admission::AdmittedRequest;

const DAY_US: u64 = 86_400_000_000;
const HOUR_US: u64 = 3_600_000_000;

/// The integers of `time.*`, as JSON text.
const INTEGERS: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20", "21", "22", "23",
];

/// A call to a tool of a known server.
#[derive(Clone, Copy, Debug)]
pub(super) struct EvaluatedCall<'c> {
    pub(super) request: &'c AdmittedRequest<'c>,
    /// One JSON object.
    pub(super) args: Value<'c>,
    /// True for the call's own arguments, false for a substitute because nobody has seen them.
    pub(super) args_are_seen: bool,
    pub(super) facts: Option<&'c ToolFactsCompiled>,
    pub(super) now: Now,
}

/// The value at a path outside `args`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact<'c> {
    Text(&'c str),
    /// JSON text.
    Number(&'static str),
    Missing,
}

impl<'c> EvaluatedCall<'c> {
    /// Returns the value at a path that starts outside `args`.
    pub(super) fn fact(&self, root: &Root) -> Fact<'c> {
        let text = |text: Option<&'c str>| text.map_or(Fact::Missing, Fact::Text);
        match root {
            // Arguments are walked, not facts.
            Root::Args => Fact::Missing,
            Root::Tool => Fact::Text(self.request.tool),
            Root::Server => Fact::Text(self.request.server),
            Root::Session => text(self.request.session),
            Root::GrantId => Fact::Text(self.request.grant),
            Root::GrantLabel(name) => text(self.request.label(name)),
            Root::Category => text(self.facts.and_then(|facts| facts.category).map(Category::as_str)),
            Root::Risk => text(self.facts.and_then(|facts| facts.risk).map(Risk::as_str)),
            Root::Hour => integer(self.now.unix_us() % DAY_US / HOUR_US),
            // 1970-01-01 was a Thursday, which is 4 where Monday is 1.
            Root::Weekday => integer((self.now.unix_us() / DAY_US + 3) % 7 + 1),
        }
    }
}

fn integer(value: u64) -> Fact<'static> {
    usize::try_from(value)
        .ok()
        .and_then(|index| INTEGERS.get(index))
        .map_or(Fact::Missing, |text| Fact::Number(text))
}
