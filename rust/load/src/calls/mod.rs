//! The calls of a load test.

mod file;
mod generate;
mod random;

use std::io::{self, Write};
use std::path::Path;

use callgate_core::engine::Policies;
use callgate_core::json::canonical::write_string;
use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::CheckRequest;

pub use generate::Generate;

use crate::error::LoadError;

/// The calls that requests take in turn; never empty.
#[derive(Clone, Debug)]
pub struct Calls {
    requests: Vec<CheckRequest>,
}

impl Calls {
    /// Reads a file of JSON lines: one object per line, with the fields of `callgate check`.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let bytes = std::fs::read(path).map_err(|error| LoadError::unreadable(path, error))?;
        Self::parse(&path.to_string_lossy(), &bytes)
    }

    /// Reads JSON lines; errors name them `name`.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        Ok(Self {
            requests: file::parse(name, bytes)?,
        })
    }

    /// Generates calls that meet the policies' rules and calls that break them.
    pub fn generate(policies: Policies, catalogue: Catalogue, how: Generate) -> Result<Self, LoadError> {
        Ok(Self {
            requests: generate::generate(policies, catalogue, how)?,
        })
    }

    /// The number of distinct calls.
    pub const fn len(&self) -> usize {
        self.requests.len()
    }

    /// Always false.
    pub const fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(crate) fn requests(&self) -> &[CheckRequest] {
        &self.requests
    }

    /// Writes them in the format of [`Calls::read`].
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for call in &self.requests {
            let mut line = String::from("{");
            let mut text = |name: &str, value: &str| {
                if !value.is_empty() {
                    if line.len() > 1 {
                        line.push_str(", ");
                    }
                    write_string(name, &mut line);
                    line.push_str(": ");
                    write_string(value, &mut line);
                }
            };
            text("grant", &call.grant);
            text("grant_token", &call.grant_token);
            text("tool", &call.tool);
            text("server", &call.server);
            text("session", &call.session);
            if !call.labels.is_empty() {
                line.push_str(", \"labels\": {");
                for (number, (name, value)) in call.labels.iter().enumerate() {
                    line.push_str(if number > 0 { ", " } else { "" });
                    write_string(name, &mut line);
                    line.push_str(": ");
                    write_string(value, &mut line);
                }
                line.push('}');
            }
            if !call.args_json.is_empty() {
                line.push_str(", \"args\": ");
                line.push_str(&String::from_utf8_lossy(&call.args_json));
            }
            line.push_str("}\n");
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}
