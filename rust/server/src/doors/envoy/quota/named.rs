//! The call that a bucket stands for.

use std::collections::BTreeMap;

use callgate_core::engine::{QuotaCounts, QuotaDenial};
use callgate_core::{Args, Caller, Pep, Request, Scratch};
use callgate_mcp::headers::lenient_base64;

use crate::gate::Gate;
use crate::in_force::Configuration;
use crate::metrics::INVALID_REQUEST;

/// Keys of a bucket's id.
const GRANT: &str = "grant";
const SERVER: &str = "server";
const TOOL: &str = "tool";

/// Longest id of a bucket, keys and values together, in bytes.
const LONGEST_ID_BYTES: usize = 1_024;

/// The names in the id of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BucketName {
    pub(super) grant: String,
    pub(super) server: String,
    pub(super) tool: String,
}

/// The counts of a bucket's calls.
pub(super) type Verdict = Result<QuotaCounts, QuotaDenial<'static>>;

impl BucketName {
    /// Reads an id. The error is a sentence for the operator.
    pub(super) fn of(id: &BTreeMap<String, String>) -> Result<Self, String> {
        let known = [GRANT, SERVER, TOOL];
        if let Some(key) = id.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!(
                "the id of the bucket has the key `{key}`; expected `grant`, `tool` and, if there are several servers, `server`"
            ));
        }
        let value = |key: &str| id.get(key).filter(|value| !value.is_empty());
        let needed = |key: &str| {
            let value = value(key).cloned();
            value.ok_or_else(|| format!("the id of the bucket has no `{key}`"))
        };
        let tool = needed(TOOL)?;
        Ok(Self {
            grant: needed(GRANT)?,
            server: value(SERVER).cloned().unwrap_or_default(),
            // Servers read MCP's base64 form as the name that it encodes.
            tool: lenient_base64(&tool).unwrap_or(tool),
        })
    }

    /// Judges the calls of this bucket by the configuration in force.
    pub(super) fn judge(
        &self,
        gate: &Gate,
        configuration: &Configuration,
        pep: Pep,
        scratch: &mut Scratch,
    ) -> Verdict {
        if gate.audit.as_ref().is_some_and(crate::audit::Audit::is_required) {
            return Err(QuotaDenial {
                rule: crate::audit::UNAVAILABLE.into(),
                message:
                    "every decision has to be logged, and Envoy logs none of those that it makes with a quota"
                        .into(),
            });
        }
        let request = Request {
            caller: Caller::named(&self.grant),
            pep,
            tool: &self.tool,
            server: &self.server,
            session: None,
            args: Args::Unseen,
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        let now = gate.clock.now();
        let judged = gate.engine.quota(&configuration.state, &request, now, scratch);
        judged.map_err(QuotaDenial::into_owned)
    }
}

/// The fault of an id that is too long to be remembered, if it is.
pub(super) fn length_fault(id: &BTreeMap<String, String>) -> Option<String> {
    let bytes: usize = id.iter().map(|(key, value)| key.len() + value.len()).sum();
    (bytes > LONGEST_ID_BYTES)
        .then(|| format!("the id of the bucket has {bytes} bytes; expected at most {LONGEST_ID_BYTES}"))
}

/// The denial of a bucket whose id names no call.
pub(super) fn unnamed(message: String) -> QuotaDenial<'static> {
    QuotaDenial {
        rule: INVALID_REQUEST.into(),
        message: message.into(),
    }
}
