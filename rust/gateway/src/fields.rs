//! Which header fields go on, there and back.

use http::header::{
    ACCEPT_ENCODING, ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    RANGE, REFERER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
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

/// What a client says to the gateway and not to the server: who it is, how its request is framed, and where its page is.
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

/// What a request must not ask for whose reply is looked at: a part of it, one in another form, or none because it is known.
const AGAINST_READING: [HeaderName; 6] = [
    ACCEPT_ENCODING,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    RANGE,
];

/// What a server says to the gateway and not to the client: whom it believes, what it wants remembered, where else it is.
const OF_THE_SERVER: [HeaderName; 3] = [ALT_SVC, SET_COOKIE, WWW_AUTHENTICATE];

/// What begins the fields that proxies before a server add, and callgate's own.
const PREFIXES: [&str; 3] = [OURS, "x-forwarded-", "x-real-"];

/// What begins callgate's own.
const OURS: &str = "x-callgate-";

/// The fields of a request that go on to the server.
pub fn of_request(fields: &HeaderMap) -> HeaderMap {
    let named = named_by_connection(fields);
    let goes_on = |name: &HeaderName| {
        !(OF_ONE_HOP.contains(name)
            || OF_THE_CLIENT.contains(name)
            || AGAINST_READING.contains(name)
            || PREFIXES.iter().any(|prefix| is_alike(name.as_str(), prefix))
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
            || is_alike(name.as_str(), OURS)
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

/// Whether a name begins so, `_` and `.` taken for `-` as CGI-like servers do.
fn is_alike(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len()
        && name
            .bytes()
            .zip(prefix.bytes())
            .all(|(byte, expected)| byte == expected || expected == b'-' && matches!(byte, b'_' | b'.'))
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
            ("x-forwarded-for", "10.0.0.1"),
            ("x-hop", "1"),
            ("x-own", "1"),
        ]);
        let always = [
            "accept",
            "content-type",
            "mcp-param-region",
            "mcp-session-id",
            "x-own",
        ];
        assert_eq!(names(&of_request(&fields)), always);
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
