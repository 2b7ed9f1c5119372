//! Requests that a proxy describes in header fields.

use http::HeaderMap;

use super::original::texts;
use crate::proxy::{UnclearError, single};

/// The fields that describe a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Description<'a> {
    pub(super) method: &'a str,
    /// Empty where nothing says it.
    pub(super) host: &'a str,
    /// With the query.
    pub(super) path: &'a str,
}

/// The fields of one convention.
#[derive(Clone, Copy, Debug, Default)]
struct Family<'a> {
    method: Option<&'a str>,
    host: Option<&'a str>,
    path: Option<&'a str>,
}

impl<'a> Family<'a> {
    /// A description is complete if it has at least the method and the path.
    const fn is_complete(&self) -> bool {
        self.method.is_some() && self.path.is_some()
    }

    /// Combines two descriptions; an error if they disagree on a fact that both state.
    fn agreed(self, other: Self) -> Result<Description<'a>, UnclearError> {
        let host = other.host.filter(|_| other.is_complete());
        Ok(Description {
            method: agreed("method", self.method, other.method)?.unwrap_or_default(),
            host: agreed("host", self.host, host)?.unwrap_or_default(),
            path: agreed("path", self.path, other.path)?.unwrap_or_default(),
        })
    }
}

impl<'a> Description<'a> {
    /// By `X-Forwarded-*` (Caddy, Traefik) or `X-Original-*` (nginx).
    ///
    /// A proxy sets the fields of one convention, and its client may have sent those of the other: a convention counts
    /// whose method and path are both there, and the other must not say anything else. A client could set a field that
    /// no proxy sets, and would be believed; so a description with a missing part is not accepted.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, UnclearError> {
        let field = |name| single(texts(headers), name).map_err(|fault| fault.of(name));
        let forwarded = Family {
            method: field("x-forwarded-method")?,
            host: field("x-forwarded-host")?,
            path: field("x-forwarded-uri")?,
        };
        let (url_host, url_path) = field("x-original-url")?.map(parts).transpose()?.unzip();
        let original = Family {
            method: field("x-original-method")?,
            host: agreed("host", field("x-original-host")?, url_host)?,
            path: agreed("path", field("x-original-uri")?, url_path)?,
        };
        let described = match (original.is_complete(), forwarded.is_complete()) {
            (true, _) => original.agreed(forwarded)?,
            (false, true) => forwarded.agreed(original)?,
            (false, false) => {
                return Err(UnclearError::new(
                    "nothing says which request is meant; let the proxy set `x-forwarded-method` and `x-forwarded-uri`, or \
                     `x-original-method` and `x-original-uri`",
                ));
            }
        };
        if described.path.starts_with('/') {
            Ok(described)
        } else {
            Err(UnclearError::new(
                "the path of the described request does not begin with `/`; let the proxy send path and query as it \
                 received them",
            ))
        }
    }
}

fn agreed<'a>(
    what: &str,
    one: Option<&'a str>,
    other: Option<&'a str>,
) -> Result<Option<&'a str>, UnclearError> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(UnclearError::new(format!(
            "the header fields `x-forwarded-*` and `x-original-*` describe two requests: each names another {what}; let the \
             proxy set those of one kind and remove the others"
        ))),
        _ => Ok(one.or(other)),
    }
}

/// Host and path of a URL such as `https://mcp.example.com/mcp/aws?x=1`.
fn parts(url: &str) -> Result<(&str, &str), UnclearError> {
    let fault = || {
        UnclearError::new(
            "`x-original-url` is no URL with a host and a path; expected `https://<host>/<path>`",
        )
    };
    let (_, rest) = url.split_once("://").ok_or_else(fault)?;
    let path_at = rest.find('/').ok_or_else(fault)?;
    rest.split_at_checked(path_at).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn described(fields: &[(&str, &str)]) -> Result<[String; 3], UnclearError> {
        let fields = fields.iter().map(|(name, value)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        let description = Description::read(&headers)?;
        Ok([description.method, description.host, description.path].map(str::to_owned))
    }

    #[test]
    fn each_proxy_has_fields_of_its_own() {
        let expected = |host: &str| Ok(["POST", host, "/mcp/a?x=1"].map(str::to_owned));
        let caddy = [
            ("x-forwarded-method", "POST"),
            ("x-forwarded-uri", "/mcp/a?x=1"),
            ("x-forwarded-host", "h:1"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(described(&caddy), expected("h:1"));
        let nginx = [
            ("x-original-method", "POST"),
            ("x-original-uri", "/mcp/a?x=1"),
            ("x-original-host", "h"),
        ];
        assert_eq!(described(&nginx), expected("h"));
        let ingress = [
            ("x-original-method", "POST"),
            ("x-original-url", "https://h/mcp/a?x=1"),
        ];
        assert_eq!(described(&ingress), expected("h"));
        // Both, of one mind.
        assert_eq!(described(&[&caddy[..2], &ingress[..]].concat()), expected("h"));
        assert_eq!(described(&[&caddy[..], &nginx[..2]].concat()), expected("h:1"));
    }

    #[test]
    fn what_a_client_adds_is_not_believed() {
        let nginx = [("x-original-method", "POST"), ("x-original-uri", "/mcp/a")];
        // Of a convention that says too little nothing is taken over.
        let host = ("x-forwarded-host", "other");
        assert_eq!(
            described(&[&nginx[..], &[host]].concat()),
            Ok(["POST", "", "/mcp/a"].map(str::to_owned))
        );
        for added in [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-uri", "/mcp/b"),
            ("x-original-url", "http://h/mcp/b"),
            ("x-original-method", "POST"),
            ("x-original-uri", "/mcp/a"),
            ("x_original_method", "GET"),
            ("x.original.uri", "/mcp/b"),
            ("x_forwarded_uri", "/mcp/a"),
        ] {
            assert!(described(&[&nginx[..], &[added]].concat()).is_err(), "{added:?}");
        }
        let both = [
            ("x-forwarded-method", "POST"),
            ("x-forwarded-uri", "/mcp/a"),
            host,
            ("x-original-host", "h"),
        ];
        assert!(described(&[&nginx[..], &both[..]].concat()).is_err(), "two hosts");
    }

    #[test]
    fn half_a_description_is_none() {
        for fields in [
            &[][..],
            &[("x-original-method", "POST")],
            &[("x-original-uri", "/mcp/a")],
            // The proxy sets the one, its client the other.
            &[("x-original-uri", "/mcp/a"), ("x-forwarded-method", "GET")],
            &[("x-original-method", "POST"), ("x-original-uri", "")],
            &[("x-original-method", "OPTIONS"), ("x-original-uri", "*")],
            &[("x-original-method", "GET"), ("x-original-url", "http://h")],
            &[("x-original-method", "GET"), ("x-original-url", "/mcp/a")],
        ] {
            assert!(described(fields).is_err(), "{fields:?}");
        }
    }
}
