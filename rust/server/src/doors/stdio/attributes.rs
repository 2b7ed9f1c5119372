//! The facts known of every line: the caller at the other end, and the server.

use crate::proxy::{Attributes, IdentitySource, ProxyConfig};

/// The namespace of [`IdentitySource::Metadata`] for what this process was started with.
const STARTED_WITH: &str = "callgate";
const GRANT: &str = "grant";

/// The caller at the other end.
#[derive(Clone)]
pub enum WrapCaller {
    /// The owner of this token.
    Token(String),
    /// The grant of this id, where no grants are configured.
    Grant(String),
}

impl std::fmt::Debug for WrapCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Grant(grant) => f.debug_tuple("Grant").field(grant).finish(),
        }
    }
}

/// The attributes of every line of one client.
#[derive(Debug)]
pub(super) struct LineAttributes {
    server: String,
    grant: Option<String>,
    /// The value that an HTTP request would have in `authorization`.
    authorization: Option<String>,
}

impl LineAttributes {
    pub(super) fn new(server: String, caller: WrapCaller) -> Self {
        let (grant, authorization) = match caller {
            WrapCaller::Grant(grant) => (Some(grant), None),
            WrapCaller::Token(token) => (None, Some(format!("Bearer {token}"))),
        };
        Self {
            server,
            grant,
            authorization,
        }
    }

    /// The reading of these attributes.
    pub(super) fn config(methods: callgate_mcp::Methods) -> ProxyConfig {
        let grant = IdentitySource::Metadata {
            namespace: STARTED_WITH.to_owned(),
            path: vec![GRANT.to_owned()],
        };
        ProxyConfig {
            identity: vec![IdentitySource::Token, grant],
            server: Vec::new(),
            paths: Vec::new(),
            methods,
            tool_errors: true,
            ..ProxyConfig::default()
        }
    }
}

impl<'a> Attributes<'a> for &'a LineAttributes {
    fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let authorization = self.authorization.as_deref();
        authorization
            .map(|value| ("authorization", Some(value)))
            .into_iter()
    }

    /// Every line is a message.
    fn method(&self) -> &'a str {
        "POST"
    }

    fn extension(&self, _: &str) -> Option<&'a str> {
        None
    }

    fn metadata(&self, namespace: &str, path: &[String]) -> Option<&'a str> {
        let is_grant = namespace == STARTED_WITH && path.iter().eq([GRANT]);
        self.grant.as_deref().filter(|_| is_grant)
    }

    fn principal(&self) -> Option<&'a str> {
        None
    }

    fn host(&self) -> &'a str {
        ""
    }

    fn path(&self) -> &'a str {
        ""
    }

    fn upstream(&self) -> Option<&'a str> {
        Some(&self.server)
    }
}

#[cfg(test)]
mod tests {
    use callgate_core::Caller;
    use callgate_mcp::Methods;

    use super::*;

    #[test]
    fn every_line_is_of_one_caller_and_for_one_server() {
        let config = LineAttributes::config(Methods::default());
        let grant = LineAttributes::new("aws".to_owned(), WrapCaller::Grant("laptop".to_owned()));
        let named = config.name(&&grant).expect("clear");
        assert_eq!(named.server, "aws");
        assert!(matches!(
            named.caller,
            Caller::Named {
                grant: "laptop",
                labels: []
            }
        ));
        let token = LineAttributes::new("aws".to_owned(), WrapCaller::Token("cgt_x".to_owned()));
        let named = config.name(&&token).expect("clear");
        assert!(matches!(named.caller, Caller::Token(_)) && named.tool.is_none());
    }

    #[test]
    fn a_token_is_not_shown() {
        let caller = WrapCaller::Token("cgt_secret".to_owned());
        assert_eq!(format!("{caller:?}"), "Token(..)");
    }
}
