//! The endpoint of a server.

use callgate_core::json::ValueWriter;

use super::digest::Digest;

/// Characters of an endpoint that are kept for people.
const MAX_SHOWN_CHARACTERS: usize = 1024;

/// The endpoint of a server: a URL, or the command that starts it. A tool at another endpoint is another tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    shown: Box<str>,
    digest: Digest,
}

impl Endpoint {
    /// A server behind a URL. A user and a password in it are no part of the endpoint, since they may change as secrets
    /// do; its query is, but is not shown, since it may hold one.
    pub fn url(url: &str) -> Self {
        let url = without_user(url);
        let shown = url
            .find(['?', '#'])
            .and_then(|end| url.get(..end))
            .unwrap_or(&url);
        Self::new(shown, &["http", &url])
    }

    /// A server that a command starts.
    pub fn command<'a>(program: &'a str, args: impl IntoIterator<Item = &'a str>) -> Self {
        let mut words = vec!["stdio", program];
        words.extend(args);
        let shown = words.get(1..).unwrap_or_default().join(" ");
        Self::new(&shown, &words)
    }

    /// Creates an endpoint from its record.
    pub(super) fn recorded(shown: &str, digest: Digest) -> Self {
        Self {
            shown: shown.into(),
            digest,
        }
    }

    fn new(shown: &str, words: &[&str]) -> Self {
        let mut text = String::new();
        ValueWriter::new(&mut text).texts(words.iter().copied());
        Self {
            shown: shown.chars().take(MAX_SHOWN_CHARACTERS).collect(),
            digest: Digest::of(&text),
        }
    }

    /// The form that people may see.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Its digest: SHA-256 of the canonical JSON of `["http", URL]` or `["stdio", PROGRAM, ARGUMENT...]`.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// The URL without what stands before an `@` in its authority.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let url = Endpoint::url("https://user:pass@host:8443/mcp?key=secret#f");
        assert_eq!(url.shown(), "https://host:8443/mcp");
        assert_eq!(
            url,
            Endpoint::url("https://other:word@host:8443/mcp?key=secret#f")
        );
        let other = Endpoint::url("https://host:8443/mcp?key=another");
        assert_eq!(other.shown(), url.shown());
        assert_ne!(other.digest(), url.digest());
    }

    #[test]
    fn a_command_is_all_of_its_words() {
        let command = Endpoint::command("npx", ["-y", "server@1.0"]);
        assert_eq!(command.shown(), "npx -y server@1.0");
        for other in [
            Endpoint::command("npx", ["-y", "server@1.1"]),
            Endpoint::command("npx", ["-y server@1.0"]),
            Endpoint::command("npx -y server@1.0", []),
            Endpoint::url("npx -y server@1.0"),
        ] {
            assert_ne!(other.digest(), command.digest(), "{other:?}");
        }
    }

    #[test]
    fn an_at_in_the_path_is_no_user() {
        let url = Endpoint::url("http://127.0.0.1:8000/@scope/mcp");
        assert_eq!(url.shown(), "http://127.0.0.1:8000/@scope/mcp");
    }
}
