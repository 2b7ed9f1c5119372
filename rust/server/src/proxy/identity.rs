//! The caller.

use callgate_core::{Caller, grant::Token};

use super::{Attributes, UnclearError};
use crate::identity::bearer;

/// A place in a request that names the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// The caller's own token: `authorization: Bearer <token>`.
    Token,
    /// A header of this name, lower-case, that holds a grant's id. The proxy must set it, and remove one that clients
    /// send.
    Header(String),
    /// The SPIFFE ID of the client's certificate, which is the grant's id.
    Spiffe,
    /// A string in the dynamic metadata of another filter, such as a claim of a JWT, that holds a grant's id.
    Metadata {
        /// The filter's namespace, such as `envoy.filters.http.jwt_authn`.
        namespace: String,
        /// Keys from there to the string.
        path: Vec<String>,
    },
    /// The grant [`ANONYMOUS`], for every caller.
    Anonymous,
}

/// The name of all callers if callers are not identified.
pub const ANONYMOUS: &str = "anonymous";

const SPIFFE: &str = "spiffe://";

/// Returns the caller by the first source that the request has; a grant without a name if it has none.
pub(super) fn caller<'a>(
    sources: &[IdentitySource],
    attributes: &impl Attributes<'a>,
) -> Result<Caller<'a>, UnclearError> {
    if let Some(caller) = attributes.caller() {
        return Ok(caller);
    }
    for source in sources {
        if let Some(caller) = source.find(attributes)? {
            return Ok(caller);
        }
    }
    Ok(Caller::named(""))
}

impl IdentitySource {
    fn find<'a>(&self, attributes: &impl Attributes<'a>) -> Result<Option<Caller<'a>>, UnclearError> {
        let grant = match self {
            Self::Token => return token(attributes).map(|token| token.map(Caller::Token)),
            Self::Header(name) => attributes.header(name).map_err(|fault| fault.of(name))?,
            Self::Spiffe => attributes.principal().filter(|id| id.starts_with(SPIFFE)),
            Self::Metadata { namespace, path } => attributes.metadata(namespace, path),
            Self::Anonymous => Some(ANONYMOUS),
        };
        Ok(grant.map(Caller::named))
    }
}

fn token<'a>(attributes: &impl Attributes<'a>) -> Result<Option<Token<'a>>, UnclearError> {
    let field = attributes
        .header("authorization")
        .map_err(|fault| fault.of("authorization"))?;
    let token = field.map(bearer::of_field).transpose();
    // The value is a secret, even if it is malformed.
    token.map_err(|()| {
        UnclearError::new("the `authorization` header is no bearer token; expected `Bearer <token>`")
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;

    fn grant(sources: &[IdentitySource], request: &Fake) -> Result<String, UnclearError> {
        Ok(match caller(sources, request)? {
            Caller::Named { grant, .. } | Caller::Issued { grant, .. } => grant.to_owned(),
            Caller::Token(_) => "(token)".to_owned(),
            Caller::Contradictory => "(contradictory)".to_owned(),
        })
    }

    #[test]
    fn the_first_that_is_there_is_believed() {
        let sources = [
            IdentitySource::Header("x-agent".to_owned()),
            IdentitySource::Spiffe,
            IdentitySource::Metadata {
                namespace: "jwt".to_owned(),
                path: vec!["payload".to_owned(), "sub".to_owned()],
            },
            IdentitySource::Token,
        ];
        let mut request = Fake {
            headers: vec![("x-agent", "a"), ("authorization", "Bearer t")],
            principal: Some("spiffe://cluster/ns/a"),
            claim: Some("c"),
            ..Fake::default()
        };
        assert_eq!(grant(&sources, &request).unwrap(), "a");
        request.headers.remove(0);
        assert_eq!(grant(&sources, &request).unwrap(), "spiffe://cluster/ns/a");
        request.principal = Some("CN=somebody");
        assert_eq!(grant(&sources, &request).unwrap(), "c");
        request.claim = None;
        assert_eq!(grant(&sources, &request).unwrap(), "(token)");
        request.headers.clear();
        assert_eq!(grant(&sources, &request).unwrap(), "");
        assert_eq!(grant(&[], &request).unwrap(), "");
    }

    #[test]
    fn what_is_there_and_wrong_is_not_passed_over() {
        let sources = [
            IdentitySource::Token,
            IdentitySource::Header("x-agent".to_owned()),
        ];
        let basic = Fake {
            headers: vec![("authorization", "Basic cgt_secret"), ("x-agent", "a")],
            ..Fake::default()
        };
        let fault = grant(&sources, &basic).unwrap_err().to_string();
        assert!(!fault.contains("secret"), "{fault}");
        let twice = Fake {
            headers: vec![("x-agent", "a"), ("x-agent", "b")],
            ..Fake::default()
        };
        assert!(
            grant(&sources, &twice)
                .unwrap_err()
                .to_string()
                .contains("`x-agent`")
        );
        // There and empty is there.
        let empty = Fake {
            headers: vec![("x-agent", "")],
            claim: Some("c"),
            ..Fake::default()
        };
        assert_eq!(grant(&sources, &empty).unwrap(), "");
    }
}
