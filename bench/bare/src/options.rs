//! The command line.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

const DEFAULT_LISTEN: &str = "127.0.0.1:9292";

/// The listening addresses and the certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The TCP address.
    pub(crate) listen: SocketAddr,
    /// The path of an additional Unix socket, always in plain text.
    pub(crate) socket: Option<PathBuf>,
    /// Certificate chain and key (PEM) of the TCP address; plain text if absent.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
}

impl Options {
    /// Reads `--listen ADDRESS --socket PATH --tls-certificate FILE --tls-key FILE`, each optional.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let (mut listen, mut socket, mut certificate, mut key) =
            (DEFAULT_LISTEN.to_owned(), None, None, None);
        while let Some(option) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("expected a value after `{option}`"))
            };
            match option.as_str() {
                "--listen" => listen = value()?,
                "--socket" => socket = Some(value()?.into()),
                "--tls-certificate" => certificate = Some(value()?.into()),
                "--tls-key" => key = Some(value()?.into()),
                _ => {
                    return Err(format!(
                        "expected `--listen`, `--socket`, `--tls-certificate` or `--tls-key`, got `{option}`"
                    )
                    .into());
                }
            }
        }
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("expected both `--tls-certificate` and `--tls-key`, or neither".into()),
        };
        let listen = listen
            .parse()
            .map_err(|_| format!("expected an IP address and a port, got `{listen}`"))?;
        Ok(Self { listen, socket, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn read(words: &[&str]) -> Option<Options> {
        Options::read(words.iter().map(ToString::to_string)).ok()
    }

    #[test]
    fn every_option_is_read() {
        assert_eq!(read(&[]).unwrap().listen.port(), 9292);
        let all = [
            "--listen",
            "127.0.0.1:7",
            "--socket",
            "s",
            "--tls-certificate",
            "c",
            "--tls-key",
            "k",
        ];
        let options = read(&all).unwrap();
        assert_eq!(options.listen.port(), 7);
        assert_eq!(options.socket, Some("s".into()));
        assert_eq!(options.tls, Some(("c".into(), "k".into())));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for words in [
            &["--listen"][..],
            &["--port", "7"],
            &["--listen", "localhost"],
            &["--tls-key", "k"],
        ] {
            assert_eq!(read(words), None, "{words:?}");
        }
    }
}
