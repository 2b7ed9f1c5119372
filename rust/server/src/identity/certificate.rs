//! The names in a client certificate.

use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// Alternative names that are looked at; more than any certificate of one program has.
const MAX_NAMES: usize = 64;

/// The DNS names and URIs (SPIFFE ids) among the subject's alternative names, exactly as they are written.
///
/// The common name is not one of them: it has been no identity since RFC 6125.
pub(crate) fn names_in(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else {
        return Vec::new();
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        })
        .take(MAX_NAMES)
        .collect()
}
