//! Documents from files, folders and Python values.

use std::fs;
use std::path::{Path, PathBuf};

use callgate_core::State;
use callgate_core::engine::Policies;
use callgate_core::policy::{self, Catalogue, Format, Source, ast};
use callgate_core::rate;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::args;
use crate::error::Error;

/// The name of a policy from memory in errors, and the policy's default name.
const POLICY: Name<'_> = Name {
    shown: "<policy>",
    stem: "policy",
};

/// The name of a catalogue from memory in errors.
const CATALOGUE: Name<'_> = Name {
    shown: "<catalogue>",
    stem: "catalogue",
};

/// The suffixes of policy files in a folder.
const SUFFIXES: [&str; 3] = ["json", "yaml", "yml"];

#[derive(Clone, Copy)]
struct Name<'a> {
    shown: &'a str,
    stem: &'a str,
}

/// A policy and its file.
struct Document {
    file: PathBuf,
    server: String,
    policy: ast::Policy,
}

/// The policy of a file, for every server; or the policies of a folder, where the stem of each file names its server.
pub(crate) fn policies_at(path: &Path) -> Result<Policies, Error> {
    if is_folder(path)? {
        let documents = folder(path)?.into_iter();
        return Ok(Policies::ByServer(
            documents
                .map(|document| (document.server, document.policy))
                .collect(),
        ));
    }
    Ok(Policies::EveryServer(with_source(path, policy::parse)?))
}

/// The warnings of a policy file, or of each file of a folder, with the file of each. Fails if a policy does not
/// compile.
pub(crate) fn warnings_at(path: &Path) -> Result<Vec<(String, ast::Warning)>, Error> {
    let is_folder = is_folder(path)?;
    let documents = if is_folder {
        folder(path)?
    } else {
        vec![Document {
            file: path.to_owned(),
            server: String::new(),
            policy: with_source(path, policy::parse)?,
        }]
    };
    let mut warnings = Vec::new();
    let mut policies = Vec::with_capacity(documents.len());
    for Document {
        file,
        server,
        mut policy,
    } in documents
    {
        let file = file.to_string_lossy();
        let of_file = std::mem::take(&mut policy.warnings);
        warnings.extend(
            of_file
                .into_iter()
                .map(|warning| (file.clone().into_owned(), warning)),
        );
        policies.push((server, policy));
    }
    let policies = match policies.pop() {
        Some((_, policy)) if !is_folder => Policies::EveryServer(policy),
        last => Policies::ByServer(policies.into_iter().chain(last).collect()),
    };
    State::build(policies, Catalogue::default())?;
    Ok(warnings)
}

/// Every fault of a policy file, in document order; none if it can be loaded.
pub(crate) fn faults_of(path: &Path) -> Result<Vec<policy::PolicyError>, Error> {
    with_source(path, |source| Ok(policy::faults(source)))
}

/// Line, column and message of each fault.
pub(crate) fn placed(faults: Vec<policy::PolicyError>) -> Vec<(usize, usize, String)> {
    faults
        .into_iter()
        .map(|fault| (fault.line, fault.column, fault.message))
        .collect()
}

/// Every fault of a catalogue file, in document order; none if it can be loaded.
pub(crate) fn catalogue_faults_of(path: &Path) -> Result<Vec<policy::PolicyError>, Error> {
    with_source(path, |source| Ok(Catalogue::faults(source)))
}

/// A JSON policy document from memory.
pub(crate) fn policy_in_memory(bytes: &[u8]) -> Result<Policies, Error> {
    let source = Source {
        name: POLICY.shown,
        stem: POLICY.stem,
        format: Format::Json,
        bytes,
    };
    Ok(Policies::EveryServer(policy::parse(&source)?))
}

/// A policy of a configuration: the file name for messages, whose suffix gives the format, and the contents.
pub(crate) fn policy_of(file: &str, bytes: &[u8]) -> Result<ast::Policy, Error> {
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    let source = Source {
        name: file,
        stem: &stem,
        format: Format::of_file_name(file),
        bytes,
    };
    Ok(policy::parse(&source)?)
}

/// The settings of a policy that change nothing in this version. None if it has a fault, which its engine reports.
pub(crate) fn ineffective_settings(file: &str, bytes: &[u8]) -> Vec<ast::Warning> {
    let mut warnings = policy_of(file, bytes).map_or_else(|_| Vec::new(), |policy| policy.warnings);
    warnings.retain(|warning| warning.is_ineffective);
    warnings
}

