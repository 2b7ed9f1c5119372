//! Pins as a gateway and the command line use them.

mod accepting;
mod files;
mod first_lists;
mod hostile;
mod lists;
mod properties;
mod sharing;
mod unfinished;
mod vanishing;
mod variants;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use callgate_core::json::Tape;
use tempfile::TempDir;

use super::review::{self, Accept};
use super::*;

const URL: &str = "https://tools.example/mcp";

/// A folder of pins, and the gateway that has it open.
struct Place {
    folder: TempDir,
    pins: Arc<Pins>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let pins = Arc::new(Pins::open(&folder.path().join("pins")).expect("a folder"));
        Self { folder, pins }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("pins")
    }

    fn file(&self) -> PathBuf {
        self.path().join("srv.json")
    }

    fn server(&self) -> Server {
        self.server_at(URL, Mode::Enforce)
    }

    fn server_at(&self, url: &str, mode: Mode) -> Server {
        self.pins
            .server("srv", Endpoint::url(url), mode)
            .expect("readable")
    }

    /// Another process that opens the folder.
    fn opened_again(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(self.path(), folder.path().join("pins")).expect("a link");
        let pins = Arc::new(Pins::open(&self.path()).expect("a folder"));
        Self { folder, pins }
    }

    fn sync(&self) {
        assert_eq!(self.errors(), [""; 0]);
    }

    fn errors(&self) -> Vec<String> {
        self.pins.sync().iter().map(ToString::to_string).collect()
    }

    fn accept(&self, what: &Accept<'_>) -> Vec<String> {
        let accepted = review::accept(&self.path(), "srv", what).expect("accepted");
        accepted.into_iter().map(|(tool, _)| tool).collect()
    }

    fn reviewed(&self) -> Vec<(String, State)> {
        let servers = review::read(&self.path(), Some("srv")).expect("readable");
        let tools = servers.into_iter().flat_map(|server| server.tools);
        tools.map(|tool| (tool.name, tool.state)).collect()
    }
}

/// A tool as a server lists it.
fn tool(name: &str, description: &str) -> String {
    format!(r#"{{"name":"{name}","description":"{description}","inputSchema":{{"type":"object"}}}}"#)
}

/// An answer to `tools/list`.
fn answer(tools: &[String], next: Option<&str>) -> String {
    let next = next.map_or(String::new(), |next| format!(r#","nextCursor":"{next}""#));
    let tools = tools.join(",");
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tools}]{next}}}}}"#)
}

/// A page as clients of the unknown variant are shown it.
fn observe(server: &Server, asked: PageRef<'_>, answer: &str) -> Observation {
    observe_as(server, &Variant::unknown(), asked, answer)
}

fn observe_as(server: &Server, variant: &Variant, asked: PageRef<'_>, answer: &str) -> Observation {
    server
        .observe(asked, variant, &mut Tape::new(), answer.as_bytes())
        .expect(answer)
}

/// A whole list.
fn list(server: &Server, tools: &[String]) -> Observation {
    observe(server, PageRef::FromStart, &answer(tools, None))
}

fn states<const N: usize>(server: &Server, tools: [&str; N]) -> [State; N] {
    tools.map(|tool| server.state(tool))
}

/// Returns for each tool if its calls may pass.
fn passes<const N: usize>(server: &Server, tools: [&str; N]) -> [bool; N] {
    states(server, tools).map(|state| server.mode().lets_pass(state))
}

fn shows<const N: usize>(observation: &Observation, tools: [&str; N]) -> [bool; N] {
    tools.map(|tool| observation.shows(tool))
}

fn changes(observation: &Observation) -> Vec<(&str, State)> {
    let changes = observation.changes.iter();
    changes
        .map(|change| (change.tool.as_str(), change.state))
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file of text")
}
