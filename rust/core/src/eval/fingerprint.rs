//! The fingerprint of one exact call (`docs/policy.md` section 6).

use sha2::{Digest, Sha256};

use super::admission::AdmittedRequest;
use crate::compile::CompiledPolicy;
use crate::decision::Fingerprint;
use crate::hex::Hex;
use crate::json::{Value, ValueWriter};

/// SHA-256 of the canonical `["callgate-1", server, grant, tool, args, policy digest, pinned tool digest or null]`.
pub(super) fn fingerprint(
    request: &AdmittedRequest<'_>,
    args: Value<'_>,
    policy: &CompiledPolicy,
) -> Fingerprint {
    let mut text = String::new();
    ValueWriter::new(&mut text).list(|parts| {
        parts.element().text("callgate-1");
        for part in [request.server, request.grant, request.tool] {
            parts.element().text(part);
        }
        parts.element().with(|text| args.write_canonical(text));
        parts.element().text(&policy.digest_hex);
        match request.pins.and_then(|pins| pins.digest(request.tool)) {
            Some(digest) => parts.element().plain(Hex(&digest)),
            None => parts.element().null(),
        }
    });
    Fingerprint::new(Sha256::digest(text.as_bytes()).into())
}
