//! The address of an issuer's keys, from the issuer's metadata (RFC 8414, `OpenID` Connect Discovery 1.0).

use callgate_core::json::{Kind, Tape, Value};
use http::Uri;

use super::config::{OauthError, secure};
use super::keys::KeysError;

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// Nesting of metadata. What is looked at stands in the outermost object.
const MAX_DEPTH: usize = 32;

/// The longest URL of keys: it ends up in the log where it fails.
const MAX_URL_BYTES: usize = 2_048;

/// An issuer whose metadata says where its keys are.
#[derive(Debug)]
pub(super) struct Discovery {
    issuer: String,
    /// The possible addresses of its metadata, the best first.
    places: Vec<Uri>,
}

impl Discovery {
    /// Creates the discovery of an issuer. Its metadata must arrive unchanged, so plain HTTP is allowed on this machine
    /// alone.
    pub(super) fn new(issuer: &str) -> Result<Self, OauthError> {
        let fault = || {
            OauthError::new(
                "issuer",
                "without `jwks` its keys are looked for there; expected a URL such as `https://login.example.com` without \
                 a query, or one of this machine by `http`",
            )
        };
        let uri = secure(issuer)
            .filter(|_| !issuer.contains(['?', '#']))
            .ok_or_else(fault)?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(fault)?;
        let path = uri.path().trim_end_matches('/');
        // RFC 8414 section 3 inserts before the issuer's path, `OpenID` appends to it, and servers that went from one to the
        // other insert both.
        let mut paths = vec![
            format!("{OAUTH}{path}"),
            format!("{path}{OPENID}"),
            format!("{OPENID}{path}"),
        ];
        paths.dedup();
        let places = paths
            .into_iter()
            .map(|path| format!("{scheme}://{authority}{path}").parse());
        Ok(Self {
            issuer: issuer.to_owned(),
            places: places.collect::<Result<_, _>>().map_err(|_| fault())?,
        })
    }

    pub(super) fn places(&self) -> &[Uri] {
        &self.places
    }

    /// Returns true if connections must be secure.
    pub(super) fn is_secure(&self) -> bool {
        self.places.iter().any(|uri| uri.scheme_str() == Some("https"))
    }

