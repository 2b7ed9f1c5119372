//! The target of a load test: `HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.

use std::path::PathBuf;

use crate::error::LoadError;

/// The target of a load test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The target as the user named it.
    text: String,
    place: Place,
}

/// The address of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// TCP, with or without TLS.
    Tcp {
        /// A name or an address, without the brackets of IPv6.
        host: String,
        port: u16,
        is_tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Target {
    /// Reads a target.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        let place = if let Some(path) = text.strip_prefix("unix:") {
            // gRPC writes absolute paths both with and without an empty authority.
            let path = path.strip_prefix("//").unwrap_or(path);
            (!path.is_empty()).then(|| Place::Unix(PathBuf::from(path)))
        } else if let Some(rest) = text.strip_prefix("https://") {
            tcp(rest, true)
        } else {
            tcp(text.strip_prefix("http://").unwrap_or(text), false)
        };
        let place = place.ok_or_else(|| {
            LoadError::Option(format!(
                "bad target `{text}`: expected HOST:PORT, https://HOST:PORT or unix:PATH"
            ))
        })?;
        Ok(Self {
            text: text.to_owned(),
            place,
        })
    }

    /// The target as the user named it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Returns whether connections use TLS.
    pub const fn is_tls(&self) -> bool {
        matches!(self.place, Place::Tcp { is_tls: true, .. })
    }

    /// The authority of requests.
    pub(crate) fn authority(&self) -> String {
        match &self.place {
            Place::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp { host, port, .. } => format!("{host}:{port}"),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }
}

fn tcp(text: &str, is_tls: bool) -> Option<Place> {
    let (host, port) = text.strip_suffix('/').unwrap_or(text).rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    let host = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().ok().map(|_| bare)?,
        None => Some(host).filter(|host| !host.is_empty() && host.chars().all(is_name))?,
    };
    Some(Place::Tcp {
        host: host.to_owned(),
        port: port.parse().ok().filter(|port| *port != 0)?,
        is_tls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (text, authority, is_tls) in [
            ("127.0.0.1:9191", "127.0.0.1:9191", false),
            ("callgate:80", "callgate:80", false),
            ("http://localhost:1/", "localhost:1", false),
            ("https://gate.example:443", "gate.example:443", true),
            ("[::1]:9191", "[::1]:9191", false),
            ("unix:/run/s", "localhost", false),
            ("unix:///run/s", "localhost", false),
            ("unix:s", "localhost", false),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(
                (target.authority().as_str(), target.is_tls()),
                (authority, is_tls)
            );
            assert_eq!(target.as_str(), text);
        }
        assert_eq!(
            Target::parse("unix:///run/s").unwrap().place(),
            &Place::Unix(PathBuf::from("/run/s"))
        );
    }

    #[test]
    fn what_is_no_target() {
        for text in [
            "",
            "localhost",
            ":80",
            "a:0",
            "a:65536",
            "a:b",
            "unix:",
            "a b:1",
            "::1:80",
            "[x]:1",
            "https://a/b:1",
        ] {
            let message = Target::parse(text).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("bad target `{text}`: expected")),
                "{message}"
            );
        }
    }
}
