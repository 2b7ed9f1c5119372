//! What Envoy sends of a body.

use super::super::super::judging::{Carried, whole};
use super::super::attributes::HttpAttributes;
use crate::proxy::Unclear;

/// The body, if all of it is here and is what the upstream will read.
pub(super) fn carried<'a>(attributes: &HttpAttributes<'a>) -> Result<Carried<'a>, Unclear> {
    let http = attributes.http;
    if !http.body.is_empty() {
        return Err(Unclear::new(
            "the proxy forwards the body as text, in which bytes may have been replaced; set `pack_as_bytes: true` in its \
             `with_request_body`",
        ));
    }
    let body = whole(attributes, &http.raw_body)?;
    if usize::try_from(http.size).unwrap_or_default() > body.len() {
        return Err(Unclear::new(
            "the proxy forwards another body than it received; set `with_request_body` at the proxy",
        ));
    }
    Ok(Carried::Body(body))
}
