//! Configurations as plain Python values: mappings and sequences, read strictly.

use callgate_core::State;
use callgate_core::engine::Setup;
use callgate_core::grant::{GrantSpec, TokenDigest, TokenKey, TokenSpec};
use callgate_server::{PepSpec, TlsPem};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString};

use crate::error::Error;
use crate::load;

/// Builds a struct from the fields of a mapping, and refuses other fields except the one `beside` them. Each field is
/// named once, with the function that reads it.
macro_rules! build {
    (
        $fields:expr => $built:ident { $($field:ident: $($key:literal),+ => $read:expr),+ $(,)? }
        $(beside $other:literal)?
    ) => {{
        let fields = &$fields;
        fields.refuse_others(&[$($($key),+),+ $(, $other)?])?;
        $built { $($field: ($read)(fields, $($key),+)?,)+ }
    }};
}

pub(crate) use build;

/// Compiles a whole configuration without blocking other Python threads.
pub(crate) fn state(
    py: Python<'_>,
    (policies, servers, candidates): (&Bound<'_, PyAny>, &Bound<'_, PyAny>, Option<&Bound<'_, PyAny>>),
    (grants, grant_key): (Option<&Bound<'_, PyAny>>, Option<&[u8]>),
    catalogue: Option<&Bound<'_, PyAny>>,
    rate_limits: Option<&Bound<'_, PyAny>>,
) -> PyResult<State> {
    let documents: Vec<(String, (String, Vec<u8>))> = pairs("policies", policies)?;
    let servers: Vec<(String, Option<String>)> = pairs("servers", servers)?;
    let candidates: Vec<(String, String)> = match candidates {
        Some(candidates) => pairs("candidates", candidates)?,
        None => Vec::new(),
    };
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
            candidates,
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
        peps.push(build!(Fields::of("pep", index, "name", &item)? => PepSpec {
            name: "name" => Fields::required,
            tokens: "token_hash", "tokens" => Fields::tokens,
            certificate_names: "certificates" => Fields::or_default,
            unix_uids: "uids" => Fields::or_default,
            vouches: "vouches" => Fields::or_default,
        }));
    }
    Ok(peps)
}

/// The certificates of a server.
pub(crate) fn tls(mapping: &Bound<'_, PyAny>) -> PyResult<TlsPem> {
    Ok(build!(Fields::named("tls".to_owned(), mapping)? => TlsPem {
        certificate: "certificate" => Fields::required,
        key: "key" => Fields::required,
        client_ca: "client_ca" => Fields::optional,
    }))
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

/// Grants, each a mapping.
pub(crate) fn read_grants(list: &Bound<'_, PyAny>) -> PyResult<Vec<GrantSpec>> {
    let mut grants = Vec::with_capacity(list.len().unwrap_or_default());
    for (index, item) in list.try_iter()?.enumerate() {
        let item = item?;
        grants.push(build!(Fields::of("grant", index, "id", &item)? => GrantSpec {
            id: "id" => Fields::required,
            tokens: "token_hash", "tokens" => Fields::tokens,
            server: "server" => Fields::one_server,
            policy: "policy" => Fields::optional,
            servers: "servers" => Fields::pairs,
            labels: "labels" => Fields::pairs,
            expires_at_us: "expires_at_us" => Fields::optional,
            revoked: "revoked" => Fields::or_default,
        }));
    }
    Ok(grants)
}

/// The items of a mapping, in its order.
fn pairs<T: for<'py> FromPyObjectOwned<'py>>(
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

/// The fields of one mapping, and its place in the configuration.
pub(crate) struct Fields<'a, 'py> {
    place: String,
    mapping: &'a Bound<'py, PyMapping>,
}

impl<'a, 'py> Fields<'a, 'py> {
    /// The fields of a list's element; messages use its own name, if it has one.
    fn of(kind: &str, index: usize, name: &str, mapping: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        let own_name = mapping.get_item(name).ok();
        let own_name = own_name.and_then(|name| name.extract::<String>().ok());
        let place = own_name.map_or_else(
            || format!("{kind} number {}", index + 1),
            |name| format!("{kind} `{name}`"),
        );
        Self::named(place, mapping)
    }

    pub(crate) fn named(place: String, mapping: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        let mapping = as_mapping(&place, mapping)?;
        Ok(Self { place, mapping })
    }

    /// Refuses fields that are none of the `known` ones.
    pub(crate) fn refuse_others(&self, known: &[&str]) -> PyResult<()> {
        for key in self.mapping.keys()? {
            let name = key.str()?.to_string();
            if !key.is_instance_of::<PyString>() || !known.contains(&name.as_str()) {
                let mut known = known.to_vec();
                known.sort_unstable();
                let fault = format!("unknown field `{name}`; expected one of `{}`", known.join("`, `"));
                return Err(self.error(fault));
            }
        }
        Ok(())
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

    pub(crate) fn or_default<T: FromPyObjectOwned<'py> + Default>(&self, name: &str) -> PyResult<T> {
        Ok(self.optional(name)?.unwrap_or_default())
    }

    pub(crate) fn required<T: FromPyObjectOwned<'py>>(&self, name: &str) -> PyResult<T> {
        self.optional(name)?
            .ok_or_else(|| self.error(format!("`{name}` is missing; add it")))
    }

    /// The items of a mapping, in its order; empty without one.
    pub(crate) fn pairs<T: for<'t> FromPyObjectOwned<'t>>(&self, name: &str) -> PyResult<Vec<(String, T)>> {
        match self.optional::<Bound<'py, PyAny>>(name)? {
            Some(mapping) => pairs(&format!("{}: `{name}`", self.place), &mapping),
            None => Ok(Vec::new()),
        }
    }

    /// The error for a fault in this mapping.
    pub(crate) fn error(&self, fault: String) -> PyErr {
        Error::Value(self.place.clone(), fault).into()
    }

    pub(crate) fn py(&self) -> Python<'py> {
        self.mapping.py()
    }

    /// The server of a grant; empty if the grant has a list of servers.
    fn one_server(&self, name: &str) -> PyResult<String> {
        match self.optional::<Bound<'py, PyAny>>("servers")? {
            None => self.required(name),
            Some(_) => self.or_default(name),
        }
    }

    /// The tokens of an entry: one hash, or a list of hashes with their ends.
    fn tokens(&self, hash: &str, list: &str) -> PyResult<Vec<TokenSpec>> {
        let one = self.optional::<Bound<'py, PyAny>>(hash)?;
        let several = self.optional::<Bound<'py, PyAny>>(list)?;
        match (one, several) {
            (None, None) => Ok(Vec::new()),
            (Some(_), Some(_)) => {
                Err(self.error(format!("`{hash}` and `{list}` are both given; keep `{list}`")))
            }
            (Some(_), None) => Ok(vec![self.digest(hash)?.into()]),
            (None, Some(several)) => {
                let mut tokens = Vec::new();
                for (index, item) in several.try_iter()?.enumerate() {
                    let item = item?;
                    let place = format!("{}: token number {}", self.place, index + 1);
                    tokens.push(build!(Fields::named(place, &item)? => TokenSpec {
                        digest: "hash" => Fields::digest,
                        until_us: "until_us" => Fields::optional,
                    }));
                }
                Ok(tokens)
            }
        }
    }

    fn digest(&self, name: &str) -> PyResult<TokenDigest> {
        let text: String = self.required(name)?;
        TokenDigest::from_hex(&text).ok_or_else(|| {
            // Not shown: it may be the token itself.
            self.error(format!(
                "`{name}` is no hash; expected 64 hexadecimal digits, as `hash_token` gives them"
            ))
        })
    }
}

/// Reads a field that has this value by default.
pub(crate) fn or<'a, 'py, T: FromPyObjectOwned<'py>>(
    usual: T,
) -> impl FnOnce(&Fields<'a, 'py>, &str) -> PyResult<T> {
    |fields, name| Ok(fields.optional(name)?.unwrap_or(usual))
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
