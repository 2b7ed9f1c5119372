//! The calls of a load test.

mod file;
mod generate;
mod random;

use std::io::{self, Write};
use std::path::Path;

use callgate_core::engine::Policies;
use callgate_core::json::ValueWriter;
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
            let mut line = String::new();
            ValueWriter::spaced(&mut line).object(|member| {
                for (name, value) in [
                    ("grant", &call.grant),
                    ("grant_token", &call.grant_token),
                    ("tool", &call.tool),
                    ("server", &call.server),
                    ("session", &call.session),
                ] {
                    if !value.is_empty() {
                        member.field(name).text(value);
                    }
                }
                if !call.labels.is_empty() {
                    member.field("labels").object(|labels| {
                        for (name, value) in &call.labels {
                            labels.member(name).text(value);
                        }
                    });
                }
                if !call.args_json.is_empty() {
                    member
                        .field("args")
                        .json(&String::from_utf8_lossy(&call.args_json));
                }
            });
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_written_as_these_bytes() {
        let lines = concat!(
            r#"{"grant": "g", "tool": "a\"b", "server": "s", "session": "x", "labels": {"team": "ops"}, "args": {"n": 1}}"#,
            "\n",
            r#"{"grant_token": "cgt_x", "tool": "t"}"#,
            "\n"
        );
        let calls = Calls::parse("calls", lines.as_bytes()).unwrap();
        let mut written = Vec::new();
        calls.write(&mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), lines);
    }
}
