//! The issuers of callers' tokens in the `gateway` argument of `Server`: a mapping or a list of mappings, converted to
//! the data plane's configuration.

use callgate_gateway::oauth::{Algorithm, ClaimPath, JwksSource, OauthConfig};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::error::Error;
use crate::setup::{Fields, build};

const PLACE: &str = "gateway: `oauth`";
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
    Ok(build!(Fields::named(PLACE.to_owned(), oauth)? => OauthConfig {
        issuer: "issuer" => Fields::required,
        prefix: "prefix" => Fields::or_default,
        jwks: "jwks", "jwks_url", "jwks_ca" => jwks,
        audience: "audience" => Fields::optional,
        algorithms: "algorithms" => algorithms,
        grant: "grant" => |fields: &Fields<'_, '_>, key| fields.required(key).map(ClaimPath::new),
        labels: "labels" => labels,
        clock_skew_ms: "clock_skew_ms" => Fields::required,
        scopes: "scopes" => Fields::or_default,
    }))
}

fn jwks(fields: &Fields<'_, '_>, document: &str, url: &str, ca: &str) -> PyResult<JwksSource> {
    match (fields.optional(document)?, fields.optional(url)?) {
        (Some(document), None) => Ok(JwksSource::Document(document)),
        (None, Some(url)) => Ok(JwksSource::Url {
            url,
            ca_pem: fields.optional(ca)?,
        }),
        (None, None) => Ok(JwksSource::Discovery {
            ca_pem: fields.optional(ca)?,
        }),
        (Some(_), Some(_)) => Err(fields.error(format!("expected `{document}` or `{url}`, not both"))),
    }
}

fn algorithms(fields: &Fields<'_, '_>, key: &str) -> PyResult<Vec<Algorithm>> {
    let names: Vec<String> = fields.required(key)?;
    names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, String>>()
        .map_err(|error| fields.error(format!("`{key}`: {error}")))
}

fn labels(fields: &Fields<'_, '_>, key: &str) -> PyResult<Vec<(String, ClaimPath)>> {
    let labels: Vec<(String, Vec<String>)> = fields.pairs(key)?;
    Ok(labels
        .into_iter()
        .map(|(name, claim)| (name, ClaimPath::new(claim)))
        .collect())
}

fn config_error(message: String) -> PyErr {
    Error::Value(PLACE.to_owned(), message).into()
}
