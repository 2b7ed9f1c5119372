//! A file of pins: JSON, one tool a line.
//!
//! ```text
//! {"version": 1, "server": "srv", "complete": true, "tools": {
//! "create-ami": {"pinned": [RECORD, ...], "listed": RECORD, "listed_twice": true}
//! }}
//! ```
//!
//! A record is `{"digest", "endpoint": {"shown", "digest"}, "listed_at_unix_s", "definition"}`. `listed` stands there where
//! the tool is not listed as it was accepted. Where the server was reset, `"reset_at_unix_ms": NUMBER` stands after `complete`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use callgate_core::json::canonical::write_string;
use callgate_core::json::{Kind, Tape, Value, line_column};

use super::book::{Book, Entry, Record};
use super::definition::{Definition, MAX_DEPTH, digest};
use super::digest::Digest;
use super::endpoint::Endpoint;
use super::error::PinsError;

const VERSION: u64 = 1;

/// Levels of lists and objects around a definition.
const LEVELS_AROUND: usize = 6;

/// The text of a server's file.
pub(super) fn write(server: &str, book: &Book) -> String {
    let mut out = format!("{{\"version\": {VERSION}, \"server\": ");
    write_string(server, &mut out);
    // Writing to a string cannot fail.
    let _ = write!(out, ", \"complete\": {}", book.is_complete);
    if book.reset_at_unix_ms > 0 {
        let _ = write!(out, ", \"reset_at_unix_ms\": {}", book.reset_at_unix_ms);
    }
    out.push_str(", \"tools\": {");
    for (index, (name, entry)) in book.tools.iter().enumerate() {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        write_string(name, &mut out);
        out.push_str(": {\"pinned\": [");
        for (index, record) in entry.pinned.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            write_record(record, &mut out);
        }
        out.push(']');
        if let Some(listed) = entry.differing() {
            out.push_str(", \"listed\": ");
            write_record(listed, &mut out);
        }
        if entry.is_ambiguous {
            out.push_str(", \"listed_twice\": true");
        }
        out.push('}');
    }
    out.push_str("\n}}\n");
    out
}

fn write_record(record: &Record, out: &mut String) {
    let _ = write!(
        out,
        "{{\"digest\": \"{}\", \"endpoint\": {{\"shown\": ",
        record.digest
    );
    write_string(record.endpoint.shown(), out);
    let _ = write!(
        out,
        ", \"digest\": \"{}\"}}, \"listed_at_unix_s\": {}, \"definition\": {}}}",
        record.endpoint.digest(),
        record.at_unix_s,
        record.definition.as_json()
    );
}

/// Reads a file: whose it is, and what it says. Everything that was written is checked, digests too.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<(String, Book), PinsError> {
    let mut tape = Tape::new();
    let damaged = |fault: Fault| {
        let (line, column) = line_column(bytes, fault.offset);
        PinsError::Damaged {
            path: path.to_owned(),
            line,
            column,
            fault: fault.what,
        }
    };
    let root = tape.parse(bytes, MAX_DEPTH + LEVELS_AROUND).map_err(|error| {
        damaged(Fault {
            offset: error.offset,
            what: error.kind.to_string(),
        })
    })?;
    let version = member(root, "version").and_then(|version| whole(version, "a whole number"));
    match version.map_err(damaged)? {
        VERSION => {}
        0 => return Err(damaged(Fault::at(root, "a version of this format"))),
        _ => {
            return Err(PinsError::Newer {
                path: path.to_owned(),
            });
        }
    }
    book(root).map_err(damaged)
}

/// What is wrong in a file, and where.
struct Fault {
    offset: usize,
    what: String,
}

impl Fault {
    fn at(value: Value<'_>, expected: &str) -> Self {
        Self {
            offset: value.span().start,
            what: format!("expected {expected}"),
        }
    }
}

fn book(root: Value<'_>) -> Result<(String, Book), Fault> {
    let server = text(member(root, "server")?)?.to_owned();
    let complete = member(root, "complete")?;
    let reset_at = root.get("reset_at_unix_ms");
    let reset_at = reset_at.map(|at| whole(at, "milliseconds since 1970"));
    let tools = of_kind(member(root, "tools")?, Kind::Object, "an object of tools")?;
    let tools = tools
        .members()
        .map(|(name, tool)| Ok((name.to_owned(), entry(tool)?)));
    let book = Book {
        is_complete: complete
            .as_bool()
            .ok_or_else(|| Fault::at(complete, "true or false"))?,
        reset_at_unix_ms: reset_at.transpose()?.unwrap_or(0),
        tools: tools.collect::<Result<BTreeMap<_, _>, _>>()?,
    };
    Ok((server, book))
}

fn entry(tool: Value<'_>) -> Result<Entry, Fault> {
    let pinned = of_kind(member(tool, "pinned")?, Kind::Array, "a list of records")?;
    let entry = Entry {
        pinned: pinned.elements().map(record).collect::<Result<_, _>>()?,
        listed: tool.get("listed").map(record).transpose()?,
        is_ambiguous: tool.get("listed_twice").and_then(Value::as_bool).unwrap_or(false),
        withheld_in: 0,
    };
    if entry.pinned.is_empty() && entry.listed.is_none() {
        return Err(Fault::at(tool, "a record under `pinned` or `listed`"));
    }
    Ok(entry)
}

fn record(value: Value<'_>) -> Result<Arc<Record>, Fault> {
    let place = member(value, "endpoint")?;
    let endpoint = Endpoint::recorded(text(member(place, "shown")?)?, sha256(member(place, "digest")?)?);
    let definition = of_kind(member(value, "definition")?, Kind::Object, "a tool")?;
    let recorded = member(value, "digest")?;
    if sha256(recorded)? != digest(&endpoint, definition) {
        return Err(Fault::at(recorded, "the digest of the definition beside it"));
    }
    Ok(Arc::new(Record {
        digest: sha256(recorded)?,
        endpoint,
        definition: Definition::of(definition),
        at_unix_s: whole(member(value, "listed_at_unix_s")?, "seconds since 1970")?,
    }))
}

fn member<'t>(object: Value<'t>, key: &str) -> Result<Value<'t>, Fault> {
    object
        .get(key)
        .ok_or_else(|| Fault::at(object, &format!("an object with `{key}`")))
}

fn of_kind<'t>(value: Value<'t>, kind: Kind, expected: &str) -> Result<Value<'t>, Fault> {
    if value.kind() == kind {
        Ok(value)
    } else {
        Err(Fault::at(value, expected))
    }
}

fn text(value: Value<'_>) -> Result<&str, Fault> {
    value.as_str().ok_or_else(|| Fault::at(value, "a string"))
}

fn whole(value: Value<'_>, expected: &str) -> Result<u64, Fault> {
    value
        .as_number()
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| Fault::at(value, expected))
}

fn sha256(value: Value<'_>) -> Result<Digest, Fault> {
    value
        .as_str()
        .and_then(Digest::parse)
        .ok_or_else(|| Fault::at(value, "a SHA-256 digest of 64 hexadecimal digits"))
}
