//! Bodies that a proxy sends along.

use crate::proxy::{Attributes, Unclear};

/// The body, if it is what the upstream will read: uncompressed, and as long as the request says.
pub(in super::super) fn whole<'a>(
    attributes: &impl Attributes<'a>,
    body: &'a [u8],
) -> Result<&'a [u8], Unclear> {
    let header = |name| attributes.header(name).map_err(|fault| fault.of(name));
    if let Some(encoding) = header("content-encoding")?
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Unclear::new(
            "the body is compressed; send it without `content-encoding`, or let the proxy decompress it first",
        ));
    }
    let promised = header("content-length")?.map(str::parse::<usize>);
    if promised.is_some_and(|length| length != Ok(body.len())) {
        return Err(Unclear::new(
            "the proxy forwards another body than the request's `content-length` says; let it forward the whole body",
        ));
    }
    Ok(body)
}

/// Whether a request says that it has no body.
pub(super) fn is_absent<'a>(attributes: &impl Attributes<'a>) -> Result<bool, Unclear> {
    let header = |name| attributes.header(name).map_err(|fault| fault.of(name));
    let is_empty = header("content-length")?.is_none_or(|length| length == "0");
    Ok(is_empty && header("transfer-encoding")?.is_none())
}
