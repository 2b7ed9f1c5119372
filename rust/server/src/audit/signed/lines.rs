//! The lines of a signed log that are no decisions: written, and read again.
//!
//! Every line of such a log is an entry of its tree and ends with its index. The kinds are in `docs/audit.md`.

use callgate_core::json::{ObjectWriter, Tape, Value, ValueWriter};
use callgate_ledger::{Frontier, Hash};

use super::super::time::Times;

/// Beginnings of lines, so that no other line has to be read.
const FILE: &[u8] = b"{\"kind\":\"file\",";
const CHECKPOINT: &[u8] = b"{\"kind\":\"checkpoint\",";
const ADMIN: &[u8] = b"{\"kind\":\"admin\",\"number\":";
/// Stands between the fields of a line and its index.
const INDEX: &[u8] = b",\"index\":";
/// Depth of the lines that are read.
const MAX_DEPTH: usize = 4;

/// The first line of a file: it says where in the log the file begins.
#[derive(Clone, Debug)]
pub(super) struct FileLine<'a> {
    pub(super) origin: &'a str,
    pub(super) verifier_key: &'a str,
    pub(super) unix_us: u64,
    /// The tree before this line.
    pub(super) frontier: &'a Frontier,
    /// The first entry that rotation has kept.
    pub(super) kept_from: u64,
    /// The log that ended before this one began.
    pub(super) before: Option<&'a BrokenLog>,
}

/// A log that could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrokenLog {
    pub(super) reason: String,
    /// Its last checkpoint, as a note; `None` if there is none.
    pub(super) checkpoint: Option<String>,
}

impl FileLine<'_> {
    pub(super) fn render(&self) -> String {
        own_line("file", |line| {
            line.field("origin").text(self.origin);
            line.field("verifier_key").text(self.verifier_key);
            time(self.unix_us, line);
            hashes(self.frontier, line);
            line.field("kept_from").integer(self.kept_from);
            if let Some(before) = self.before {
                line.field("break").text(&before.reason);
                if let Some(checkpoint) = &before.checkpoint {
                    line.field("before").text(checkpoint);
                }
            }
        })
    }
}

/// A checkpoint, with the hashes from which the tree can go on if `frontier` is given.
pub(super) fn checkpoint(note: &str, frontier: Option<&Frontier>) -> String {
    own_line("checkpoint", |line| {
        line.field("note").text(note);
        if let Some(frontier) = frontier {
            hashes(frontier, line);
        }
    })
}

/// Lines that were not written, and the reason: `sampled` or `dropped`.
pub(super) fn gap(reason: &str, count: u64, unix_us: u64) -> String {
    own_line("gap", |line| {
        line.field("reason").text(reason);
        line.field("count").integer(count);
        time(unix_us, line);
    })
}

/// The number of lines before this one that no checkpoint covered when the writer began.
pub(super) fn resume(unsigned: u64, unix_us: u64) -> String {
    own_line("resume", |line| {
        line.field("unsigned").integer(unsigned);
        time(unix_us, line);
    })
}

/// The statement by which a key names the next one.
pub(super) fn key(statement: &str) -> String {
    own_line("key", |line| line.field("statement").text(statement))
}

fn own_line<R>(kind: &str, fields: impl FnOnce(&mut ObjectWriter<'_>) -> R) -> String {
    let mut out = String::new();
    ValueWriter::new(&mut out).object(|line| {
        line.field("kind").text(kind);
        fields(line);
    });
    out.push('\n');
    out
}

fn time(unix_us: u64, line: &mut ObjectWriter<'_>) {
    line.field("time").with(|out| {
        out.push('"');
        Times::default().write(unix_us, out);
        out.push('"');
    });
}

fn hashes(frontier: &Frontier, line: &mut ObjectWriter<'_>) {
    line.field("hashes").list(|list| {
        for node in frontier.nodes() {
            list.element().plain(node);
        }
    });
}

/// The lines of some bytes, with their ends; the last one may have none.
pub(super) fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, later) = rest.split_at_checked(end)?;
        rest = later;
        (!line.is_empty()).then_some(line)
    })
}

/// Appends a line, with or without its end, as the entry of this index.
pub(super) fn stamp(line: &[u8], index: u64, out: &mut Vec<u8>) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if let Some(fields) = line.strip_suffix(b"}") {
        out.extend_from_slice(fields);
        out.extend_from_slice(INDEX);
        out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
        out.push(b'}');
    } else {
        out.extend_from_slice(line);
    }
    out.push(b'\n');
}

