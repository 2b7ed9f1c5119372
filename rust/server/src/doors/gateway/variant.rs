//! The variant of the client that asks, to which the server may show a list of its own (`docs/pinning.md`).

use callgate_gateway::pins::Variant;
use http::request::Parts;

use super::forward::SESSION;

/// Says which protocol version a client speaks, in versions that begin with a handshake.
const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// The client's variant: from the request itself, as since MCP 2026-07-28, otherwise from the beginning of its session.
/// Without a session, the protocol version alone is known.
pub(super) fn of_client(said: Option<Variant>, session: Option<&Variant>, parts: &Parts) -> Variant {
    said.or_else(|| session.cloned()).unwrap_or_else(|| {
        let version = parts.headers.get(PROTOCOL_VERSION);
        let version = version.filter(|_| !parts.headers.contains_key(SESSION));
        let version = version.and_then(|version| version.to_str().ok());
        version.map_or_else(Variant::unknown, Variant::of_version)
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_session_says_more_than_a_version() {
        let parts = |fields: &[(&str, &str)]| {
            let mut request = Request::builder();
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            request.body(()).unwrap().into_parts().0
        };
        let version = (PROTOCOL_VERSION, "2025-11-25");
        let session = ("mcp-session-id", "s");
        let said = Variant::parse("2026-07-28+roots");
        let began = Variant::parse("2025-11-25+sampling");
        let text = |said: Option<&Variant>, session: Option<&Variant>, fields: &[(&str, &str)]| {
            of_client(said.cloned(), session, &parts(fields))
                .text()
                .to_owned()
        };
        assert_eq!(
            text(said.as_ref(), began.as_ref(), &[session]),
            "2026-07-28+roots"
        );
        assert_eq!(
            text(None, began.as_ref(), &[session, version]),
            "2025-11-25+sampling"
        );
        assert_eq!(text(None, None, &[version]), "2025-11-25");
        // Of a session that says nothing nobody knows what its client declared.
        assert_eq!(text(None, None, &[session, version]), "unknown");
        assert_eq!(text(None, None, &[]), "unknown");
        assert_eq!(text(None, None, &[(PROTOCOL_VERSION, "a b")]), "unknown");
    }
}
