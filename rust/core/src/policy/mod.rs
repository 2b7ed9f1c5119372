//! Policies: document -> checked [`ast::Policy`] -> compiled matcher (`docs/policy.md`).

mod address;
mod approval;
pub mod ast;
mod catalogue;
mod check;
mod collected;
mod conflict;
mod digest;
mod document;
mod error;
pub(crate) mod fields;
mod fit;
mod limit;
pub(crate) mod number;
mod operator;
mod path;
mod pattern;
pub mod read;
mod rules;
pub mod schema;
mod schema_cost;
#[cfg(test)]
mod tests;
mod warnings;
mod window;

pub use catalogue::{Catalogue, ToolFacts};
pub use error::PolicyError;
pub(crate) use path::parse_argument_path;
pub use pattern::NamePattern;
pub(crate) use pattern::matches_parts;

/// The format of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259, duplicate keys refused.
    Json,
    /// YAML 1.2 with the structure of JSON.
    Yaml,
}

impl Format {
    /// YAML for `.yaml` and `.yml`, else JSON.
    pub fn of_file_name(name: &str) -> Self {
        let extension = name
            .rsplit_once('.')
            .map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("yaml" | "yml") => Self::Yaml,
            _ => Self::Json,
        }
    }
}

/// A document to read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The document's name in errors: the file's path as the user gave it, or e.g. `<policy>`.
    pub name: &'a str,
    /// The policy's name if the document has none: the file's stem.
    pub stem: &'a str,
    /// The format.
    pub format: Format,
    /// The document.
    pub bytes: &'a [u8],
}

/// Reads and checks a policy document (`docs/policy.md` sections 1, 3 and 4).
///
/// # Errors
///
/// The fault that is found first.
pub fn parse(source: &Source<'_>) -> Result<ast::Policy, PolicyError> {
    policy(source).map_err(|mut faults| read::locate(source, faults.swap_remove(0)))
}

/// Every fault of a policy document, in document order; none if [`parse`] accepts it. At most 100.
///
/// A fault that leaves no document to look into, such as one of JSON's grammar or another `version`, is the only one.
pub fn faults(source: &Source<'_>) -> Vec<PolicyError> {
    read::locate_all(source, policy(source).err().unwrap_or_default())
}

/// The policy, or its faults: at least one.
fn policy(source: &Source<'_>) -> Result<ast::Policy, Vec<read::DocumentError>> {
    let document = read::read(source).map_err(|fault| vec![fault])?;
    document::policy(&document, source.stem)
}

/// The published JSON Schema (2020-12) of the policy format, for editors.
pub fn json_schema() -> &'static str {
    include_str!("policy.schema.json")
}
