//! The `audit` argument of `Server`: a mapping, converted to the data plane's configuration.

use std::path::PathBuf;

use callgate_server::{AuditConfig, AuditHead, AuditMode, AuditSigning, AuditTarget, EVERY_ALLOW, KeyPem};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::error::Error;

const KEYS: &str = "`path`, `mode`, `max_bytes`, `max_age_s`, `keep`, `sync_interval_ms`, `signing`";
const SIGNING_KEYS: &str = "a mapping with `key`, the content of a PEM file; `public_key`, 32 bytes or None; `former_keys`, of 32 bytes each; `statements`; \
                            `expires_unix_s`, seconds or None; `stream`; `checkpoint_interval_ms`; `logged_of_million`";
/// The highest number of rotated files; a larger one is a mistake, because each rotation renames all of them.
const MAX_KEPT_FILES: u32 = 1_000;

/// Reads the mapping; an absent key has the default of [`AuditConfig::new`].
pub(crate) fn config(audit: &Bound<'_, PyMapping>) -> PyResult<AuditConfig> {
    let mut config = AuditConfig::new(AuditTarget::Stdout);
    let mut path = None;
    for item in audit.items()?.iter() {
        let (key, value): (String, Bound<'_, PyAny>) = item
            .extract()
            .map_err(|_| config_error("expected its keys to be strings".to_owned()))?;
        match key.as_str() {
            "path" => {
                let given: PathBuf = value.extract().map_err(|_| wrong_value(&key, "a path, or `-`"))?;
                path = Some(given);
            }
            "mode" => {
                config.mode = mode(&value).ok_or_else(|| wrong_value(&key, "`best_effort` or `required`"))?;
            }
            "max_bytes" => config.max_bytes = count(&key, &value)?,
            "max_age_s" => config.max_age_s = count(&key, &value)?,
            "sync_interval_ms" => config.sync_interval_ms = count(&key, &value)?,
            "keep" => {
                config.keep = value
                    .extract()
                    .ok()
                    .filter(|keep| (1..=MAX_KEPT_FILES).contains(keep))
                    .ok_or_else(|| wrong_value(&key, "a number of files from 1 to 1000"))?;
            }
            "signing" => config.signing = Some(signing(&value)?),
            _ => return Err(config_error(format!("unknown key `{key}`, expected {KEYS}"))),
        }
    }
    let path = path.ok_or_else(|| {
        config_error("`path` is missing; name a file, or `-` for standard output".to_owned())
    })?;
    if path.as_os_str().is_empty() {
        return Err(wrong_value("path", "a path, or `-`"));
    }
    if path.as_os_str() != "-" {
        config.target = AuditTarget::File(path);
    }
    Ok(config)
}

/// Reads the mapping of the signatures.
fn signing(value: &Bound<'_, PyAny>) -> PyResult<AuditSigning> {
    let wrong = |_| wrong_value("signing", SIGNING_KEYS);
    let Signing {
        key,
        public_key,
        former_keys,
        statements,
        expires_unix_s,
        stream,
        checkpoint_interval_ms,
        logged_of_million,
    } = value.extract().map_err(wrong)?;
    if stream.is_empty() || !stream.chars().all(|one| one.is_ascii_graphic() && one != '+') {
        return Err(wrong_value(
            "stream",
            "printable ASCII characters without spaces and `+`",
        ));
    }
    if logged_of_million > EVERY_ALLOW {
        return Err(wrong_value("logged_of_million", "at most a million"));
    }
    Ok(AuditSigning {
        key: KeyPem(key),
        public_key,
        former_keys,
        statements,
        expires_unix_s,
        stream,
        checkpoint_interval_ms,
        logged_of_million,
    })
}

/// The keys of `signing`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Signing {
    key: Vec<u8>,
    public_key: Option<[u8; 32]>,
    former_keys: Vec<[u8; 32]>,
    statements: Vec<String>,
    expires_unix_s: Option<u64>,
    stream: String,
    checkpoint_interval_ms: u64,
    logged_of_million: u32,
}

/// The newest checkpoint of a signed decision log: its note, its origin, its size, and the number of the last admin change
/// under it that this process has written.
pub(crate) type Head = (String, String, u64, Option<u64>);

pub(crate) fn head(head: AuditHead) -> Head {
    (head.note, head.origin, head.size, head.admin_number)
}

fn mode(value: &Bound<'_, PyAny>) -> Option<AuditMode> {
    match value.extract::<String>().ok()?.as_str() {
        "best_effort" => Some(AuditMode::BestEffort),
        "required" => Some(AuditMode::Required),
        _ => None,
    }
}

fn count(key: &str, value: &Bound<'_, PyAny>) -> PyResult<u64> {
    value
        .extract()
        .map_err(|_| wrong_value(key, "a whole number, 0 for never"))
}

fn wrong_value(key: &str, expected: &str) -> PyErr {
    config_error(format!("`{key}`: expected {expected}"))
}

fn config_error(message: String) -> PyErr {
    Error::Audit(message).into()
}
