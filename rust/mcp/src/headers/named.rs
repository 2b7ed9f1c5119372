//! What header fields say where no body comes along.

use super::{Headers, METHOD, NAME, PROTOCOL_VERSION};
use crate::message::{TOOLS_CALL, method_fault, tool_fault};
use crate::refusal::{Reason, Refusal};

/// The first protocol version whose servers must refuse a body that differs from its fields.
pub const FIRST_MIRRORING_VERSION: &str = "2026-07-28";

/// A message by its header fields alone: without id and without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'h> {
    /// A call of the tool of this name.
    Call(&'h str),
    /// Any other request or notification.
    Other {
        /// The method.
        method: &'h str,
        /// What it is about, where a field says so.
        name: Option<&'h str>,
    },
}

impl Headers<'_> {
    /// What the fields alone say, for proxies that forward no body.
    ///
    /// Nothing here can be held against a body, so it is believed only where the server must do that itself: under
    /// [`FIRST_MIRRORING_VERSION`] or a later one. A name with a comma may be two fields that a proxy has joined, and is
    /// refused unless it came as base64.
    pub fn without_body(&self) -> Result<Named<'_>, Refusal<'static>> {
        let version = self.protocol_version.ok_or_else(|| missing(PROTOCOL_VERSION))?;
        if !mirrors(version) {
            let message = format!(
                "without a body the header fields alone say what is called, and they are checked from \
                 {FIRST_MIRRORING_VERSION} on; send `{PROTOCOL_VERSION}: {FIRST_MIRRORING_VERSION}` or have the proxy \
                 forward the body"
            );
            return Err(Refusal::new(Reason::HeaderVersion, message));
        }
        let method = self.method.ok_or_else(|| missing(METHOD))?;
        if let Some(message) = method_fault(method) {
            return Err(Refusal::new(Reason::Method, message));
        }
        if method != TOOLS_CALL {
            let name = self.name();
            return Ok(Named::Other { method, name });
        }
        let name = self.name.as_ref().ok_or_else(|| missing(NAME))?;
        if let Some(message) = tool_fault(&name.text) {
            return Err(Refusal::new(Reason::Tool, message));
        }
        if name.is_plain && name.text.contains(',') {
            let message = format!(
                "the field `{NAME}` holds a comma and may be two fields in one; send the name as `=?base64?...?=`"
            );
            return Err(Refusal::new(Reason::HeaderTwice, message));
        }
        Ok(Named::Call(&name.text))
    }
}

fn missing(field: &str) -> Refusal<'static> {
    let message = format!(
        "the field `{field}` is missing; without a body it is needed: send it, or have the proxy forward the body"
    );
    Refusal::new(Reason::HeaderMissing, message)
}

/// Whether a version is a date and not before the first that mirrors; dates of this form sort as text.
fn mirrors(version: &str) -> bool {
    let is_date = version.len() == FIRST_MIRRORING_VERSION.len()
        && version
            .bytes()
            .zip(FIRST_MIRRORING_VERSION.bytes())
            .all(|(byte, model)| {
                if model == b'-' {
                    byte == b'-'
                } else {
                    byte.is_ascii_digit()
                }
            });
    is_date && version >= FIRST_MIRRORING_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates() {
        for version in ["2026-07-28", "2026-12-01", "2031-01-01"] {
            assert!(mirrors(version), "{version}");
        }
        for version in [
            "",
            "2025-11-25",
            "2026-07-27",
            "DRAFT-2026-v1",
            "9",
            "2026-07-28x",
            "2026/07/28",
            "zzzz-zz-zz",
        ] {
            assert!(!mirrors(version), "{version}");
        }
    }
}