/// A file of rate limits: its name and contents.
pub(crate) fn rate_limits_of(file: &str, bytes: &[u8]) -> Result<rate::Domain, Error> {
    let source = Source {
        name: file,
        stem: file,
        format: Format::of_file_name(file),
        bytes,
    };
    Ok(rate::parse(&source)?)
}

fn is_folder(path: &Path) -> Result<bool, Error> {
    let metadata = fs::metadata(path).map_err(|error| Error::Unreadable(path.to_owned(), error))?;
    Ok(metadata.is_dir())
}

fn folder(path: &Path) -> Result<Vec<Document>, Error> {
    let unreadable = |error| Error::Unreadable(path.to_owned(), error);
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // An editor's, such as a lock.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let file = entry.path();
        let Some(suffix) = file.extension() else { continue };
        if SUFFIXES.iter().any(|known| suffix == *known) {
            files.push(file);
        } else if SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known)) {
            let fault = "would not be read, because its suffix is not in lower case; rename it";
            return Err(Error::Folder(file, fault));
        }
    }
    if files.is_empty() {
        let fault =
            "no policy in this folder; expected files named <server>.json, <server>.yaml or <server>.yml";
        return Err(Error::Folder(path.to_owned(), fault));
    }
    // Sorted, so that the first reported fault is always the same.
    files.sort();
    let mut documents: Vec<Document> = Vec::with_capacity(files.len());
    for file in files {
        let Some(server) = file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else {
            return Err(Error::Folder(
                file,
                "a file's stem is the name of its server and must be UTF-8; rename it",
            ));
        };
        if documents.iter().any(|document| document.server == server) {
            return Err(Error::Folder(
                file,
                "another file of this folder has the same server; keep one of them",
            ));
        }
        let policy = with_source(&file, policy::parse)?;
        documents.push(Document { file, server, policy });
    }
    Ok(documents)
}

fn with_source<T>(
    path: &Path,
    parse: impl FnOnce(&Source<'_>) -> Result<T, policy::PolicyError>,
) -> Result<T, Error> {
    let bytes = fs::read(path).map_err(|error| Error::Unreadable(path.to_owned(), error))?;
    let name = path.to_string_lossy();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let source = Source {
        name: &name,
        stem: &stem,
        format: Format::of_file_name(&name),
        bytes: &bytes,
    };
    Ok(parse(&source)?)
}

/// A catalogue: none, a file's path, the document as a dict, or the short form `{tool: category}` for all servers.
pub(crate) fn catalogue(value: Option<&Bound<'_, PyAny>>) -> PyResult<Catalogue> {
    let Some(value) = value else {
        return Ok(Catalogue::default());
    };
    let Ok(dict) = value.cast::<PyDict>() else {
        return Ok(with_source(&value.extract::<PathBuf>()?, Catalogue::parse)?);
    };
    // In the short form, every value is the name of a category; in the document, `servers` is an object.
    let is_short = dict
        .values()
        .iter()
        .all(|category| category.is_instance_of::<PyString>());
    let document = if is_short {
        short_form(dict)?
    } else {
        args::to_json(dict)?.into_owned()
    };
    let source = Source {
        name: CATALOGUE.shown,
        stem: CATALOGUE.stem,
        format: Format::Json,
        bytes: &document,
    };
    let mut catalogue = Catalogue::parse(&source).map_err(Error::from)?;
    if is_short {
        catalogue.every_server = catalogue.servers.drain().flat_map(|(_, tools)| tools).collect();
    }
    Ok(catalogue)
}

/// Writes the short form as a document of one server, so that the same code reads and refuses it.
fn short_form(dict: &Bound<'_, PyDict>) -> PyResult<Vec<u8>> {
    let py = dict.py();
    let tools = PyDict::new(py);
    for (tool, category) in dict.iter() {
        let facts = PyDict::new(py);
        facts.set_item("category", category)?;
        tools.set_item(tool, facts)?;
    }
    let server = PyDict::new(py);
    server.set_item("tools", tools)?;
    let servers = PyDict::new(py);
    servers.set_item(callgate_core::request::DEFAULT_SERVER, server)?;
    let document = PyDict::new(py);
    document.set_item("version", "1")?;
    document.set_item("servers", servers)?;
    Ok(args::to_json(&document)?.into_owned())
}
