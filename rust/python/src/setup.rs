//! Configurations as plain Python values: mappings and sequences, read strictly.

use std::collections::HashSet;

use callgate_core::State;
use callgate_core::engine::Setup;
use callgate_core::grant::{GrantSpec, TokenDigest, TokenKey};
use callgate_server::{PepSpec, TlsPem};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString};

use crate::error::Error;
use crate::load;

const GRANT_FIELDS: [&str; 7] = [
    "id",
    "token_hash",
    "server",
    "policy",
    "labels",
    "expires_at_us",
    "revoked",
];
const PEP_FIELDS: [&str; 5] = ["name", "token_hash", "certificates", "uids", "vouches"];
const TLS_FIELDS: [&str; 3] = ["certificate", "key", "client_ca"];

/// Compiles a whole configuration without blocking other Python threads.
pub(crate) fn state(
    py: Python<'_>,
    policies: &Bound<'_, PyAny>,
    servers: &Bound<'_, PyAny>,
    grants: Option<&Bound<'_, PyAny>>,
    grant_key: Option<&[u8]>,
    catalogue: Option<&Bound<'_, PyAny>>,
    rate_limits: Option<&Bound<'_, PyAny>>,
) -> PyResult<State> {
    let documents: Vec<(String, (String, Vec<u8>))> = pairs("policies", policies)?;
    let servers: Vec<(String, Option<String>)> = pairs("servers", servers)?;
    let grants = grants.map(read_grants).transpose()?;
    let grant_key = grant_key.map(|key| token_key("grant_key", key)).transpose()?;
    let catalogue = load::catalogue(catalogue)?;
    let rate_limits: Vec<(String, Vec<u8>)> = rate_limits
        .map(|list| extract("rate_limits", "the list", list))
        .transpose()?
        .unwrap_or_default();
    let state = py.detach(move || {
        let mut policies = Vec::with_capacity(documents.len());
        for (key, (file, bytes)) in documents {
            let policy = load::policy_of(&file, &bytes)?;
            policies.push((key, file, policy));
        }
        let rate_limits = rate_limits
            .iter()
            .map(|(file, bytes)| load::rate_limits_of(file, bytes))
            .collect::<Result<_, Error>>()?;
        let setup = Setup {
            policies,
            servers,
            grants,
            grant_key,
            rate_limits,
        };
        Ok::<_, Error>(State::configure(setup, catalogue)?)
    })?;
    Ok(state)
}

/// The enforcement points of a server.
pub(crate) fn peps(list: &Bound<'_, PyAny>) -> PyResult<Vec<PepSpec>> {
    let mut peps = Vec::new();
    for (index, item) in list.try_iter()?.enumerate() {
        let item = item?;
        let fields = Fields::of("pep", index, "name", &PEP_FIELDS, &item)?;
        peps.push(PepSpec {
            name: fields.required("name")?,
            token_digest: fields.digest()?,
            certificate_names: fields.optional("certificates")?.unwrap_or_default(),
            unix_uids: fields.optional("uids")?.unwrap_or_default(),
            vouches: fields.optional("vouches")?.unwrap_or_default(),
        });
    }
    Ok(peps)
}

/// The certificates of a server.
pub(crate) fn tls(mapping: &Bound<'_, PyAny>) -> PyResult<TlsPem> {
    let fields = Fields::named("tls".to_owned(), &TLS_FIELDS, mapping)?;
    Ok(TlsPem {
        certificate: fields.required("certificate")?,
        key: fields.required("key")?,
        client_ca: fields.optional("client_ca")?,
    })
}

/// A key of token hashes.
pub(crate) fn token_key(name: &str, key: &[u8]) -> PyResult<TokenKey> {
    let length = key.len();
    let key = <[u8; 32]>::try_from(key).map_err(|_| {
        let fault = format!("expected 32 bytes, got {length}; make one with `secrets.token_bytes(32)`");
        Error::Value(name.to_owned(), fault)
    })?;
    Ok(TokenKey::new(key))
}

