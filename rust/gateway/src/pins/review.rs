//! What people do with pins: look at them, accept, begin anew. Works on the files, whoever else has them open.

use std::path::Path;
use std::sync::Arc;

use super::book::{Book, Entry, MAX_ACCEPTED, Record};
use super::digest::Digest;
use super::error::PinsError;
use super::first_list::{now_unix_ms, now_unix_s};
use super::folder::Folder;
use super::state::State;

/// Digits of a digest in messages.
const SHOWN_DIGITS: usize = 12;

/// A server as it was recorded.
#[derive(Clone, Debug)]
pub struct ReviewedServer {
    /// Its name.
    pub name: String,
    /// Whether a whole list was seen: until then no tool is new.
    pub is_complete: bool,
    /// Since when its first list is under way, in seconds since 1970, if that is more than a day.
    pub unfinished_since_unix_s: Option<u64>,
    /// Its tools, by name.
    pub tools: Vec<ReviewedTool>,
}

/// A tool as it was recorded.
#[derive(Clone, Debug)]
pub struct ReviewedTool {
    /// Its name.
    pub name: String,
    /// What comes of a call. The endpoint that is configured now is not looked at.
    pub state: State,
    /// Whether the server lists two tools of this name that differ.
    pub is_ambiguous: bool,
    /// What was accepted, the last one last.
    pub pinned: Vec<Arc<Record>>,
    /// What the server lists, where it is none of those.
    pub listed: Option<Arc<Record>>,
}

/// What to accept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept<'a> {
    /// Which tools; `None` for all that can be.
    pub tools: Option<&'a [String]>,
    /// What the digest of each must begin with: that of the definition that was reviewed.
    pub digest: Option<&'a str>,
    /// Whether what was accepted before stays accepted. For servers that list a tool in more than one form.
    pub keeps_others: bool,
}

/// What is pinned, of one server or of all of them.
pub fn read(folder: &Path, server: Option<&str>) -> Result<Vec<ReviewedServer>, PinsError> {
    let folder = Folder::at(folder);
    let books = match server {
        None => folder.read_all()?,
        Some(name) => {
            let book = known(&folder, name)?;
            vec![(name.to_owned(), book)]
        }
    };
    Ok(books
        .into_iter()
        .filter(|(_, book)| !book.is_blank())
        .map(|(name, book)| reviewed(name, book))
        .collect())
}

/// Accepts tools as their server lists them now; gives each with its digest. Those that are accepted already are left as they are.
pub fn accept(folder: &Path, server: &str, what: &Accept<'_>) -> Result<Vec<(String, Digest)>, PinsError> {
    let folder = Folder::at(folder);
    if folder.stamp(server)?.is_none() {
        return Err(unknown_server(&folder, server));
    }
    let lock = folder.lock()?;
    let mut book = known(&folder, server)?;
    for name in what.tools.unwrap_or_default() {
        must_be_acceptable(server, name, book.tools.get(name), what.digest)?;
    }
    let is_meant = |name: &String| what.tools.is_none_or(|names| names.contains(name));
    let mut accepted = Vec::new();
    for (name, entry) in &mut book.tools {
        if let (true, false, Some(listed)) = (is_meant(name), entry.is_ambiguous, entry.differing().cloned())
        {
            accepted.push((name.clone(), listed.digest));
            take(name, entry, listed, what)?;
        }
    }
    if !accepted.is_empty() {
        folder.write(&lock, server, &book)?;
    }
    Ok(accepted)
}

/// Forgets what was accepted of a server, and what it listed: its next list is its first. Works on damaged files, too.
///
/// The file stays, and says that nothing is known: one that is gone is written again by whoever has it open. It says when, too,
/// so that whoever comes after the next list knows what to forget.
pub fn reset(folder: &Path, server: &str) -> Result<(), PinsError> {
    let folder = Folder::at(folder);
    if folder.stamp(server)?.is_none() {
        return Err(unknown_server(&folder, server));
    }
    let lock = folder.lock()?;
    let before = match known(&folder, server) {
        Ok(book) => book.reset_at_unix_ms,
        Err(error @ PinsError::UnknownServer { .. }) => return Err(error),
        // What a damaged file said of it is older than now.
        Err(_) => 0,
    };
    let book = Book {
        // It rises though a clock was set back.
        reset_at_unix_ms: now_unix_ms().max(before.saturating_add(1)),
        ..Book::default()
    };
    folder.write(&lock, server, &book).map(drop)
}

/// What is known of a server of which anything is.
fn known(folder: &Folder, server: &str) -> Result<Book, PinsError> {
    let book = folder.read(server)?.filter(|book| !book.is_blank());
    book.ok_or_else(|| unknown_server(folder, server))
}

fn must_be_acceptable(
    server: &str,
    tool: &str,
    entry: Option<&Entry>,
    wanted: Option<&str>,
) -> Result<(), PinsError> {
    let (server, tool) = (server.to_owned(), tool.to_owned());
    match entry {
        None => Err(PinsError::UnknownTool { server, tool }),
        Some(entry) if entry.is_ambiguous => Err(PinsError::Ambiguous { server, tool }),
        Some(entry) => match entry.differing().or(entry.pinned.last()) {
            Some(record) => must_begin(record, &tool, wanted),
            None => Ok(()),
        },
    }
}

fn must_begin(record: &Record, tool: &str, wanted: Option<&str>) -> Result<(), PinsError> {
    let mut listed = record.digest.to_string();
    if wanted.is_some_and(|wanted| !listed.starts_with(wanted)) {
        // What is longer looks like a secret where messages are shown.
        listed.truncate(SHOWN_DIGITS);
        return Err(PinsError::AnotherDigest {
            tool: tool.to_owned(),
            listed,
        });
    }
    Ok(())
}

fn take(name: &str, entry: &mut Entry, listed: Arc<Record>, what: &Accept<'_>) -> Result<(), PinsError> {
    must_begin(&listed, name, what.digest)?;
    if !what.keeps_others {
        entry.pinned.clear();
    }
    if entry.pinned.len() >= MAX_ACCEPTED {
        return Err(PinsError::TooManyAccepted {
            tool: name.to_owned(),
        });
    }
    entry.pinned.push(listed);
    Ok(())
}

fn reviewed(name: String, book: Book) -> ReviewedServer {
    let unfinished_since_unix_s = book.unfinished_since(now_unix_s());
    let tools = book.tools.into_iter().map(|(name, entry)| ReviewedTool {
        name,
        state: entry.state(),
        is_ambiguous: entry.is_ambiguous,
        listed: entry.differing().cloned(),
        pinned: entry.pinned,
    });
    ReviewedServer {
        name,
        is_complete: book.is_complete,
        unfinished_since_unix_s,
        tools: tools.collect(),
    }
}

fn unknown_server(folder: &Folder, server: &str) -> PinsError {
    PinsError::UnknownServer {
        server: server.to_owned(),
        folder: folder.path().to_owned(),
    }
}