    /// Reads the address of the issuer's keys from this document.
    pub(super) fn keys_at(&self, document: &[u8]) -> Result<Uri, KeysError> {
        let fault = |text: &str| KeysError(text.to_owned());
        let mut tape = Tape::new();
        let root = tape
            .parse(document, MAX_DEPTH)
            .map_err(|error| KeysError(format!("it is no JSON: {error}")))?;
        if root.kind() != Kind::Object {
            return Err(fault("it is no JSON object"));
        }
        let text = |name: &str| root.get(name).and_then(Value::as_str);
        // RFC 8414 section 3.3: metadata of another issuer must not be used, or one could speak for the other.
        if text("issuer") != Some(&self.issuer) {
            return Err(fault("its `issuer` is not the configured one to the letter"));
        }
        let url = text("jwks_uri").ok_or_else(|| fault("it has no `jwks_uri`"))?;
        let expected = || {
            let scheme = if self.is_secure() { "https" } else { "http" };
            KeysError(format!(
                "its `jwks_uri` is no URL of at most {MAX_URL_BYTES} bytes by `{scheme}`"
            ))
        };
        secure(url)
            .filter(|uri| {
                url.len() <= MAX_URL_BYTES && (uri.scheme_str() == Some("https")) == self.is_secure()
            })
            .ok_or_else(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(issuer: &str) -> Vec<String> {
        let discovery = Discovery::new(issuer).unwrap();
        discovery.places().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn metadata_is_where_the_two_standards_say() {
        let plain = [
            "https://login.example.com/.well-known/oauth-authorization-server",
            "https://login.example.com/.well-known/openid-configuration",
        ];
        assert_eq!(places("https://login.example.com"), plain);
        assert_eq!(places("https://login.example.com/"), plain);
        let with_path = [
            "https://login.example.com:8443/.well-known/oauth-authorization-server/realms/a",
            "https://login.example.com:8443/realms/a/.well-known/openid-configuration",
            "https://login.example.com:8443/.well-known/openid-configuration/realms/a",
        ];
        assert_eq!(places("https://login.example.com:8443/realms/a"), with_path);
        assert_eq!(places("https://login.example.com:8443/realms/a/"), with_path);
        for issuer in [
            "",
            "login.example.com",
            "http://login.example.com",
            "http://127.0.0.1.example.com",
            "https://login.example.com?x=y",
            "https://login.example.com#x",
            "https://user:secret@login.example.com",
        ] {
            let fault = Discovery::new(issuer).expect_err(issuer).to_string();
            assert!(
                fault.contains("`gateway.oauth.issuer`") && !fault.contains("secret"),
                "{fault}"
            );
        }
    }

    #[test]
    fn keys_are_where_the_issuer_s_own_metadata_says() {
        let issuer = "https://login.example.com/a";
        let discovery = Discovery::new(issuer).unwrap();
        let keys_at = |document: &str| {
            let found = discovery.keys_at(document.as_bytes());
            found
                .map(|uri| uri.to_string())
                .map_err(|error| error.to_string())
        };
        let with =
            |jwks_uri: &str| format!(r#"{{"issuer": "{issuer}", "x": [{{}}], "jwks_uri": {jwks_uri}}}"#);
        for url in [
            "https://keys.example.net/jwks?x=y",
            "https://login.example.com:1/",
        ] {
            assert_eq!(keys_at(&with(&format!("\"{url}\""))).as_deref(), Ok(url));
        }
        for (document, reason) in [
            (String::new(), "no JSON"),
            ("<html>".to_owned(), "no JSON"),
            (format!("[{}]", with("\"https://a.example/\"")), "no JSON object"),
            ("{}".to_owned(), "`issuer`"),
            (
                with("\"https://a.example/\"").replace("com/a", "com/a/"),
                "`issuer`",
            ),
            (
                with("\"https://a.example/\"").replace("com/a", "com/A"),
                "`issuer`",
            ),
            (with("\"https://a.example/\"").replace("com/a", "com"), "`issuer`"),
            (
                with("\"https://a.example/\"").replace(&format!("\"{issuer}\""), &format!("[\"{issuer}\"]")),
                "`issuer`",
            ),
            (
                with("null").replace("{\"issuer\"", "{\"issuer\": \"x\", \"issuer\""),
                "no JSON",
            ),
            (with("null"), "no `jwks_uri`"),
            (with("[]"), "no `jwks_uri`"),
            (with("\"\""), "no URL"),
            (with("\"/jwks\""), "no URL"),
            (with("\"http://keys.example.net/\""), "no URL"),
            // Also on this machine: who could write there could be anybody of an issuer elsewhere.
            (with("\"http://127.0.0.1/\""), "no URL"),
            (with("\"file:///etc/passwd\""), "no URL"),
            (with("\"https://user:secret@keys.example.net/\""), "no URL"),
            (
                with(&format!("\"https://keys.example.net/{}\"", "x".repeat(2_048))),
                "no URL",
            ),
        ] {
            let error = keys_at(&document).expect_err(&document);
            assert!(
                error.contains(reason) && !error.contains("secret"),
                "{document}: {error}"
            );
        }
        let here = Discovery::new("http://127.0.0.1:1").unwrap();
        let of = |url: &str| {
            here.keys_at(format!(r#"{{"issuer": "http://127.0.0.1:1", "jwks_uri": "{url}"}}"#).as_bytes())
        };
        assert!(of("http://localhost:2/jwks").is_ok());
        assert!(of("https://keys.example.net/").is_err() && of("http://10.0.0.1/").is_err());
    }
}