fn read_grants(list: &Bound<'_, PyAny>) -> PyResult<Vec<GrantSpec>> {
    let mut grants = Vec::with_capacity(list.len().unwrap_or_default());
    for (index, item) in list.try_iter()?.enumerate() {
        let item = item?;
        let fields = Fields::of("grant", index, "id", &GRANT_FIELDS, &item)?;
        let labels: Option<Bound<'_, PyAny>> = fields.optional("labels")?;
        grants.push(GrantSpec {
            id: fields.required("id")?,
            token_digest: fields.digest()?,
            server: fields.required("server")?,
            policy: fields.optional("policy")?,
            labels: labels
                .map(|labels| pairs(&format!("{}: `labels`", fields.place), &labels))
                .transpose()?
                .unwrap_or_default(),
            expires_at_us: fields.optional("expires_at_us")?,
            revoked: fields.optional("revoked")?.unwrap_or_default(),
        });
    }
    Ok(grants)
}

/// The items of a mapping, in its order.
pub(crate) fn pairs<T: for<'py> FromPyObjectOwned<'py>>(
    place: &str,
    mapping: &Bound<'_, PyAny>,
) -> PyResult<Vec<(String, T)>> {
    let mapping = as_mapping(place, mapping)?;
    let mut pairs = Vec::with_capacity(mapping.len()?);
    for item in mapping.items()? {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        let key: String = extract(place, "a key", &key)?;
        let value = extract(place, &format!("`{key}`"), &value)?;
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// The fields of one mapping, all of them known, and its place in the configuration.
pub(crate) struct Fields<'a, 'py> {
    place: String,
    mapping: &'a Bound<'py, PyMapping>,
}

impl<'a, 'py> Fields<'a, 'py> {
    /// The fields of a list's element; messages use its own name, if it has one.
    fn of(
        kind: &str,
        index: usize,
        name: &str,
        known: &[&str],
        mapping: &'a Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        let own_name = mapping.get_item(name).ok();
        let own_name = own_name.and_then(|name| name.extract::<String>().ok());
        let place = own_name.map_or_else(
            || format!("{kind} number {}", index + 1),
            |name| format!("{kind} `{name}`"),
        );
        Self::named(place, known, mapping)
    }

    pub(crate) fn named(place: String, known: &[&str], mapping: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        let mapping = as_mapping(&place, mapping)?;
        let known: HashSet<&str> = known.iter().copied().collect();
        for key in mapping.keys()? {
            let name = key.str()?.to_string();
            if !key.is_instance_of::<PyString>() || !known.contains(name.as_str()) {
                let mut known: Vec<&str> = known.into_iter().collect();
                known.sort_unstable();
                let fault = format!("unknown field `{name}`; expected one of `{}`", known.join("`, `"));
                return Err(Error::Value(place, fault).into());
            }
        }
        Ok(Self { place, mapping })
    }

    pub(crate) fn optional<T: FromPyObjectOwned<'py>>(&self, name: &str) -> PyResult<Option<T>> {
        if !self.mapping.contains(name)? {
            return Ok(None);
        }
        let value = self.mapping.get_item(name)?;
        if value.is_none() {
            return Ok(None);
        }
        extract(&self.place, &format!("`{name}`"), &value).map(Some)
    }

    pub(crate) fn required<T: FromPyObjectOwned<'py>>(&self, name: &str) -> PyResult<T> {
        self.optional(name)?
            .ok_or_else(|| Error::Value(self.place.clone(), format!("`{name}` is missing; add it")).into())
    }

    fn digest(&self) -> PyResult<Option<TokenDigest>> {
        let Some(text) = self.optional::<String>("token_hash")? else {
            return Ok(None);
        };
        let digest = TokenDigest::from_hex(&text).ok_or_else(|| {
            // Not shown: it may be the token itself.
            let fault = "`token_hash` is no hash; expected 64 hexadecimal digits, as `hash_token` gives them";
            Error::Value(self.place.clone(), fault.to_owned())
        })?;
        Ok(Some(digest))
    }
}

fn as_mapping<'a, 'py>(place: &str, value: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyMapping>> {
    value.cast::<PyMapping>().map_err(|_| {
        let fault = format!("expected a mapping, got {}", type_name(value));
        Error::Value(place.to_owned(), fault).into()
    })
}

/// Extracts a value of the expected type. Messages name its type and never show it, because it may be a secret.
fn extract<'py, T: FromPyObjectOwned<'py>>(
    place: &str,
    name: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<T> {
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        let fault = format!(
            "{name} has the wrong type or range (got {}): {}",
            type_name(value),
            error.value(value.py())
        );
        Error::Value(place.to_owned(), fault).into()
    })
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().name();
    name.map_or_else(|_| "something else".to_owned(), |name| name.to_string())
}
