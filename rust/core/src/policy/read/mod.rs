//! Documents as trees with positions, the same from JSON and from YAML: policies, catalogues, files of
//! rate limits, and through `callgate-python` the configuration and what `callgate convert` reads.

mod cursor;
mod json;
mod node;
mod scalar;
mod yaml;

pub use node::{Content, DocumentError, Member, Node, Position, Read};
pub(crate) use node::{check_name, quoted};

use super::{Format, PolicyError, Source};

/// The deepest nesting of a document, as in calls.
const MAX_DEPTH: usize = 64;

/// The largest document in bytes: several times the largest policy that people write or generate.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Reads a document of either format.
pub(crate) fn read(source: &Source<'_>) -> Read<Node> {
    if source.bytes.len() > MAX_BYTES {
        return Err(DocumentError::at(
            Position::START,
            format!(
                "the document has {} bytes, expected at most {MAX_BYTES}; split it",
                source.bytes.len()
            ),
        ));
    }
    document(source.format, source.bytes)?
        .ok_or_else(|| DocumentError::at(Position::START, "the document is empty, expected an object"))
}

/// Reads a document of any size; `None` if it is empty.
///
/// # Errors
///
/// The first fault: the document is not of this format, or says what JSON cannot.
pub fn document(format: Format, bytes: &[u8]) -> Read<Option<Node>> {
    match format {
        Format::Json => json::read(bytes),
        Format::Yaml => yaml::read(bytes),
    }
}

/// Adds the document's name to its faults, and puts them in its order.
pub(crate) fn locate_all(source: &Source<'_>, mut faults: Vec<DocumentError>) -> Vec<PolicyError> {
    faults.sort_by_key(|fault| (fault.at.line, fault.at.column));
    faults.into_iter().map(|fault| locate(source, fault)).collect()
}

/// Adds the document's name to a fault.
pub(crate) fn locate(source: &Source<'_>, error: DocumentError) -> PolicyError {
    PolicyError {
        file: source.name.to_owned(),
        line: error.at.line,
        column: error.at.column,
        message: error.message,
    }
}
