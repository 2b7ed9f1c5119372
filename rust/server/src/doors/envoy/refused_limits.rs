//! Refusals of the rate limit service as the decision log has them (`docs/decision-log.md`).

use std::borrow::Cow;

use callgate_core::rate::{Descriptor, RateAnswer, RateError, RateRequest, RateStatus};
use callgate_core::{Decision, LimitState, Now, Outcome};
use callgate_counters::Micros;

/// The refusal of a request as a decision: its rule is the first descriptor that is over its limit, its policy the domain.
pub(super) fn decision<'a>(
    answer: &'a RateAnswer<'_>,
    request: &'a RateRequest<'_, '_>,
    now: Now,
) -> Decision<'a> {
    let refused = || {
        let statuses = answer.statuses.iter().zip(request.descriptors);
        statuses.filter(|(status, _)| status.over_limit)
    };
    let (outcome, rule) = match answer.error {
        Some(RateError::Capacity) => (Outcome::Deny, Cow::Borrowed("(counter capacity)")),
        Some(RateError::Unavailable) => (Outcome::Deny, Cow::Borrowed("(counter store unavailable)")),
        Some(RateError::Internal) => (Outcome::Deny, Cow::Borrowed("(internal error)")),
        None => {
            let first = refused().next();
            let pointer = first.map(|(_, descriptor)| pointer(descriptor));
            (Outcome::RateLimited, Cow::Owned(pointer.unwrap_or_default()))
        }
    };
    let longest_us = refused().filter_map(|(status, _)| status.reset_after_us).max();
    let limits = refused().filter_map(|(status, descriptor)| limit(status, descriptor));
    Decision {
        retry_after_ms: longest_us.map(|us| us.div_ceil(1_000)),
        limits: limits.collect(),
        policy: Cow::Borrowed(request.domain),
        ..Decision::bare(outcome, rule, Cow::Borrowed(""), now.unix_us())
    }
}

fn limit<'a>(status: &'a RateStatus<'_>, descriptor: &Descriptor<'_>) -> Option<LimitState<'a>> {
    let limit = status.limit?;
    let counter = match limit.name {
        "" => Cow::Owned(pointer(descriptor)),
        name => Cow::Borrowed(name),
    };
    Some(LimitState {
        counter,
        rule: Cow::Borrowed(""),
        max: Micros(u64::from(limit.requests_per_unit) * Micros::ONE.0),
        remaining: Micros(u64::from(status.remaining) * Micros::ONE.0),
        over: Micros(0),
        reset_after_ms: status.reset_after_us.unwrap_or_default().div_ceil(1_000),
        window_ms: 0,
    })
}

/// `/user=ann/tool=create-ami`, each step escaped as in RFC 6901.
fn pointer(descriptor: &Descriptor<'_>) -> String {
    let mut pointer = String::new();
    for (key, value) in descriptor.entries.iter().copied() {
        pointer.push('/');
        for text in [key, "=", value] {
            for character in text.chars() {
                match character {
                    '~' => pointer.push_str("~0"),
                    '/' => pointer.push_str("~1"),
                    other => pointer.push(other),
                }
            }
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_every_entry() {
        let descriptor = Descriptor {
            entries: [("path", "/a~b"), ("user", "")].into_iter().collect(),
            ..Descriptor::default()
        };
        assert_eq!(pointer(&descriptor), "/path=~1a~0b/user=");
    }
}
