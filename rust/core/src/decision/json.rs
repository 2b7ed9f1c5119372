//! A decision as JSON, the same for every protocol that uses JSON.

use super::{Decision, LimitState};
use crate::json::ValueWriter;

impl Decision<'_> {
    /// Appends the fields of `docs/policy.md` section 5 as one JSON object, without absent fields.
    ///
    /// ```text
    /// {"outcome":"deny","rule":"(hidden)","message":"...","limits":[],"policy":"p","policy_version":"0123456789ab",...}
    /// ```
    pub fn write_json(&self, json: &mut String) {
        ValueWriter::new(json).object(|decision| {
            decision.field("outcome").text(self.outcome.as_str());
            decision.field("rule").text(&self.rule);
            decision.field("message").text(&self.message);
            if let Some(retry_after_ms) = self.retry_after_ms {
                decision.field("retry_after_ms").integer(retry_after_ms);
            }
            decision.field("limits").list(|limits| {
                for limit in &self.limits {
                    write_limit(limits.element(), limit);
                }
            });
            decision.field("policy").text(&self.policy);
            decision.field("policy_version").text(&self.policy_version);
            if let Some(shadow) = &self.shadow {
                decision.field("shadow").object(|member| {
                    member.field("outcome").text(shadow.outcome.as_str());
                    member.field("rule").text(&shadow.rule);
                });
            }
            if let Some(fingerprint) = &self.fingerprint {
                decision.field("fingerprint").plain(fingerprint);
            }
            decision.field("decided_at_us").integer(self.decided_at_us);
            if let Some(reservation) = self.reservation {
                decision.field("reservation").plain(reservation);
            }
            if !self.approval.is_empty() {
                decision.field("approval").text(&self.approval);
            }
        });
    }
}

fn write_limit(json: ValueWriter<'_>, limit: &LimitState<'_>) {
    json.object(|member| {
        member.field("counter").text(&limit.counter);
        member.field("max").number(limit.max);
        member.field("remaining").number(limit.remaining);
        if limit.over.0 > 0 {
            member.field("over").number(limit.over);
        }
        member.field("reset_after_ms").integer(limit.reset_after_ms);
    });
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
        let limit = |counter, remaining, over| LimitState {
            counter: Cow::Borrowed(counter),
            rule: Cow::Borrowed(""),
            max: Micros(1_500_000),
            remaining: Micros(remaining),
            over: Micros(over),
            reset_after_ms: 2,
            window_ms: 60_000,
        };
        let mut decision = Decision::bare(Outcome::RateLimited, "/r".into(), "later".into(), 7);
        decision.retry_after_ms = Some(1_999);
        decision
            .limits
            .extend([limit("a", 0, 500_000), limit("b", 1_500_000, 0)]);
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
                r#"{{"outcome":"rate_limited","rule":"/r","message":"later","retry_after_ms":1999,"limits":[{{"counter":"a","max":1.5,"remaining":0,"over":0.5,"reset_after_ms":2}},{{"counter":"b","max":1.5,"remaining":1.5,"reset_after_ms":2}}],"policy":"p","policy_version":"0123456789ab","shadow":{{"outcome":"deny","rule":"/s"}},"fingerprint":"{}","decided_at_us":7,"reservation":"000000000000000000000000000000ff"}}"#,
                "a5".repeat(32)
            )
        );
    }
}
