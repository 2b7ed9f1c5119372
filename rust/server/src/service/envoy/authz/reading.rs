//! What a request asks for.

use super::super::attributes::HttpAttributes;
use crate::proxy::{Attributes as _, Unclear};

/// Envoy's mark on a body that was longer than it forwards.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// The body, if all of it is here and is what the upstream will read.
pub(super) fn body<'a>(attributes: &HttpAttributes<'a>) -> Result<&'a [u8], Unclear> {
    let header = |name| attributes.header(name).map_err(|fault| fault.of(name));
    let http = attributes.http;
    let forwarded = http.raw_body.len();
    // `false` is what Envoy says of a whole one.
    if header(PARTIAL_BODY)?.is_some_and(|partial| partial != "false") {
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
    if let Some(encoding) = header("content-encoding")?
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Unclear::new(
            "the body is compressed; send it without `content-encoding`, or let the proxy decompress it first",
        ));
    }
    let promised = header("content-length")?.map(str::parse::<usize>);
    let received = usize::try_from(http.size).unwrap_or_default();
    if promised.is_some_and(|length| length != Ok(forwarded)) || received > forwarded {
        return Err(Unclear::new(
            "the proxy forwards another body than the request's `content-length` says; set `with_request_body` at the proxy",
        ));
    }
    Ok(&http.raw_body)
}

/// Every header as bytes. What was no text is still none.
pub(super) fn fields<'a>(attributes: &HttpAttributes<'a>) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    attributes
        .headers()
        .map(|(name, value)| (name, value.map_or(&b"\xff"[..], str::as_bytes)))
}
