//! TLS of a target: trusted authorities and client certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::LoadError;

/// Files in PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The authorities that may have signed the target's certificate.
    pub ca: Option<PathBuf>,
    /// The client certificate, for mutual TLS.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// The TLS configuration of connections; `None` for a target without TLS.
    pub(crate) fn config(&self, is_tls: bool) -> Result<Option<Arc<ClientConfig>>, LoadError> {
        let option = |message: &str| Err(LoadError::Option(message.to_owned()));
        if !is_tls {
            if self.ca.is_some() || self.certificate.is_some() || self.key.is_some() {
                return option("TLS files go with a target that begins with `https://`");
            }
            return Ok(None);
        }
        let Some(ca) = &self.ca else {
            return option(
                "a target with TLS needs the authority that signed its certificate; give --tls-ca",
            );
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| unusable(ca, &error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| LoadError::Machine(error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let own =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| bad_pem(key, error, "private key"))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, own)
                    .map_err(|error| unusable(certificate, &error))?
            }
            _ => return option("--tls-cert and --tls-key go together; give both or neither"),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let bad = |error| bad_pem(path, error, "certificate");
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(bad)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(bad)?;
    if certificates.is_empty() {
        return Err(bad(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn bad_pem(path: &Path, error: pem::Error, expected: &str) -> LoadError {
    match error {
        pem::Error::Io(error) => LoadError::unreadable(path, error),
        _ => LoadError::Option(format!("`{}` holds no {expected} in PEM", path.display())),
    }
}

fn unusable(path: &Path, error: &rustls::Error) -> LoadError {
    LoadError::Option(format!("`{}` cannot be used: {error}", path.display()))
}
