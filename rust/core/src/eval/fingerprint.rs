//! The fingerprint of one exact call (`docs/policy.md` section 6).

use sha2::{Digest, Sha256};

use super::call::Call;
use crate::compile::CompiledPolicy;
use crate::decision::Fingerprint;
use crate::json::canonical;

/// SHA-256 of the canonical `["callgate-1", server, grant, tool, args, policy digest, null]`.
pub(super) fn fingerprint(call: &Call<'_>, policy: &CompiledPolicy) -> Fingerprint {
    let mut text = String::from("[\"callgate-1\",");
    for part in [call.request.server, call.request.grant, call.request.tool] {
        canonical::write_string(part, &mut text);
        text.push(',');
    }
    call.args.write_canonical(&mut text);
    text.push(',');
    canonical::write_string(&policy.digest_hex, &mut text);
    // No tool is pinned to a digest of its description here.
    text.push_str(",null]");
    Fingerprint::new(Sha256::digest(text.as_bytes()).into())
}
