//! The fingerprint of one exact call (`docs/policy.md` section 6).

use sha2::{Digest, Sha256};

use super::call::EvaluatedCall;
use crate::compile::CompiledPolicy;
use crate::decision::Fingerprint;
use crate::json::ValueWriter;

/// SHA-256 of the canonical `["callgate-1", server, grant, tool, args, policy digest, null]`.
pub(super) fn fingerprint(call: &EvaluatedCall<'_>, policy: &CompiledPolicy) -> Fingerprint {
    let mut text = String::new();
    ValueWriter::new(&mut text).list(|parts| {
        parts.element().text("callgate-1");
        for part in [call.request.server, call.request.grant, call.request.tool] {
            parts.element().text(part);
        }
        parts.element().with(|text| call.args.write_canonical(text));
        parts.element().text(&policy.digest_hex);
        // No tool is pinned to a digest of its description here.
        parts.element().null();
    });
    Fingerprint::new(Sha256::digest(text.as_bytes()).into())
}
