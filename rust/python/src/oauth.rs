//! The issuer of callers' tokens in the `gateway` argument of `Server`: a mapping, read into the data plane's configuration.

use callgate_gateway::oauth::{Algorithm, ClaimPath, JwksSource, OauthConfig};
use pyo3::prelude::*;

use crate::error::Error;
use crate::setup::{Fields, pairs};

const PLACE: &str = "gateway: `oauth`";
const FIELDS: [&str; 10] = [
    "issuer",
    "jwks",
    "jwks_url",
    "jwks_ca",
    "audience",
    "algorithms",
    "grant",
    "labels",
    "clock_skew_ms",
    "scopes",
];

/// Reads the mapping.
pub(crate) fn config(oauth: &Bound<'_, PyAny>) -> PyResult<OauthConfig> {
    let fields = Fields::named(PLACE.to_owned(), &FIELDS, oauth)?;
    let jwks = match (fields.optional("jwks")?, fields.optional("jwks_url")?) {
        (Some(document), None) => JwksSource::Document(document),
        (None, Some(url)) => JwksSource::Url {
            url,
            ca_pem: fields.optional("jwks_ca")?,
        },
        _ => return Err(fault("expected either `jwks` or `jwks_url`".to_owned())),
    };
    let names: Vec<String> = fields.required("algorithms")?;
    let algorithms = names.iter().map(|name| name.parse::<Algorithm>());
    let labels: Option<Bound<'_, PyAny>> = fields.optional("labels")?;
    let labels: Vec<(String, Vec<String>)> = labels
        .map(|labels| pairs(&format!("{PLACE}: `labels`"), &labels))
        .transpose()?
        .unwrap_or_default();
    let paths = labels
        .into_iter()
        .map(|(name, claim)| (name, ClaimPath::new(claim)));
    Ok(OauthConfig {
        issuer: fields.required("issuer")?,
        jwks,
        audience: fields.optional("audience")?,
        algorithms: algorithms
            .collect::<Result<_, String>>()
            .map_err(|error| fault(format!("`algorithms`: {error}")))?,
        grant: ClaimPath::new(fields.required("grant")?),
        labels: paths.collect(),
        clock_skew_ms: fields.required("clock_skew_ms")?,
        scopes: fields.optional("scopes")?.unwrap_or_default(),
    })
}

fn fault(fault: String) -> PyErr {
    Error::Value(PLACE.to_owned(), fault).into()
}
