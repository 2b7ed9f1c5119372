//! The header fields that go on to the server, and back to the client.

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT,
    FORWARDED, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, ORIGIN, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, RANGE, REFERER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields of one connection (RFC 9110 section 7.6.1), and of proxies on the way.
const OF_ONE_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields that clients send to the gateway alone: credentials, the framing of the request, and the address of the page.
const OF_THE_CLIENT: [HeaderName; 8] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    COOKIE,
    EXPECT,
    FORWARDED,
    HOST,
    ORIGIN,
    REFERER,
];

/// Fields that prevent reading the reply: they ask for a part of it, for another form, or for none if it is known.
const AGAINST_READING: [HeaderName; 6] = [
    ACCEPT_ENCODING,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    RANGE,
];

/// Fields that must be spelt exactly so: other spellings are not checked, and a server could take them for these.
const AS_SPELT: [HeaderName; 2] = [CONTENT_TYPE, HeaderName::from_static("last-event-id")];

/// The prefix of MCP's fields, which must be spelt exactly as well.
const OF_MCP: &str = "mcp-";

/// The prefix of MCP's fields that repeat an argument. The rest of such a name belongs to a tool.
const OF_ARGUMENTS: &str = "mcp-param-";

/// Fields that servers send to the gateway alone: challenges, cookies and alternative addresses.
const OF_THE_SERVER: [HeaderName; 3] = [ALT_SVC, SET_COOKIE, WWW_AUTHENTICATE];

/// The prefixes of fields that proxies before a server add, and of callgate's own.
const PREFIXES: [&str; 3] = [OURS, "x-forwarded-", "x-real-"];

/// The prefix of CORS fields: the gateway decides which pages may read a reply.
const OF_PAGES: &str = "access-control-";

/// The prefix of callgate's own fields.
const OURS: &str = "x-callgate-";

/// The fields of a request that go on to the server.
pub fn of_request(fields: &HeaderMap) -> HeaderMap {
    let named = named_by_connection(fields);
    let goes_on = |name: &HeaderName| {
        let plain = &*plain(name);
        let is_respelt = plain != name && !name.as_str().starts_with(OF_ARGUMENTS);
        !(OF_ONE_HOP.contains(plain)
            || OF_THE_CLIENT.contains(plain)
            || AGAINST_READING.contains(plain)
            || PREFIXES.iter().any(|prefix| plain.as_str().starts_with(prefix))
            || is_respelt && (AS_SPELT.contains(plain) || plain.as_str().starts_with(OF_MCP))
            || named.contains(name))
    };
    filtered(fields, goes_on)
}

/// The fields of a reply that go on to the client.
pub fn of_reply(fields: &HeaderMap) -> HeaderMap {
    let named = named_by_connection(fields);
    filtered(fields, |name| {
        // What callgate says of a decision nobody else says.
        !(OF_ONE_HOP.contains(name)
            || OF_THE_SERVER.contains(name)
            || plain(name).as_str().starts_with(OURS)
            || name.as_str().starts_with(OF_PAGES)
            || named.contains(name))
    })
}

fn filtered(fields: &HeaderMap, goes_on: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        if goes_on(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// The fields that `Connection` says are of this connection alone.
fn named_by_connection(fields: &HeaderMap) -> Vec<HeaderName> {
    let values = fields.get_all(CONNECTION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

/// Takes out the fields that a server could take for one of this name.
pub fn remove_alike(fields: &mut HeaderMap, name: &HeaderName) {
    let alike: Vec<HeaderName> = fields
        .keys()
        .filter(|other| are_alike(other, name))
        .cloned()
        .collect();
    for other in alike {
        fields.remove(other);
    }
}

/// Returns true if two names are the same to servers that take `_` and `.` for `-`, as CGI does.
pub fn are_alike(name: &HeaderName, other: &HeaderName) -> bool {
    plain(name) == plain(other)
}

/// A name with `-` for each `_` and `.`.
fn plain(name: &HeaderName) -> Cow<'_, HeaderName> {
    if !name.as_str().contains(['_', '.']) {
        return Cow::Borrowed(name);
    }
    let plain = name.as_str().replace(['_', '.'], "-").parse();
    plain.map_or(Cow::Borrowed(name), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        fields.collect()
    }

    fn names(fields: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = fields.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_the_gateway_s_stays_with_it() {
        let fields = map(&[
            ("accept", "application/json, text/event-stream"),
            ("accept-encoding", "gzip"),
            ("authorization", "Bearer cgt_secret"),
            ("connection", "close, X-Hop"),
            ("content-type", "application/json"),
            ("cookie", "a=b"),
            ("host", "localhost"),
            ("mcp-param-region", "eu"),
            ("mcp-session-id", "s"),
            ("origin", "http://localhost"),
            ("x-callgate-rule", "forged"),
            ("x_callgate_rule", "forged"),
            ("x.callgate.rule", "forged"),
            ("content_length", "1"),
            ("content_type", "text/plain"),
            ("if_none_match", "x"),
            ("last_event_id", "1"),
            ("mcp_session_id", "forged"),
            ("mcp-session.id", "forged"),
            ("mcp_param_region", "us"),
            ("mcp-param-some_thing", "a tool's own"),
            ("proxy_authorization", "x"),
            ("transfer.encoding", "x"),
            ("x_forwarded.for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-hop", "1"),
            ("x-own", "1"),
        ]);
        let always = [
            "accept",
            "content-type",
            "mcp-param-region",
            "mcp-param-some_thing",
            "mcp-session-id",
            "x-own",
        ];
        assert_eq!(names(&of_request(&fields)), always);
    }

    #[test]
    fn names_that_a_server_may_take_for_one_are_taken_out_together() {
        let mut fields = map(&[
            ("x-tenant", "a"),
            ("x_tenant", "b"),
            ("x.tenant", "c"),
            ("x-tenants", "d"),
            ("xtenant", "e"),
        ]);
        remove_alike(&mut fields, &HeaderName::from_static("x-tenant"));
        assert_eq!(names(&fields), ["x-tenants", "xtenant"]);
        let mut fields = map(&[("x-tenant", "a"), ("x_tenant", "b")]);
        remove_alike(&mut fields, &HeaderName::from_static("x_tenant"));
        assert!(fields.is_empty());
    }

    #[test]
    fn fields_that_stand_twice_go_on_twice() {
        let mut fields = map(&[("x-own", "1")]);
        fields.append("x-own", HeaderValue::from_static("2"));
        assert_eq!(of_request(&fields).get_all("x-own").iter().count(), 2);
    }

    #[test]
    fn what_a_server_says_to_the_gateway_stays_there() {
        let fields = map(&[
            ("content-type", "application/json"),
            ("mcp-session-id", "s"),
            ("set-cookie", "a=b"),
            ("transfer-encoding", "chunked"),
            ("www-authenticate", "Bearer"),
            ("x-callgate-outcome", "allow"),
        ]);
        assert_eq!(names(&of_reply(&fields)), ["content-type", "mcp-session-id"]);
    }
}
