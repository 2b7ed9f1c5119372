//! The file of managed grants that were known last: read in Rust, because a start with a million of them waits for it.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use callgate_core::grant::{GrantChange, GrantSpec, TokenDigest, TokenSpec};
use serde::Deserialize;

use crate::error::Error;

const VERSION: &str = "1";

/// Changes that are made at once: a million lines at once would take a gigabyte.
const BATCH: usize = 4_096;

/// The facts about a file that was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Ids of the grants that are there after the last line.
    pub(super) ids: HashSet<String>,
    /// The last mark, as JSON.
    pub(super) mark: Option<String>,
    pub(super) lines: u64,
    wants_ids: bool,
    batch: Vec<GrantChange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Version(String),
    Put(Row),
    Remove(String),
    Mark(serde_json::Value),
}

/// A grant in the form of `Engine.from_config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    #[serde(default)]
    server: String,
    policy: Option<String>,
    #[serde(default)]
    servers: BTreeMap<String, String>,
    token_hash: Option<String>,
    #[serde(default)]
    tokens: Vec<TokenRow>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    expires_at_us: Option<u64>,
    #[serde(default)]
    revoked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRow {
    hash: String,
    until_us: Option<u64>,
}

/// Reads a file, and passes the changes of its lines to `change` in their order. Ids are gathered where they are wanted.
pub(super) fn read(
    path: &Path,
    wants_ids: bool,
    mut change: impl FnMut(Vec<GrantChange>),
) -> Result<Read, Error> {
    let fault = |message: String| Error::Value(path.display().to_string(), message);
    let file = File::open(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut read = Read {
        wants_ids,
        ..Read::default()
    };
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = lines
            .read_until(b'\n', &mut text)
            .map_err(|error| fault(format!("cannot be read: {error}")))?;
        if length == 0 || !text.ends_with(b"\n") {
            change(std::mem::take(&mut read.batch));
            return Ok(read);
        }
        read.lines += 1;
        let line = serde_json::from_slice(&text).ok();
        let is_taken = line.is_some_and(|line| read.take(line).is_some());
        if !is_taken {
            return Err(fault(format!("line {} is damaged", read.lines)));
        }
        if read.batch.len() == BATCH {
            change(std::mem::take(&mut read.batch));
        }
    }
}

impl Read {
    /// Takes the next line; `None` if it is a wrong one.
    fn take(&mut self, line: Line) -> Option<()> {
        let is_first = self.lines == 1;
        match line {
            Line::Version(version) => return (is_first && version == VERSION).then_some(()),
            _ if is_first => return None,
            Line::Put(row) => {
                let spec = row.spec()?;
                if self.wants_ids {
                    self.ids.insert(spec.id.clone());
                }
                self.batch.push(GrantChange::Put(spec));
            }
            Line::Remove(id) => {
                self.ids.remove(&id);
                self.batch.push(GrantChange::Remove(id));
            }
            Line::Mark(mark) => self.mark = Some(mark.to_string()),
        }
        Some(())
    }
}

impl Row {
    fn spec(self) -> Option<GrantSpec> {
        let mut tokens = Vec::new();
        if let Some(hash) = self.token_hash {
            tokens.push(TokenDigest::from_hex(&hash)?.into());
        }
        for token in self.tokens {
            tokens.push(TokenSpec {
                digest: TokenDigest::from_hex(&token.hash)?,
                until_us: token.until_us,
            });
        }
        Some(GrantSpec {
            id: self.id,
            tokens,
            server: self.server,
            policy: self.policy,
            servers: self.servers.into_iter().collect(),
            labels: self.labels.into_iter().collect(),
            expires_at_us: self.expires_at_us,
            revoked: self.revoked,
        })
    }
}
