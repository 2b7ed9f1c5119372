//! Pinned tools: the operations of the command line on their files.

use std::path::{Path, PathBuf};

use callgate_core::json::Tape;
use callgate_gateway::pins::review::{self, Accept, ReviewedForm, ReviewedServer, ReviewedTool};
use callgate_gateway::pins::{Endpoint, Mode, Pins, Variant};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;

/// The pinned tools of one server or of all servers.
pub(crate) fn read<'py>(
    py: Python<'py>,
    folder: PathBuf,
    server: Option<&str>,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let servers = py.detach(move || review::read(&folder, server).map_err(Error::from))?;
    servers.iter().map(|server| reviewed(py, server)).collect()
}

fn reviewed<'py>(py: Python<'py>, server: &ReviewedServer) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    found.set_item("server", &server.name)?;
    found.set_item("is_complete", server.is_complete)?;
    found.set_item("unfinished_since_unix_s", server.unfinished_since_unix_s)?;
    found.set_item("first_lists_since_unix_s", server.first_lists_since_unix_s)?;
    let variants = server.variants.iter();
    let variants: Vec<_> = variants
        .map(|(variant, is_complete)| (variant.text(), *is_complete))
        .collect();
    found.set_item("variants", variants)?;
    let tools = server.tools.iter().map(|one| tool(py, one));
    found.set_item("tools", tools.collect::<PyResult<Vec<_>>>()?)?;
    Ok(found)
}

fn tool<'py>(py: Python<'py>, tool: &ReviewedTool) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    found.set_item("tool", &tool.name)?;
    found.set_item("state", tool.state.as_str())?;
    let pinned = tool.pinned.iter().map(|one| form(py, one));
    found.set_item("pinned", pinned.collect::<PyResult<Vec<_>>>()?)?;
    let listed = tool.listed.iter().map(|one| form(py, one));
    found.set_item("listed", listed.collect::<PyResult<Vec<_>>>()?)?;
    Ok(found)
}

fn form<'py>(py: Python<'py>, form: &ReviewedForm) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    let record = &form.record;
    let variants: Vec<_> = form.variants.iter().map(Variant::text).collect();
    found.set_item("variants", variants)?;
    found.set_item("is_ambiguous", form.is_ambiguous)?;
    found.set_item("digest", record.digest.to_string())?;
    found.set_item("endpoint", record.endpoint.shown())?;
    found.set_item("listed_at_unix_s", record.at_unix_s)?;
    // It was parsed before, so it can be parsed again.
    found.set_item("members", record.definition.members().unwrap_or_default())?;
    Ok(found)
}

/// Accepts tools as their server last listed them; returns the accepted tools with their digests.
pub(crate) fn accept(
    folder: &Path,
    server: &str,
    tools: Option<&[String]>,
    digest: Option<&str>,
    keeps_others: bool,
    variant: Option<&str>,
) -> Result<Vec<(String, String)>, Error> {
    let variant = variant.map(variant_from_name).transpose()?;
    let what = Accept {
        tools,
        variant: variant.as_ref(),
        digest,
        keeps_others,
    };
    let accepted = review::accept(folder, server, &what)?;
    Ok(accepted
        .into_iter()
        .map(|(tool, digest)| (tool, digest.to_string()))
        .collect())
}

/// Removes the accepted tools of a server.
pub(crate) fn reset(folder: &Path, server: &str) -> Result<(), Error> {
    Ok(review::reset(folder, server)?)
}

/// The endpoint of a server: a URL, or else the words of a command.
pub(crate) fn endpoint(url: Option<&str>, command: Option<&[String]>) -> Result<Endpoint, Error> {
    match (url, command) {
        (Some(url), None) => Ok(Endpoint::url(url)),
        (None, Some([program, args @ ..])) => Ok(Endpoint::command(program, args.iter().map(String::as_str))),
        _ => Err(Error::Value(
            "endpoint".to_owned(),
            "expected a URL or the words of a command".to_owned(),
        )),
    }
}

fn variant_from_name(variant: &str) -> Result<Variant, Error> {
    Variant::parse(variant).ok_or_else(|| {
        let expected = "expected a protocol version and the sorted names of declared capabilities, such as \
                        `2025-11-25+elicitation+roots`, or `unknown`";
        Error::Value("variant".to_owned(), expected.to_owned())
    })
}

/// Records a complete list and writes it; returns the tools that are changed or new.
pub(crate) fn record(
    folder: &Path,
    server: &str,
    endpoint: Endpoint,
    answer: &[u8],
    variant: Option<&str>,
) -> Result<Vec<(String, &'static str)>, Error> {
    let variant = variant.map(variant_from_name).transpose()?.unwrap_or_default();
    let pins = Pins::open(folder)?;
    let seen =
        pins.server(server, endpoint, Mode::Enforce)?
            .observe_whole(&variant, &mut Tape::new(), answer)?;
    if let Some(error) = pins.sync().into_iter().next() {
        return Err(error.into());
    }
    let changes = seen.changes.into_iter();
    Ok(changes
        .map(|change| (change.tool, change.state.as_str()))
        .collect())
}
