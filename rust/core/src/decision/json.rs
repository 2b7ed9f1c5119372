//! A decision as JSON, the same for every protocol that uses JSON.

use std::fmt::{Display, Write as _};

use super::{Decision, LimitState};
use crate::json::canonical::write_string;

impl Decision<'_> {
    /// Appends the fields of `docs/policy.md` section 5 as one JSON object, without absent fields.
    ///
    /// ```text
    /// {"outcome":"deny","rule":"(hidden)","message":"...","limits":[],"policy":"p","policy_version":"0123456789ab",...}
    /// ```
    pub fn write_json(&self, json: &mut String) {
        json.push_str(r#"{"outcome":"#);
        write_string(self.outcome.as_str(), json);
        write_text(json, "rule", &self.rule);
        write_text(json, "message", &self.message);
        if let Some(retry_after_ms) = self.retry_after_ms {
            write_number(json, "retry_after_ms", retry_after_ms);
        }
        json.push_str(r#","limits":["#);
        for (index, limit) in self.limits.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            write_limit(json, limit);
        }
        json.push(']');
        write_text(json, "policy", &self.policy);
        write_text(json, "policy_version", &self.policy_version);
        if let Some(shadow) = &self.shadow {
            json.push_str(r#","shadow":{"outcome":"#);
            write_string(shadow.outcome.as_str(), json);
            write_text(json, "rule", &shadow.rule);
            json.push('}');
        }
        if let Some(fingerprint) = &self.fingerprint {
            // Writing to a string cannot fail, here and below.
            let _ = write!(json, r#","fingerprint":"{fingerprint}""#);
        }
        write_number(json, "decided_at_us", self.decided_at_us);
        if let Some(reservation) = self.reservation {
            let _ = write!(json, r#","reservation":"{reservation}""#);
        }
        json.push('}');
    }
}

fn write_limit(json: &mut String, limit: &LimitState<'_>) {
    json.push_str(r#"{"counter":"#);
    write_string(&limit.counter, json);
    write_number(json, "max", limit.max);
    write_number(json, "remaining", limit.remaining);
    write_number(json, "reset_after_ms", limit.reset_after_ms);
    json.push('}');
}

/// Field names need no escapes.
fn write_text(json: &mut String, name: &str, text: &str) {
    let _ = write!(json, ",\"{name}\":");
    write_string(text, json);
}

fn write_number(json: &mut String, name: &str, number: impl Display) {
    let _ = write!(json, ",\"{name}\":{number}");
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use crate::decision::{Decision, LimitState, Outcome, Shadow};
    use callgate_counters::{Micros, ReservationId};

    fn json(decision: &Decision<'_>) -> String {
        let mut json = String::new();
        decision.write_json(&mut json);
        let _: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        json
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let decision = Decision::bare(Outcome::Deny, "(hidden)".into(), "say \"please\"\n".into(), 7);
        assert_eq!(
            json(&decision),
            r#"{"outcome":"deny","rule":"(hidden)","message":"say \"please\"\n","limits":[],"policy":"","policy_version":"","decided_at_us":7}"#
        );
    }

    #[test]
    fn everything_at_once() {
        let limit = |counter, remaining| LimitState {
            counter: Cow::Borrowed(counter),
            rule: Cow::Borrowed(""),
            max: Micros(1_500_000),
            remaining: Micros(remaining),
            reset_after_ms: 2,
            window_ms: 60_000,
        };
        let mut decision = Decision::bare(Outcome::RateLimited, "/r".into(), "later".into(), 7);
        decision.retry_after_ms = Some(1_999);
        decision.limits.extend([limit("a", 0), limit("b", 1_500_000)]);
        decision.policy = "p".into();
        decision.policy_version = "0123456789ab".into();
        decision.shadow = Some(Shadow {
            outcome: Outcome::Deny,
            rule: "/s".into(),
        });
        decision.fingerprint = Some(crate::Fingerprint::new([0xa5; 32]));
        decision.reservation = Some(ReservationId::new(255));
        assert_eq!(
            json(&decision),
            format!(
                r#"{{"outcome":"rate_limited","rule":"/r","message":"later","retry_after_ms":1999,"limits":[{{"counter":"a","max":1.5,"remaining":0,"reset_after_ms":2}},{{"counter":"b","max":1.5,"remaining":1.5,"reset_after_ms":2}}],"policy":"p","policy_version":"0123456789ab","shadow":{{"outcome":"deny","rule":"/s"}},"fingerprint":"{}","decided_at_us":7,"reservation":"000000000000000000000000000000ff"}}"#,
                "a5".repeat(32)
            )
        );
    }
}
