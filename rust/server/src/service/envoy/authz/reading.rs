//! What Envoy sends of a body.

use super::super::super::judging::{Carried, whole};
use super::super::attributes::HttpAttributes;
use crate::proxy::{Attributes as _, Unclear};

/// Envoy's mark on a body that was longer than it forwards.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// The body, if all of it is here and is what the upstream will read.
pub(super) fn carried<'a>(attributes: &HttpAttributes<'a>) -> Result<Carried<'a>, Unclear> {
    let partial = attributes
        .header(PARTIAL_BODY)
        .map_err(|fault| fault.of(PARTIAL_BODY))?;
    let http = attributes.http;
    // `false` is what Envoy says of a whole one.
    if partial.is_some_and(|partial| partial != "false") {
        return Err(Unclear::new(
            "the body is longer than what the proxy forwards, and what was not read cannot be judged; send less, or raise \
             `max_request_bytes` at the proxy",
        ));
    }
    if !http.body.is_empty() {
        return Err(Unclear::new(
            "the proxy forwards the body as text, in which bytes may have been replaced; set `pack_as_bytes: true` in its \
             `with_request_body`",
        ));
    }
    if usize::try_from(http.size).unwrap_or_default() > http.raw_body.len() {
        return Err(Unclear::new(
            "the proxy forwards another body than it received; set `with_request_body` at the proxy",
        ));
    }
    whole(attributes, &http.raw_body).map(Carried::Body)
}
