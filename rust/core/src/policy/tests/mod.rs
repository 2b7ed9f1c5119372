//! Whole documents that load or do not load, with their messages.

mod catalogues;
mod documents;
mod errors;
mod faults;
mod format;
mod properties;
mod read;
mod schemas;
mod warnings;

use super::ast::Policy;
use super::{Format, PolicyError, Source, parse};

fn load(format: Format, document: &str) -> Result<Policy, PolicyError> {
    let name = match format {
        Format::Json => "policy.json",
        Format::Yaml => "policy.yaml",
    };
    parse(&Source {
        name,
        stem: "policy",
        format,
        bytes: document.as_bytes(),
    })
}

fn json(document: &str) -> Result<Policy, PolicyError> {
    load(Format::Json, document)
}

fn yaml(document: &str) -> Result<Policy, PolicyError> {
    load(Format::Yaml, document)
}

/// A policy with one tool `x` of these rules.
fn with_rules(rules: &str) -> Result<Policy, PolicyError> {
    json(&format!(
        r#"{{"version":"1","default":"deny","tools":{{"x":{rules}}}}}"#
    ))
}
