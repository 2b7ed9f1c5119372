//! The request that a proxy asks about, in the form in which it is judged.

use http::request::Parts;
use http::{HeaderMap, header};

use super::description::Description;
use super::{Form, PEP_FIELD};
use crate::proxy::{Attributes, UnclearError, single};

/// The fields in which a proxy that forwards no body repeats the client's fields about its body: the usual fields
/// describe the question itself.
const BODY_FIELDS: [(&str, &str); 2] = [
    ("x-original-content-length", "content-length"),
    ("x-original-transfer-encoding", "transfer-encoding"),
];

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Original<'a> {
    headers: &'a HeaderMap,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    /// True if the fields that frame the question's body frame the body of the request, too.
    is_framed_alike: bool,
}

impl<'a> Original<'a> {
    /// Reads the request that a question of this form is about.
    pub(super) fn of(form: Form, parts: &'a Parts, has_body: bool) -> Result<Self, UnclearError> {
        let headers = &parts.headers;
        if form == Form::Itself {
            let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
            return Ok(Self {
                headers,
                method: parts.method.as_str(),
                host: host(parts)?,
                path: target.strip_prefix(Form::PREFIX).unwrap_or_default(),
                is_framed_alike: true,
            });
        }
        let Description { method, host, path } = Description::read(headers)?;
        Ok(Self {
            headers,
            method,
            host,
            path,
            is_framed_alike: has_body,
        })
    }

    /// Converts the name of a question's field to that of the request's field; `None` for a field that is not of the
    /// request.
    fn name(&self, name: &'a str, value: Option<&str>) -> Option<&'a str> {
        if name == PEP_FIELD.as_str() {
            return None;
        }
        if self.is_framed_alike {
            return Some(name);
        }
        match BODY_FIELDS
            .iter()
            .find(|(told, own)| name == *told || name == *own)
        {
            // Some proxies send an empty field for one that the client did not send.
            Some((told, own)) => (name == *told && value != Some("")).then_some(*own),
            None => Some(name),
        }
    }
}

/// Returns the one host that a request names, in `Host` or in its target (HTTP/2 and absolute targets).
fn host(parts: &Parts) -> Result<&str, UnclearError> {
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    let name = header::HOST;
    let sent = single(texts(&parts.headers), name.as_str()).map_err(|fault| fault.of(name.as_str()))?;
    match (target, sent) {
        (Some(target), Some(sent)) if !target.eq_ignore_ascii_case(sent) => {
            Err(UnclearError::new("the request names two hosts; expected one"))
        }
        _ => Ok(target.or(sent).unwrap_or_default()),
    }
}

/// Returns every field with its value, `None` for a value that is not text.
pub(crate) fn texts(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).ok()))
}

impl<'a> Attributes<'a> for Original<'a> {
    fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let this = *self;
        texts(self.headers).filter_map(move |(name, value)| Some((this.name(name, value)?, value)))
    }

    fn method(&self) -> &'a str {
        self.method
    }

    /// Always `None`: over HTTP a client could have sent any such value itself.
    fn extension(&self, _name: &str) -> Option<&'a str> {
        None
    }

    fn metadata(&self, _namespace: &str, _path: &[String]) -> Option<&'a str> {
        None
    }

    /// Always `None`: the certificate of this connection is the proxy's.
    fn principal(&self) -> Option<&'a str> {
        None
    }

    fn host(&self) -> &'a str {
        self.host
    }

    fn path(&self) -> &'a str {
        self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::post(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn said<'a>(original: &Original<'a>, name: &str) -> Option<&'a str> {
        original.header(name).unwrap()
    }

    #[test]
    fn behind_the_prefix_is_the_request_itself() {
        let parts = question(
            "/v1/ext-authz/mcp/a?x=//",
            &[
                ("host", "h:1"),
                ("x-callgate-pep", "Bearer secret"),
                ("content-length", "3"),
                ("x-original-content-length", "9"),
            ],
        );
        let original = Original::of(Form::Itself, &parts, false).unwrap();
        assert_eq!(
            (original.method(), original.host(), original.path()),
            ("POST", "h:1", "/mcp/a?x=//")
        );
        assert_eq!(said(&original, "x-callgate-pep"), None);
        assert_eq!(said(&original, "content-length"), Some("3"));
    }

    #[test]
    fn a_request_has_one_host() {
        let of = |uri: &str, fields: &[(&str, &str)]| {
            let parts = question(uri, fields);
            Original::of(Form::Itself, &parts, false).map(|original| original.host().to_owned())
        };
        assert_eq!(of("http://H/v1/ext-authz/", &[("host", "h")]), Ok("H".to_owned()));
        assert_eq!(of("/v1/ext-authz/", &[]), Ok(String::new()));
        assert!(of("http://a/v1/ext-authz/", &[("host", "b")]).is_err());
        assert!(of("/v1/ext-authz/", &[("host", "a"), ("host", "a")]).is_err());
    }

    #[test]
    fn a_question_without_a_body_says_nothing_of_the_request_s() {
        let description = [("x-original-method", "POST"), ("x-original-uri", "/")];
        let fields = [
            &description[..],
            &[
                ("content-length", "0"),
                ("x-original-content-length", "7"),
                ("x-original-transfer-encoding", "chunked"),
            ],
        ]
        .concat();
        let parts = question("/v1/auth-request", &fields);
        let unseen = Original::of(Form::DescribedByNginx, &parts, false).unwrap();
        assert_eq!(said(&unseen, "content-length"), Some("7"));
        assert_eq!(said(&unseen, "transfer-encoding"), Some("chunked"));
        assert_eq!(said(&unseen, "x-original-content-length"), None);
        let fields = [&description[..], &[("x-original-content-length", "")]].concat();
        let parts = question("/v1/forward-auth", &fields);
        let nothing = Original::of(Form::Described, &parts, false).unwrap();
        assert_eq!(said(&nothing, "content-length"), None);
        let fields = [
            &description[..],
            &[("content-length", "0"), ("x-original-content-length", "7")],
        ]
        .concat();
        let parts = question("/v1/forward-auth", &fields);
        let forwarded = Original::of(Form::Described, &parts, true).unwrap();
        assert_eq!(said(&forwarded, "content-length"), Some("0"));
    }
}
