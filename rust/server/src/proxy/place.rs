//! The server that a request is for.

use std::borrow::Cow;
use std::collections::HashMap;

use callgate_core::Caller;

use super::{Attributes, UnclearError};

/// A place in a request that names the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerSource {
    /// The value under this name that the proxy's own configuration adds on its routes.
    Extension(String),
    /// The host that the request names, by the table of hosts.
    Host,
    /// The path, by the templates.
    Path,
    /// The server of this name for every request.
    Always(String),
    /// The server of the caller's token, which is valid for one server.
    Token,
}

/// Returns the server by the first source that the request has; empty for the server of the caller's token.
pub(super) fn server<'a>(
    sources: &[ServerSource],
    hosts: &HashMap<String, String>,
    mut of_path: Option<Cow<'a, str>>,
    caller: &Caller<'_>,
    attributes: &impl Attributes<'a>,
) -> Result<Cow<'a, str>, UnclearError> {
    for source in sources {
        let found = match source {
            ServerSource::Extension(name) => attributes.extension(name).map(Cow::Borrowed),
            ServerSource::Host => {
                by_host(hosts, attributes.host()).map(|server| Cow::Owned(server.to_owned()))
            }
            ServerSource::Path => of_path.take(),
            ServerSource::Always(name) => Some(Cow::Owned(name.clone())),
            ServerSource::Token if matches!(caller, Caller::Token(_)) => return Ok(Cow::Borrowed("")),
            ServerSource::Token => None,
        };
        match found {
            Some(server) if server.is_empty() => return Err(empty()),
            Some(server) => return Ok(server),
            None => {}
        }
    }
    Err(UnclearError::new(
        "the request names no server; use a path such as `/mcp/<server>`, or ask the operator to name the server at the proxy \
         (`proxies.server`)",
    ))
}

/// Returns the server that the proxy's own configuration names, if it names one.
pub(super) fn by_extension<'a>(
    sources: &[ServerSource],
    attributes: &impl Attributes<'a>,
) -> Result<Option<&'a str>, UnclearError> {
    let extension = sources.iter().find_map(|source| match source {
        ServerSource::Extension(name) => attributes.extension(name),
        ServerSource::Host | ServerSource::Path | ServerSource::Always(_) | ServerSource::Token => None,
    });
    match extension {
        Some("") => Err(empty()),
        extension => Ok(extension),
    }
}

fn empty() -> UnclearError {
    UnclearError::new("the proxy names a server and its name is empty")
}

/// Finds the server of a host. Hosts compare without case, without a port and without a final dot, as in DNS.
fn by_host<'h>(hosts: &'h HashMap<String, String>, host: &str) -> Option<&'h str> {
    if hosts.is_empty() {
        return None;
    }
    let name = match host.rsplit_once(':') {
        // Not the last part of an IPv6 address, which ends with a bracket.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    hosts.get(&name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;

    #[test]
    fn hosts_compare_as_dns_does() {
        let hosts = HashMap::from([
            ("mcp.example.com".to_owned(), "a".to_owned()),
            ("[::1]".to_owned(), "b".to_owned()),
        ]);
        for (host, expected) in [
            ("mcp.example.com", Some("a")),
            ("MCP.Example.com.:8443", Some("a")),
            ("mcp.example.com:", Some("a")),
            ("[::1]:80", Some("b")),
            ("[::1]", Some("b")),
            ("mcp.example.com.evil", None),
            ("a.mcp.example.com", None),
            ("", None),
        ] {
            assert_eq!(by_host(&hosts, host), expected, "{host}");
        }
    }

    #[test]
    fn the_first_source_that_is_there_names_the_server() {
        let sources = [
            ServerSource::Extension("s".to_owned()),
            ServerSource::Path,
            ServerSource::Host,
        ];
        let hosts = HashMap::from([("h".to_owned(), "of-host".to_owned())]);
        let mut request = Fake {
            extension: Some(("s", "of-route")),
            host: "h",
            ..Fake::default()
        };
        let of_path = || Some(Cow::Borrowed("of-path"));
        let named = Caller::named("g");
        let find = |hosts: &_, of_path, request: &Fake| server(&sources, hosts, of_path, &named, request);
        assert_eq!(find(&hosts, of_path(), &request).unwrap(), "of-route");
        request.extension = Some(("s", ""));
        assert!(find(&hosts, of_path(), &request).is_err());
        request.extension = Some(("other", "x"));
        assert_eq!(find(&hosts, of_path(), &request).unwrap(), "of-path");
        assert_eq!(find(&hosts, None, &request).unwrap(), "of-host");
        assert!(find(&HashMap::new(), None, &request).is_err());
        let token = Caller::new("", "cgt_x", &[]);
        assert!(server(&sources, &HashMap::new(), None, &token, &request).is_err());
        let always = [ServerSource::Path, ServerSource::Always("one".to_owned())];
        assert_eq!(server(&always, &hosts, None, &named, &request).unwrap(), "one");
        let sources = [ServerSource::Path, ServerSource::Token];
        let find = |caller| server(&sources, &hosts, None, caller, &request);
        assert_eq!(find(&token).unwrap(), "");
        assert!(
            find(&named).is_err(),
            "a caller without a token has no server of its own"
        );
    }
}
