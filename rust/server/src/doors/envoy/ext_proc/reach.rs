//! The proof by Envoy's attributes that a call never reached the upstream.
//!
//! Needs `response_attributes: [response.flags, response.code_details, upstream.request_attempt_count]`. Without them, and
//! whenever anything may have been sent (a time-out, a connection that was cut, a second attempt), nothing is proven.

use std::collections::BTreeMap;

use callgate_proto::pb::google::protobuf::Struct;
use callgate_proto::pb::google::protobuf::value::Kind;

use super::head::attribute;

const FLAGS: &str = "response.flags";
const DETAILS: &str = "response.code_details";
const ATTEMPTS: &str = "upstream.request_attempt_count";

/// Flags that a call may have if it reached nobody, by their places in Envoy's `CoreResponseFlag`: no healthy upstream
/// (UH), connection failure (UF), overflow (UO), no route (NR), rate limited (RL), not authorized (UAEX), no answer of
/// the rate limit service (RLSE), no cluster (NC), no address (DF).
const HARMLESS_FLAGS: [u32; 9] = [1, 5, 7, 8, 11, 12, 13, 24, 26];

/// Response code details of answers that Envoy gave before it chose an upstream. A flag alone proves less: UO, for
/// example, is also set on an upstream's answer that was not retried because of an overflow.
const BEFORE_UPSTREAM: [&str; 12] = [
    "cluster_not_found",
    "drop_overload",
    "ext_authz_denied",
    "ext_authz_error",
    "maintenance_mode",
    "no_healthy_upstream",
    "rate_limiter_error",
    "request_payload_too_large",
    "request_rate_limited",
    "route_configuration_not_found",
    "route_not_found",
    "unconditional_drop_overload",
];

/// The prefix of the details of a request that was given up before a response; the reason follows.
const RESET: &str = "upstream_reset_before_response_started{";
/// Reasons for which there was never a connection for the request.
const NO_CONNECTION: [&str; 5] = [
    "connection_failure",
    "connection_timeout",
    "local_connection_failure",
    "overflow",
    "remote_connection_failure",
];

/// Returns true if these attributes of a response prove that its request never reached an upstream.
pub(super) fn never_reached(attributes: &BTreeMap<String, Struct>) -> bool {
    let Some(Kind::StringValue(details)) = attribute(attributes, DETAILS) else {
        return false;
    };
    let Some(&Kind::NumberValue(flags)) = attribute(attributes, FLAGS) else {
        return false;
    };
    let harmless: u64 = HARMLESS_FLAGS.iter().map(|place| 1_u64 << place).sum();
    if !is_within(flags, harmless) {
        return false;
    }
    let unconnected = details
        .strip_prefix(RESET)
        .and_then(|rest| rest.split(['|', '}']).next())
        .is_some_and(|reason| NO_CONNECTION.contains(&reason));
    if unconnected {
        // An earlier attempt may have reached somebody.
        return matches!(attribute(attributes, ATTEMPTS), Some(&Kind::NumberValue(count)) if count <= 1.0);
    }
    BEFORE_UPSTREAM.contains(&details.as_str())
}

/// Returns true if a number that arrived as a double has no other bits than these.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is a whole one below 2^53 there"
)]
fn is_within(flags: f64, allowed: u64) -> bool {
    (0.0..9_007_199_254_740_992.0).contains(&flags) && flags.fract() == 0.0 && flags as u64 & !allowed == 0
}

#[cfg(test)]
mod tests {
    use callgate_proto::pb::google::protobuf::Value;

    use super::*;

    fn told(flags: f64, details: &str, attempts: Option<f64>) -> bool {
        let mut fields = vec![
            (FLAGS, Kind::NumberValue(flags)),
            (DETAILS, Kind::StringValue(details.to_owned())),
        ];
        fields.extend(attempts.map(|count| (ATTEMPTS, Kind::NumberValue(count))));
        let fields = fields.into_iter();
        let fields = fields.map(|(key, kind)| (key.to_owned(), Value { kind: Some(kind) }));
        let filter = Struct {
            fields: fields.collect(),
        };
        never_reached(&[("envoy.filters.http.ext_proc".to_owned(), filter)].into())
    }

    #[test]
    fn what_proves_it() {
        let refused = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";
        assert!(told(32.0, refused, Some(1.0)));
        assert!(told(
            128.0,
            "upstream_reset_before_response_started{overflow}",
            Some(1.0)
        ));
        assert!(told(2.0, "no_healthy_upstream", None));
        assert!(told(256.0, "route_not_found", None));
        assert!(told(2_048.0, "request_rate_limited", None));
        assert!(told(4_096.0, "ext_authz_denied", None));
    }

    #[test]
    fn what_does_not() {
        let refused = "upstream_reset_before_response_started{remote_connection_failure}";
        // Tried twice, or an unknown number of times.
        assert!(!told(32.0, refused, Some(2.0)));
        assert!(!told(32.0, refused, None));
        for (flags, details) in [
            (0.0, "via_upstream"),
            (128.0, "via_upstream"),
            (
                64.0,
                "upstream_reset_before_response_started{connection_termination}",
            ),
            (16.0, "upstream_reset_before_response_started{remote_reset}"),
            (4.0, "response_timeout"),
            (4.0, "upstream_per_try_timeout"),
            (16_384.0, "downstream_remote_disconnect"),
            (
                32.0,
                "upstream_reset_after_response_started{remote_connection_failure}",
            ),
            (
                32.0,
                "upstream_reset_before_response_started{remote_connection_failure_x}",
            ),
            // More happened than the last thing.
            (96.0, refused),
            (32_800.0, refused),
            (-1.0, refused),
            (0.5, refused),
            (1e300, refused),
        ] {
            assert!(!told(flags, details, Some(1.0)), "{flags} {details}");
        }
        assert!(!never_reached(&BTreeMap::new()));
    }
}
