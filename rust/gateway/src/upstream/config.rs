//! The address of a server, and its limits.

use std::fmt;
use std::net::IpAddr;

use callgate_core::address::ends_in_number;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::resolver::is_link_local;
use crate::fields::are_alike;

/// One grant may have this part of a server's open requests.
const GRANT_PART: usize = 4;
/// And so many in any case: a stream, and a few calls beside it.
const LEAST_OF_ONE_GRANT: usize = 4;

/// The address of an MCP server, and its limits.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Its endpoint, such as `https://mcp.example.com/mcp`.
    pub url: String,
    /// Certificates in PEM of the authorities that are believed instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Fields sent with every request, in place of a client's of that name: names and values. The values are secrets.
    pub headers: Vec<(String, String)>,
    /// Connect to link-local addresses and to those of clouds' metadata services.
    pub allow_link_local: bool,
    /// The time limit of a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// The time limit until a reply begins, in milliseconds; lists of tools must be complete by then.
    pub answer_timeout_ms: u64,
    /// Requests open at once, streams included.
    pub max_requests: usize,
    /// Of those, how many one grant may have; `None`: see [`UpstreamConfig::most_of_one_grant`].
    pub max_requests_per_grant: Option<usize>,
    /// Connections that are kept for later requests.
    pub max_idle_connections: usize,
    /// The time for which an idle connection is kept, in milliseconds, if the server does not announce one.
    pub idle_timeout_ms: u64,
    /// The longest list of tools, or event of a stream that may hold one, in bytes, after decompression.
    pub list_limit_bytes: usize,
    /// Ask the server at the start, and every 30 s, whether it is an MCP server.
    pub probe: bool,
}

impl UpstreamConfig {
    /// A server at this URL, with the defaults of `callgate serve`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_pem: None,
            headers: Vec::new(),
            allow_link_local: false,
            connect_timeout_ms: 5_000,
            answer_timeout_ms: 300_000,
            max_requests: 1_024,
            max_requests_per_grant: None,
            max_idle_connections: 64,
            // Less than the 5 s of Node's and Python's usual servers.
            idle_timeout_ms: 4_000,
            list_limit_bytes: 16 * 1024 * 1024,
            probe: true,
        }
    }

    /// The number of requests that one grant may have open: by default a quarter of all, but as many as one client needs.
    pub fn most_of_one_grant(&self) -> usize {
        let usual = (self.max_requests / GRANT_PART).max(LEAST_OF_ONE_GRANT);
        self.max_requests_per_grant
            .unwrap_or(usual)
            .min(self.max_requests)
    }
}

impl fmt::Debug for UpstreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("UpstreamConfig")
            .field("url", &self.url)
            .field("headers", &names)
            .field("allow_link_local", &self.allow_link_local)
            .finish_non_exhaustive()
    }
}

/// An error in a server's configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{part}`: {message}")]
pub struct UpstreamError {
    /// The key that is to be changed.
    pub part: &'static str,
    /// The expected value.
    pub message: String,
}

impl UpstreamError {
    pub(crate) fn new(part: &'static str, message: impl Into<String>) -> Self {
        Self {
            part,
            message: message.into(),
        }
    }
}

/// An endpoint that can be asked.
pub(crate) fn endpoint(url: &str, allows_link_local: bool) -> Result<Uri, UpstreamError> {
    let fault = |message: &str| UpstreamError::new("url", message);
    let expected = "expected a URL such as `https://mcp.example.com/mcp`";
    let uri: Uri = url.parse().map_err(|_| fault(expected))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(fault(expected));
    }
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| fault(expected))?;
    // Who logs a URL logs the password in it.
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(fault(
            "a URL holds no password here; send it by `headers`, from a file",
        ));
    }
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    if address.is_err() && ends_in_number(host) {
        return Err(fault(
            "the host ends in a number and is no whole address; write four decimal numbers, such as `127.0.0.1`",
        ));
    }
    if address.is_ok_and(is_link_local) && !allows_link_local {
        return Err(fault(
            "the address is link-local or of a cloud's metadata service; set `allow_link_local` if that is meant",
        ));
    }
    Ok(uri)
}

/// The fields sent with every request; their values never show.
pub(crate) fn headers(headers: &[(String, String)]) -> Result<HeaderMap, UpstreamError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let fault = |message: String| UpstreamError::new("headers", message);
        let field: HeaderName = name
            .parse()
            .map_err(|_| fault(format!("`{name}` is no name of a header field")))?;
        let mut value: HeaderValue = value.parse().map_err(|_| {
            fault(format!(
                "the value of `{name}` cannot stand in a header field; expected one line"
            ))
        })?;
        if let Some(other) = map
            .keys()
            .find(|other| **other != field && are_alike(other, &field))
        {
            return Err(fault(format!(
                "`{name}` and `{other}` are one to servers that take `_` and `.` for `-`; keep one of them"
            )));
        }
        value.set_sensitive(true);
        if map.insert(field, value).is_some() {
            return Err(fault(format!(
                "`{name}` stands twice; names are compared without case"
            )));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_of_servers() {
        for url in [
            "http://127.0.0.1:8000/mcp",
            "https://mcp.example.com/a?b=c",
            "http://[::1]:1/",
        ] {
            assert!(endpoint(url, false).is_ok(), "{url}");
        }
        for url in [
            "",
            "/mcp",
            "mcp.example.com/mcp",
            "ftp://a/b",
            "http:///mcp",
            "https://user:secret@a/mcp",
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://169.254.43518/",
            "http://2852039166/mcp",
            "http://0xa9fea9fe/mcp",
            "http://0251.0376.0251.0376/",
            "http://169.254.169.254./",
        ] {
            let fault = endpoint(url, false).expect_err(url).to_string();
            assert!(!fault.contains("secret"), "{fault}");
        }
        assert!(endpoint("http://169.254.169.254/mcp", true).is_ok());
    }

    #[test]
    fn one_grant_has_a_part_of_all() {
        for (max_requests, of_grant, most) in [
            (1_024, None, 256),
            (8, None, 4),
            (3, None, 3),
            (1, None, 1),
            (8, Some(1), 1),
            (8, Some(8), 8),
            (8, Some(9), 8),
        ] {
            let config = UpstreamConfig {
                max_requests,
                max_requests_per_grant: of_grant,
                ..UpstreamConfig::at("http://a/")
            };
            assert_eq!(config.most_of_one_grant(), most, "{max_requests} {of_grant:?}");
        }
    }

    #[test]
    fn values_of_fields_never_show() {
        let config = UpstreamConfig {
            headers: vec![("authorization".to_owned(), "Bearer secret".to_owned())],
            ..UpstreamConfig::at("http://a/")
        };
        assert!(!format!("{config:?}").contains("secret"));
        let fault = headers(&[("x-key".to_owned(), "secret\nsecret".to_owned())]).unwrap_err();
        assert!(fault.to_string().contains("`x-key`") && !fault.to_string().contains("secret"));
        for (name, value) in [("", "a"), ("a b", "a")] {
            assert!(headers(&[(name.to_owned(), value.to_owned())]).is_err(), "{name}");
        }
        let twice = ["X-Key", "x-key"].map(|name| (name.to_owned(), "a".to_owned()));
        assert!(headers(&twice).is_err());
    }
}
