//! The reading of caller, server and tool from a proxy's requests, the same for every door for proxies.

mod header;
mod identity;
mod place;
mod target;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use callgate_core::{Args, Caller, Pep, Request};
use callgate_mcp::Methods;

pub use identity::{ANONYMOUS, IdentitySource};
pub use place::ServerSource;
pub use target::{PathTemplate, TemplateError};

pub(crate) use header::{Found, Singles, alike, single};

/// The places in a proxy's requests that name caller, server and tool.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Sources of the caller, in this order: the first one that a request has is used, and no later one is read.
    pub identity: Vec<IdentitySource>,
    /// Sources of the server, in this order, as above.
    pub server: Vec<ServerSource>,
    /// Servers by the host that a request names, lower-case and without a port; for [`ServerSource::Host`].
    pub hosts: HashMap<String, String>,
    /// Paths that name a server, a tool, both or nothing. If a path names a tool, or if the server is not read from the
    /// path, every request must match one of these. None: every path is accepted.
    pub paths: Vec<PathTemplate>,
    /// The methods of messages without a tool call that may pass.
    pub methods: Methods,
    /// Answers a denied call with status 200 and a tool result that is an error, as MCP servers do, instead of the
    /// status of the outcome: some clients show a model nothing else.
    pub tool_errors: bool,
    /// The namespace of dynamic metadata in which the proxy's MCP filter writes its reading of a body; other namespaces
    /// are not trusted for that.
    pub mcp_metadata: Option<String>,
}

/// The facts that a proxy sends about one request.
pub(crate) trait Attributes<'a> {
    /// Every header, by its lower-case name; `None` for a value that is no text.
    fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)>;
    /// The method of HTTP, upper-case.
    fn method(&self) -> &'a str;
    /// The value that the proxy's own configuration adds on this route.
    fn extension(&self, name: &str) -> Option<&'a str>;
    /// A string in the results of the proxy's other filters.
    fn metadata(&self, namespace: &str, path: &[String]) -> Option<&'a str>;
    /// The name in the client's certificate.
    fn principal(&self) -> Option<&'a str>;
    /// `Host` or `:authority`.
    fn host(&self) -> &'a str;
    /// Path and query, as the client sent them.
    fn path(&self) -> &'a str;

    /// The caller, if the door itself has identified it: then no source is read.
    fn caller(&self) -> Option<Caller<'a>> {
        None
    }

    /// The server that the proxy is about to call, if the door knows it; path and host are not read then. `Some("")` if
    /// the proxy calls several.
    fn upstream(&self) -> Option<&'a str> {
        None
    }

    /// The value of a header that may occur once: the result of [`single`].
    fn header(&self, name: &str) -> Found<'a> {
        single(self.headers(), name)
    }

    /// Every header as bytes. A value that was not text stays invalid.
    fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers()
            .map(|(name, value)| (name, value.map_or(&b"\xff"[..], str::as_bytes)))
    }
}

/// The reason why a request does not identify its caller or its target: a sentence for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnclearError(pub(crate) Cow<'static, str>);

impl UnclearError {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for UnclearError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The caller, the server and the tool of a request.
#[derive(Clone, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) caller: Caller<'a>,
    /// Empty for the server of the caller's token.
    pub(crate) server: Cow<'a, str>,
    /// The tool that the path names; its arguments are the body then.
    pub(crate) tool: Option<Cow<'a, str>>,
}

impl Named<'_> {
    /// Makes a request of this caller without a tool.
    pub(crate) fn request(&self, pep: Pep) -> Request<'_> {
        Request {
            caller: self.caller,
            pep,
            tool: "",
            server: &self.server,
            session: None,
            args: Args::NONE,
            reserve: None,
            pins: None,
            unseen_member: None,
        }
    }
}

impl ProxyConfig {
    /// Reads caller, server and tool of a request.
    pub(crate) fn name<'a>(&self, attributes: &impl Attributes<'a>) -> Result<Named<'a>, UnclearError> {
        if let Some(upstream) = attributes.upstream() {
            let server = place::by_extension(&self.server, attributes)?;
            return Ok(Named {
                caller: identity::caller(&self.identity, attributes)?,
                server: Cow::Borrowed(server.unwrap_or(upstream)),
                tool: None,
            });
        }
        let found = target::find(&self.paths, attributes.path())?;
        let names_tools = self.paths.iter().any(PathTemplate::names_tool);
        // Where paths name no more than the server, another source may have named it.
        let is_bound = names_tools || !self.paths.is_empty() && !self.server.contains(&ServerSource::Path);
        if is_bound && found.is_none() {
            // Some servers read `/Tools/x` and `/tools/x/` as `/tools/x`: a path that no template names is not read as
            // one for messages.
            return Err(UnclearError::new(
                "the path is none of those configured, which are compared as they are; use one of them exactly, or ask the \
                 operator to add it to `paths`",
            ));
        }
        let target = found.unwrap_or_default();
        let caller = identity::caller(&self.identity, attributes)?;
        Ok(Named {
            caller,
            server: place::server(&self.server, &self.hosts, target.server, &caller, attributes)?,
            tool: target.tool,
        })
    }
}

