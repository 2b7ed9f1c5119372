//! TLS: certificates as PEM, checked when they are loaded, swapped as a whole.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

/// The protocols that are offered to clients, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Certificates and key of a listener, as the contents of PEM files.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsPem {
    /// The server's certificate, then those that lead to its authority.
    pub certificate: Vec<u8>,
    /// The private key of the server's certificate.
    pub key: Vec<u8>,
    /// Authorities of client certificates; with them every client must show one (mutual TLS).
    pub client_ca: Option<Vec<u8>>,
}

impl fmt::Debug for TlsPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsPem")
            .field("mutual", &self.client_ca.is_some())
            .finish_non_exhaustive()
    }
}

/// Faulty certificates: the part, what is wrong with it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tls {part}: {message}")]
pub struct TlsError {
    /// `certificate`, `key` or `client_ca`; empty where it is about none of them.
    pub part: &'static str,
    /// The fault and its remedy.
    pub message: String,
}

impl TlsError {
    fn new(part: &'static str, message: impl Into<String>) -> Self {
        Self {
            part,
            message: message.into(),
        }
    }
}

/// The certificates in force; a handshake takes those of its moment.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ArcSwap<ServerConfig>>,
}

impl Tls {
    pub(crate) fn new(pem: &TlsPem) -> Result<Self, TlsError> {
        let config = build(pem)?;
        Ok(Self {
            config: Arc::new(ArcSwap::from_pointee(config)),
        })
    }

    /// Checks other certificates.
    pub(crate) fn prepare(&self, pem: &TlsPem) -> Result<PreparedTls<'_>, TlsError> {
        let config = build(pem)?;
        Ok(PreparedTls { tls: self, config })
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

/// Certificates that were checked, and are not in force yet.
pub(crate) struct PreparedTls<'a> {
    tls: &'a Tls,
    config: ServerConfig,
}

impl PreparedTls<'_> {
    /// Puts them in force for new connections.
    pub(crate) fn put_in_force(self) {
        // Nothing of the old configuration is kept, so no session that it let in is resumed under the new one.
        self.tls.config.store(Arc::new(self.config));
    }
}

fn build(pem: &TlsPem) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates("certificate", &pem.certificate)?;
    let own = chain
        .first()
        .ok_or_else(|| TlsError::new("certificate", "there is none in it"))?;
    check_time("certificate", &parse("certificate", own)?)?;
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|_| {
        TlsError::new(
            "key",
            "no private key can be read from it; expected PEM with one key (PKCS#8, PKCS#1 or SEC1) that is not \
             encrypted",
        )
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new("", error.to_string()))?;
    let builder = match &pem.client_ca {
        None => builder.with_no_client_auth(),
        Some(authorities) => builder.with_client_cert_verifier(verifier(authorities, provider)?),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::new(
                "key",
                "it does not fit the certificate; configure the key that the certificate was made for",
            ),
            error => TlsError::new("key", format!("it cannot be used: {error}")),
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn verifier(
    authorities: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    const PART: &str = "client_ca";
    let mut roots = RootCertStore::empty();
    let mut expired = None;
    for certificate in certificates(PART, authorities)? {
        // A bundle may hold one that has had its day, beside its successor.
        match check_time(PART, &parse(PART, &certificate)?) {
            Ok(()) => roots.add(certificate).map_err(|error| {
                TlsError::new(PART, format!("a certificate in it cannot be used: {error}"))
            })?,
            Err(error) => expired = Some(error),
        }
    }
    if let (true, Some(error)) = (roots.is_empty(), expired) {
        return Err(error);
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsError::new(PART, format!("it cannot be used: {error}")))
}

/// The certificates of a PEM file, at least one.
fn certificates(part: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match list {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err(TlsError::new(
            part,
            "no certificate is in it; expected PEM with `BEGIN CERTIFICATE`",
        )),
        Err(error) => Err(TlsError::new(
            part,
            format!("it cannot be read: {error}; expected PEM with `BEGIN CERTIFICATE`"),
        )),
    }
}

fn parse<'c>(
    part: &'static str,
    certificate: &'c CertificateDer<'_>,
) -> Result<X509Certificate<'c>, TlsError> {
    match parse_x509_certificate(certificate) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(TlsError::new(
            part,
            "a certificate in it is damaged; write the file anew",
        )),
    }
}

/// By the machine's clock, as clients judge it.
fn check_time(part: &'static str, certificate: &X509Certificate<'_>) -> Result<(), TlsError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let ours = ASN1Time::from_timestamp(now).map_err(|error| TlsError::new(part, error.to_string()))?;
    let validity = certificate.validity();
    if ours > validity.not_after {
        return Err(TlsError::new(
            part,
            format!(
                "it expired at {}; configure one that is valid",
                validity.not_after
            ),
        ));
    }
    if ours < validity.not_before {
        return Err(TlsError::new(
            part,
            format!(
                "it is not valid before {}; configure one that is, or set the machine's clock",
                validity.not_before
            ),
        ));
    }
    Ok(())
}
