//! The trusted authorities of certificates.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::config::UpstreamError;

/// TLS towards a server: by these authorities, else by the system's.
pub(super) fn client(ca_pem: Option<&[u8]>) -> Result<ClientConfig, UpstreamError> {
    believing(match ca_pem {
        Some(pem) => given(pem)?,
        None => of_the_system()?,
    })
}

/// TLS that believes nobody, for a server that is asked without.
pub(super) fn nothing() -> Result<ClientConfig, UpstreamError> {
    believing(RootCertStore::empty())
}

fn believing(roots: RootCertStore) -> Result<ClientConfig, UpstreamError> {
    let provider = rustls::crypto::ring::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamError::new("url", format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn given(pem: &[u8]) -> Result<RootCertStore, UpstreamError> {
    let fault = |message: String| UpstreamError::new("ca", message);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| fault(format!("the file is no PEM: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| fault(format!("a certificate is no authority's: {error}")))?;
    }
    if roots.is_empty() {
        return Err(fault("the file holds no certificate; expected PEM".to_owned()));
    }
    Ok(roots)
}

fn of_the_system() -> Result<RootCertStore, UpstreamError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems hold some that are old or odd; one that cannot be read is one that is not believed.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(UpstreamError::new(
            "ca",
            "this system has no authorities to believe; install `ca-certificates`, or name a file",
        ));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_authority_is_told() {
        for (pem, message) in [
            (&b""[..], "no certificate"),
            (
                b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
                "no PEM",
            ),
        ] {
            let fault = client(Some(pem)).unwrap_err().to_string();
            assert!(fault.contains(message), "{fault}");
        }
    }
}