impl Default for ProxyConfig {
    /// The caller's token, and the server that the proxy's route names; else the path `/mcp/{server}`.
    fn default() -> Self {
        Self {
            identity: vec![IdentitySource::Token],
            server: vec![
                ServerSource::Extension("callgate-server".to_owned()),
                ServerSource::Path,
            ],
            hosts: HashMap::new(),
            paths: vec![PathTemplate::mcp()],
            methods: Methods::default(),
            tool_errors: false,
            mcp_metadata: None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The parts of a request.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Fake {
        pub(crate) headers: Vec<(&'static str, &'static str)>,
        pub(crate) extension: Option<(&'static str, &'static str)>,
        pub(crate) claim: Option<&'static str>,
        pub(crate) principal: Option<&'static str>,
        pub(crate) host: &'static str,
        pub(crate) path: &'static str,
    }

    impl Attributes<'static> for Fake {
        fn headers(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
            self.headers.iter().map(|(key, value)| (*key, Some(*value)))
        }

        fn method(&self) -> &'static str {
            "POST"
        }

        fn extension(&self, name: &str) -> Option<&'static str> {
            self.extension
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value)
        }

        fn metadata(&self, namespace: &str, path: &[String]) -> Option<&'static str> {
            self.claim
                .filter(|_| namespace == "jwt" && path == ["payload", "sub"])
        }

        fn principal(&self) -> Option<&'static str> {
            self.principal
        }

        fn host(&self) -> &'static str {
            self.host
        }

        fn path(&self) -> &'static str {
            self.path
        }
    }

    #[test]
    fn by_default_a_token_calls_what_the_route_or_the_path_names() {
        let config = ProxyConfig::default();
        let by_path = Fake {
            headers: vec![("authorization", "Bearer cgt_x")],
            path: "/mcp/github?a=/b",
            ..Fake::default()
        };
        let named = config.name(&by_path).unwrap();
        assert!(matches!(named.caller, Caller::Token(_)));
        assert_eq!((&*named.server, named.tool), ("github", None));
        let by_route = Fake {
            extension: Some(("callgate-server", "aws")),
            ..by_path
        };
        assert_eq!(config.name(&by_route).unwrap().server, "aws");
        for path in ["/other", "/mcp", "/mcp/github/", "/MCP/github", "/"] {
            let elsewhere = Fake {
                headers: vec![("authorization", "Bearer cgt_x")],
                path,
                ..Fake::default()
            };
            let fault = config.name(&elsewhere).unwrap_err().to_string();
            assert!(fault.contains("names no server"), "{fault}");
        }
    }

    #[test]
    fn where_nothing_asks_the_path_for_the_server_it_is_held_to_the_paths_all_the_same() {
        let always = vec![ServerSource::Always("one".to_owned())];
        let name = |paths: &[&str], path| {
            let config = ProxyConfig {
                server: always.clone(),
                paths: paths.iter().map(|path| path.parse().unwrap()).collect(),
                ..ProxyConfig::default()
            };
            let request = Fake {
                path,
                ..Fake::default()
            };
            config.name(&request).map(|named| named.server.into_owned())
        };
        assert_eq!(name(&["/mcp"], "/mcp"), Ok("one".to_owned()));
        for path in ["/admin/users/1", "/mcp/", "/Mcp", "/mcp/../admin", "//mcp"] {
            assert!(name(&["/mcp"], path).is_err(), "{path}");
        }
        assert_eq!(name(&[], "/anything"), Ok("one".to_owned()));
        assert!(name(&[], "/a/../b").is_err(), "read in different ways");
    }

    #[test]
    fn where_paths_name_tools_every_path_is_one_of_them() {
        let config = ProxyConfig {
            server: vec![ServerSource::Token],
            paths: ["/mcp", "/tools/{tool}"].map(|path| path.parse().unwrap()).into(),
            ..ProxyConfig::default()
        };
        let name = |path| {
            let request = Fake {
                headers: vec![("authorization", "Bearer cgt_x")],
                path,
                ..Fake::default()
            };
            config.name(&request).map(|named| named.tool.map(Cow::into_owned))
        };
        assert_eq!(name("/mcp?session=1"), Ok(None));
        assert_eq!(name("/tools/drop"), Ok(Some("drop".to_owned())));
        for path in ["/Tools/drop", "/tools/drop/", "/tools", "/", "/other"] {
            let fault = name(path).unwrap_err().to_string();
            assert!(fault.contains("`paths`"), "{path}: {fault}");
        }
    }
}
