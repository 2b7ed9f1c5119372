//! The header fields of a decision (`docs/policy.md` section 5): `Retry-After`, and `RateLimit` and `RateLimit-Policy` of
//! draft-ietf-httpapi-ratelimit-headers, as structured fields (RFC 9651).

use std::fmt::Write as _;

use callgate_core::{Decision, LimitState};
use callgate_counters::Micros;
use http::{HeaderName, HeaderValue, header};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The fields that an answer with this decision carries.
pub(crate) fn fields(decision: &Decision<'_>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let retry_after = decision
        .retry_after_ms
        .map(|retry_after_ms| (header::RETRY_AFTER, HeaderValue::from(seconds(retry_after_ms))));
    let limits = Some(&decision.limits).filter(|limits| !limits.is_empty());
    let quota = limits.map(|limits| {
        [
            (RATE_LIMIT, remaining(limits)),
            (RATE_LIMIT_POLICY, policy(limits)),
        ]
    });
    let quota = quota.into_iter().flatten();
    let quota = quota.filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)));
    retry_after.into_iter().chain(quota)
}

/// Largest integer of a structured field.
const LARGEST: u64 = 999_999_999_999_999;

/// `"daily_spend";r=29;t=60`: what is left of each limit, and the seconds until all of it is free.
fn remaining(limits: &[LimitState<'_>]) -> String {
    list(limits, |limit| {
        [
            ("r", whole(limit.remaining)),
            ("t", seconds(limit.reset_after_ms)),
        ]
    })
}

/// `"daily_spend";q=30;w=60`: the units of each limit, and the seconds of its window.
fn policy(limits: &[LimitState<'_>]) -> String {
    list(limits, |limit| {
        [("q", whole(limit.max)), ("w", seconds(limit.window_ms))]
    })
}

fn list(
    limits: &[LimitState<'_>],
    parameters: impl Fn(&LimitState<'_>) -> [(&'static str, u64); 2],
) -> String {
    let mut text = String::new();
    for limit in limits {
        if !text.is_empty() {
            text.push_str(", ");
        }
        write_name(&mut text, &limit.counter);
        for (name, value) in parameters(limit) {
            // Writing to a string cannot fail.
            let _ = write!(text, ";{name}={value}");
        }
    }
    text
}

/// A name as a string of a structured field. Those hold printable ASCII: other bytes, and `%` itself, are
/// percent-encoded.
fn write_name(text: &mut String, name: &str) {
    text.push('"');
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'%' | 0..=0x1f | 0x7f..=0xff => {
                let _ = write!(text, "%{byte:02X}");
            }
            _ => text.push(char::from(byte)),
        }
    }
    text.push('"');
}

/// Units, rounded down: these fields hold integers, and may not promise more than there is.
const fn whole(amount: Micros) -> u64 {
    at_most_largest(amount.0 / 1_000_000)
}

/// Seconds, rounded up.
const fn seconds(milliseconds: u64) -> u64 {
    at_most_largest(milliseconds.div_ceil(1_000))
}

const fn at_most_largest(number: u64) -> u64 {
    if number < LARGEST { number } else { LARGEST }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(counter: &str, max: u64, remaining: u64) -> LimitState<'_> {
        LimitState {
            counter: counter.into(),
            rule: "".into(),
            max: Micros(max),
            remaining: Micros(remaining),
            over: Micros(0),
            reset_after_ms: 59_001,
            window_ms: 60_000,
        }
    }

    #[test]
    fn one_item_for_each_limit() {
        let limits = [
            limit("calls", 30_000_000, 29_000_000),
            limit("spend", 1_500_000, 999_999),
        ];
        assert_eq!(remaining(&limits), r#""calls";r=29;t=60, "spend";r=0;t=60"#);
        assert_eq!(policy(&limits), r#""calls";q=30;w=60, "spend";q=1;w=60"#);
        assert_eq!(remaining(&[]), "");
    }

    #[test]
    fn names_are_ascii_and_numbers_fit() {
        let odd = limit("a\"b\\c%é\n", u64::MAX, 0);
        assert_eq!(remaining(&[odd]), "\"a\\\"b\\\\c%25%C3%A9%0A\";r=0;t=60");
        let mut large = limit("x", u64::MAX, 0);
        large.window_ms = u64::MAX;
        assert_eq!(policy(&[large]), format!(r#""x";q=18446744073709;w={LARGEST}"#));
    }
}