/// The index at the end of a line; `None` if it has none, as a line that a crash has cut.
pub(super) fn index(line: &[u8]) -> Option<u64> {
    let fields = line.strip_suffix(b"}")?;
    let digits = fields
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (before, digits) = fields.split_at_checked(fields.len() - digits)?;
    before.ends_with(INDEX).then_some(())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The number of the admin change that a line is about.
pub(super) fn admin_number(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(ADMIN)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}

/// Returns true if a line is the first one of a file, by its beginning.
pub(super) fn is_file(line: &[u8]) -> bool {
    line.starts_with(FILE)
}

/// Returns true if these bytes are the beginning of a file's first line, or of that beginning.
pub(super) fn begins_file(bytes: &[u8]) -> bool {
    bytes.starts_with(FILE) || FILE.starts_with(bytes)
}

/// Returns true if a line is a checkpoint, by its beginning.
pub(super) fn is_checkpoint(line: &[u8]) -> bool {
    line.starts_with(CHECKPOINT)
}

/// A first line of a file, as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReadFileLine {
    pub(super) origin: String,
    pub(super) frontier: Frontier,
    pub(super) kept_from: u64,
}

/// Reads the first line of a file; `None` for anything else.
pub(super) fn read_file(line: &[u8]) -> Option<ReadFileLine> {
    let mut tape = Tape::new();
    let value = read(FILE, line, &mut tape)?;
    Some(ReadFileLine {
        origin: value.get("origin")?.as_str()?.to_owned(),
        frontier: read_hashes(value, index(line)?)?,
        kept_from: value.get("kept_from")?.as_number()?.parse().ok()?,
    })
}

/// A checkpoint's line, as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReadCheckpoint {
    pub(super) note: String,
    pub(super) frontier: Option<Frontier>,
}

/// Reads a checkpoint's line; `None` for anything else.
pub(super) fn read_checkpoint(line: &[u8]) -> Option<ReadCheckpoint> {
    let mut tape = Tape::new();
    let value = read(CHECKPOINT, line, &mut tape)?;
    let note = value.get("note")?.as_str()?.to_owned();
    let frontier = match value.get("hashes") {
        Some(_) => Some(read_hashes(value, index(line)?)?),
        None => None,
    };
    Some(ReadCheckpoint { note, frontier })
}

fn read<'t>(beginning: &[u8], line: &'t [u8], tape: &'t mut Tape) -> Option<Value<'t>> {
    line.starts_with(beginning).then_some(())?;
    tape.parse(line, MAX_DEPTH).ok()
}

fn read_hashes(value: Value<'_>, size: u64) -> Option<Frontier> {
    let nodes: Option<Vec<Hash>> = value
        .get("hashes")?
        .elements()
        .map(|node| Hash::from_base64(node.as_str()?))
        .collect();
    Frontier::of(size, nodes?)
}

#[cfg(test)]
mod tests {
    use callgate_ledger::leaf_hash;

    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let mut frontier = Frontier::default();
        for entry in ["a", "b", "c"] {
            frontier.append(leaf_hash(entry.as_bytes()));
        }
        let line = FileLine {
            origin: "host/1",
            verifier_key: "k",
            unix_us: 0,
            frontier: &frontier,
            kept_from: 1,
            before: None,
        };
        let mut stamped = Vec::new();
        stamp(line.render().as_bytes(), 3, &mut stamped);
        let text = stamped.strip_suffix(b"\n").unwrap();
        let read = read_file(text).unwrap();
        assert_eq!((read.origin.as_str(), read.kept_from), ("host/1", 1));
        assert_eq!(read.frontier, frontier);
        assert!(is_file(text) && !is_checkpoint(text));
        assert_eq!(index(text), Some(3));
        assert_eq!(read_checkpoint(text), None);

        let mut stamped = Vec::new();
        stamp(checkpoint("x\n", Some(&frontier)).as_bytes(), 3, &mut stamped);
        let text = stamped.strip_suffix(b"\n").unwrap();
        let read = read_checkpoint(text).unwrap();
        assert_eq!((read.note.as_str(), read.frontier), ("x\n", Some(frontier)));
    }

    #[test]
    fn lines_have_their_ends() {
        let lines: Vec<&[u8]> = lines_of(b"a\n\nbb\nc").collect();
        assert_eq!(lines, [b"a\n".as_slice(), b"\n", b"bb\n", b"c"]);
        assert_eq!(lines_of(b"").count(), 0);
    }

    #[test]
    fn indexes_and_numbers_are_found() {
        assert_eq!(index(br#"{"a":1,"index":12}"#), Some(12));
        for line in [
            r#"{"a":1,"index":12"#,
            r#"{"index":12}x"#,
            r#"{"a":12}"#,
            r#"{"a":1,"index":}"#,
            "",
        ] {
            assert_eq!(index(line.as_bytes()), None, "{line}");
        }
        assert_eq!(admin_number(br#"{"kind":"admin","number":7,"x":1}"#), Some(7));
        assert_eq!(admin_number(br#"{"kind":"gap","number":7}"#), None);
    }
}
