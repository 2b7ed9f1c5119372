//! The issuers of callers' tokens in the `gateway` argument of `Server`: a mapping or a list of mappings, converted to
//! the data plane's configuration.

use callgate_gateway::oauth::{Algorithm, ClaimPath, JwksSource, OauthConfig};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::error::Error;
use crate::setup::{Fields, pairs};

const PLACE: &str = "gateway: `oauth`";
const FIELDS: [&str; 11] = [
    "issuer",
    "prefix",
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

/// Reads the mapping, or each mapping of the list.
pub(crate) fn configs(oauth: &Bound<'_, PyAny>) -> PyResult<Vec<OauthConfig>> {
    if oauth.cast::<PyMapping>().is_ok() {
        return Ok(vec![config(oauth)?]);
    }
    let configs: Vec<OauthConfig> = oauth
        .try_iter()
        .map_err(|_| config_error("expected a mapping or a list of them".to_owned()))?
        .map(|oauth| config(&oauth?))
        .collect::<PyResult<_>>()?;
    if configs.is_empty() {
        return Err(config_error(
            "expected at least one issuer, or none at all (`None`)".to_owned(),
        ));
    }
    Ok(configs)
}

fn config(oauth: &Bound<'_, PyAny>) -> PyResult<OauthConfig> {
    let fields = Fields::named(PLACE.to_owned(), &FIELDS, oauth)?;
    let jwks = match (fields.optional("jwks")?, fields.optional("jwks_url")?) {
        (Some(document), None) => JwksSource::Document(document),
        (None, Some(url)) => JwksSource::Url {
            url,
            ca_pem: fields.optional("jwks_ca")?,
        },
        (None, None) => JwksSource::Discovery {
            ca_pem: fields.optional("jwks_ca")?,
        },
        (Some(_), Some(_)) => return Err(config_error("expected `jwks` or `jwks_url`, not both".to_owned())),
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
        prefix: fields.optional("prefix")?.unwrap_or_default(),
        jwks,
        audience: fields.optional("audience")?,
        algorithms: algorithms
            .collect::<Result<_, String>>()
            .map_err(|error| config_error(format!("`algorithms`: {error}")))?,
        grant: ClaimPath::new(fields.required("grant")?),
        labels: paths.collect(),
        clock_skew_ms: fields.required("clock_skew_ms")?,
        scopes: fields.optional("scopes")?.unwrap_or_default(),
    })
}

fn config_error(message: String) -> PyErr {
    Error::Value(PLACE.to_owned(), message).into()
}
