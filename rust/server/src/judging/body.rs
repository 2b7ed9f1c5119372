//! Bodies: callgate must read the same body as the upstream.

use super::Payload;
use crate::proxy::{Attributes, UnclearError};

/// Methods of HTTP whose requests have no body unless they say so.
const BODILESS: [&str; 4] = ["GET", "HEAD", "DELETE", "OPTIONS"];

/// The only type of bodies that is read here. RFC 8259 allows one encoding, but some servers use another if the request
/// names it.
const JSON: &str = "application/json";
const UTF_8: &str = "utf-8";

/// Envoy's mark on a body that was longer than it forwards.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

/// Returns the body if it is the one that the upstream will read: uncompressed, and as long as the request states.
pub(crate) fn whole<'a>(attributes: &impl Attributes<'a>, body: &'a [u8]) -> Result<&'a [u8], UnclearError> {
    // Envoy writes `false` for a whole body.
    if header(attributes, PARTIAL_BODY)?.is_some_and(|partial| partial != "false") {
        return Err(UnclearError::new(
            "the body is longer than what the proxy forwards, and what was not read cannot be judged; send less, or raise \
             `max_request_bytes` at the proxy",
        ));
    }
    if let Some(encoding) = header(attributes, "content-encoding")?
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(UnclearError::new(
            "the body is compressed; send it without `content-encoding`, or let the proxy decompress it first",
        ));
    }
    let promised = header(attributes, "content-length")?.map(str::parse::<usize>);
    if promised.is_some_and(|length| length != Ok(body.len())) {
        return Err(UnclearError::new(
            "the proxy forwards another body than the request's `content-length` says; let it forward the whole body",
        ));
    }
    Ok(body)
}

/// Returns true if the request certainly has no body. Returns an error if the upstream might read the body differently,
/// or if further bytes follow that nobody judges.
pub(crate) fn check<'a>(
    attributes: &impl Attributes<'a>,
    carried: &Payload<'a>,
) -> Result<bool, UnclearError> {
    if header(attributes, "upgrade")?.is_some() {
        return Err(UnclearError::new(
            "the request asks for another protocol, whose messages nobody would judge; send it without `upgrade`",
        ));
    }
    let has_body = matches!(carried, Payload::Body(body, _) if !body.is_empty());
    let is_absent = !has_body && is_absent(attributes)?;
    // Without a content type every reader uses JSON's own encoding.
    if !is_absent && header(attributes, "content-type")?.is_some_and(|content_type| !is_json(content_type)) {
        return Err(UnclearError::new(
            "the body is JSON in UTF-8 or nothing; send it with `content-type: application/json`",
        ));
    }
    Ok(is_absent)
}

fn is_absent<'a>(attributes: &impl Attributes<'a>) -> Result<bool, UnclearError> {
    let is_empty = match header(attributes, "content-length")? {
        Some(length) => length == "0",
        // Over HTTP/2 a body needs no length.
        None => BODILESS.contains(&attributes.method()),
    };
    Ok(is_empty && header(attributes, "transfer-encoding")?.is_none())
}

/// `application/json`, with no parameter but `charset=utf-8`.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_utf_8 = |parameter: &str| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case(UTF_8)
        })
    };
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(JSON))
        && parts.filter(|part| !part.is_empty()).all(is_utf_8)
}

fn header<'a>(attributes: &impl Attributes<'a>, name: &str) -> Result<Option<&'a str>, UnclearError> {
    attributes.header(name).map_err(|fault| fault.of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_one_encoding() {
        for good in [
            "application/json",
            "Application/JSON ; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json;",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/jsonp",
            "application/json, text/plain",
            "application/json; charset=utf-7",
            "application/json; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-7",
            "application/json; boundary=x",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
