//! The body that Envoy sends along.

use super::super::attributes::HttpAttributes;
use super::super::mcp_metadata::ReadMessage;
use crate::judging::{Payload, whole};
use crate::proxy::UnclearError;

/// The body, if all of it is here and is what the upstream will read; what another filter has `read` of it where it is not
/// here.
pub(super) fn carried<'a>(
    attributes: &HttpAttributes<'a>,
    read: Option<&'a ReadMessage<'_>>,
) -> Result<Payload<'a>, UnclearError> {
    let http = attributes.http;
    if !http.body.is_empty() {
        return Err(UnclearError::new(
            "the proxy forwards the body as text, in which bytes may have been replaced; set `pack_as_bytes: true` in its \
             `with_request_body`",
        ));
    }
    if let Some(read) = read
        && http.raw_body.is_empty()
    {
        return Ok(Payload::Read(read.as_read()));
    }
    let body = whole(attributes, &http.raw_body)?;
    if usize::try_from(http.size).unwrap_or_default() > body.len() {
        return Err(UnclearError::new(
            "the proxy forwards another body than it received; set `with_request_body` at the proxy",
        ));
    }
    Ok(Payload::Body(body, read.map(ReadMessage::as_read)))
}
