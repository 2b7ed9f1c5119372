//! The check of HTTP requests by `Host` and `Origin`.
//!
//! A web page can send requests to loopback, and with a name that it has rebound to 127.0.0.1 even read the answers. It
//! cannot choose `Host` and `Origin`, which name the page's own site.

use callgate_core::address::is_loopback_host;
use http::{HeaderMap, Uri, header};

use crate::listener::Listener;

/// The hosts that requests may name.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    allowed_hosts: Vec<String>,
    is_secure: bool,
}

impl Access {
    /// Loopback names are always allowed; these are too. `is_secure` says that TCP is asked over TLS.
    pub(crate) fn new(allowed_hosts: &[String], is_secure: bool) -> Self {
        Self {
            allowed_hosts: allowed_hosts.iter().map(|host| normal(host)).collect(),
            is_secure,
        }
    }

    /// The scheme of this server's addresses.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// Rejects a request over plain HTTP that may not be made.
    pub(crate) fn refusal(&self, listener: Listener, target: &Uri, headers: &HeaderMap) -> Option<String> {
        self.host_refusal(listener, target, headers)
            .or_else(|| self.origin_refusal(listener, headers).map(str::to_owned))
    }

    /// Rejects a request for where its page came from. Programs send no `Origin`.
    pub(crate) fn origin_refusal(&self, listener: Listener, headers: &HeaderMap) -> Option<&'static str> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let all_ours = origins.all(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            let site = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            site.and_then(without_port)
                .is_some_and(|host| self.is_allowed(host))
        });
        (listener != Listener::Socket && !all_ours).then_some(
            "requests from web pages of other sites are refused; expected an `origin` on loopback or an allowed host",
        )
    }

    /// On loopback every request must name a loopback host or an allowed one. On other addresses the names that lead
    /// there are not known, so `Host` is held only against a list that somebody has given.
    pub(crate) fn host_refusal(
        &self,
        listener: Listener,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Option<String> {
        let checked = match listener {
            Listener::Socket => false,
            Listener::Tcp { loopback } => loopback || !self.allowed_hosts.is_empty(),
        };
        if !checked {
            return None;
        }
        // HTTP/2 and absolute targets name the host there; where `Host` is sent as well, both must be right.
        let target = target.authority().map(http::uri::Authority::as_str);
        let sent = headers
            .get_all(header::HOST)
            .iter()
            .map(|host| host.to_str().unwrap_or_default());
        let mut names = target.into_iter().chain(sent).peekable();
        if names.peek().is_none() {
            return Some("expected a `host` field".to_owned());
        }
        let all_ours = names.all(|name| without_port(name).is_some_and(|host| self.is_allowed(host)));
        (!all_ours).then(|| {
            "this host name is not served; expected `localhost`, a loopback address or an allowed host"
                .to_owned()
        })
    }

    fn is_allowed(&self, host: &str) -> bool {
        let host = normal(host);
        is_loopback_host(&host) || self.allowed_hosts.contains(&host)
    }
}

/// Host names are compared without case and without the final dot.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn without_port(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(end)?;
    let port_fits = rest.is_empty()
        || rest
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    (port_fits && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const LOOPBACK: Listener = Listener::Tcp { loopback: true };
    const ELSEWHERE: Listener = Listener::Tcp { loopback: false };

    fn refused(access: &Access, listener: Listener, target: &str, fields: &[(HeaderName, &str)]) -> bool {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        access
            .refusal(listener, &target.parse().unwrap(), &fields.collect())
            .is_some()
    }

    #[test]
    fn loopback_serves_loopback_names() {
        let access = Access::new(&["Callgate.Internal".to_owned()], false);
        for host in [
            "localhost",
            "LOCALHOST:9191",
            "localhost.",
            "127.0.0.1:9191",
            "127.8.8.8",
            "[::1]",
            "[::1]:9191",
            "callgate.internal:80",
        ] {
            assert!(
                !refused(&access, LOOPBACK, "/v1/check", &[(header::HOST, host)]),
                "{host}"
            );
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost:x",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "user@localhost",
            "::1",
        ] {
            assert!(
                refused(&access, LOOPBACK, "/v1/check", &[(header::HOST, host)]),
                "{host}"
            );
        }
        assert!(refused(&access, LOOPBACK, "/v1/check", &[]), "no host at all");
    }

    #[test]
    fn every_name_must_be_right() {
        let access = Access::new(&[], false);
        assert!(!refused(&access, LOOPBACK, "http://localhost/v1/check", &[]));
        assert!(refused(
            &access,
            LOOPBACK,
            "http://evil.example/v1/check",
            &[(header::HOST, "localhost")]
        ));
        assert!(refused(
            &access,
            LOOPBACK,
            "http://localhost/v1/check",
            &[(header::HOST, "evil.example")]
        ));
    }

    #[test]
    fn elsewhere_only_a_given_list_counts() {
        let host = [(header::HOST, "callgate.example")];
        assert!(!refused(&Access::new(&[], false), ELSEWHERE, "/v1/check", &host));
        assert!(refused(
            &Access::new(&["other.example".to_owned()], false),
            ELSEWHERE,
            "/v1/check",
            &host
        ));
        assert!(!refused(
            &Access::new(&[], false),
            Listener::Socket,
            "/v1/check",
            &[]
        ));
    }

    #[test]
    fn origins_of_other_sites_are_refused_everywhere_but_on_the_socket() {
        let access = Access::new(&[], false);
        for listener in [LOOPBACK, ELSEWHERE] {
            for (origin, expected) in [
                ("http://localhost:3000", false),
                ("https://127.0.0.1", false),
                ("http://evil.example", true),
                ("null", true),
                ("file://", true),
            ] {
                let fields = [(header::HOST, "localhost"), (header::ORIGIN, origin)];
                assert_eq!(
                    refused(&access, listener, "/v1/check", &fields),
                    expected,
                    "{origin}"
                );
            }
        }
    }
}
