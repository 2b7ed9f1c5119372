//! Operations of people on pins: show, accept, reset. They work on the files, also while other processes have them open.

use std::path::Path;
use std::sync::Arc;

use super::book::Book;
use super::clock::{now_unix_ms, now_unix_s};
use super::digest::Digest;
use super::entry::{Entry, MAX_ACCEPTED, Pin, Record, Withheld};
use super::error::PinsError;
use super::folder::Folder;
use super::state::State;
use super::variant::{Places, Variant};

/// Digits of a digest in messages.
const SHOWN_DIGITS: usize = 12;

/// A server as it was recorded.
#[derive(Clone, Debug)]
pub struct ReviewedServer {
    /// Its name.
    pub name: String,
    /// A whole list was seen: until then no tool is new.
    pub is_complete: bool,
    /// Since when its first list is under way, in seconds since 1970, if that is more than a day.
    pub unfinished_since_unix_s: Option<u64>,
    /// The start of the time for first lists of further variants, in seconds since 1970; `None` if it is over, or if no
    /// whole list was seen yet.
    pub first_lists_since_unix_s: Option<u64>,
    /// The variants that it has shown lists to, and whether each has had a whole first list.
    pub variants: Vec<(Variant, bool)>,
    /// Its tools, by name.
    pub tools: Vec<ReviewedTool>,
}

/// A tool as it was recorded.
#[derive(Clone, Debug)]
pub struct ReviewedTool {
    /// Its name.
    pub name: String,
    /// The state of the tool, for every caller. The endpoint that is configured now is not considered.
    pub state: State,
    /// The accepted definitions, the last one last.
    pub pinned: Vec<ReviewedForm>,
    /// The definitions that the server lists and that are not accepted, the last one last.
    pub listed: Vec<ReviewedForm>,
}

/// One definition of a tool.
#[derive(Clone, Debug)]
pub struct ReviewedForm {
    /// The definition.
    pub record: Arc<Record>,
    /// The variants in whose lists it was accepted, or which were shown it last.
    pub variants: Vec<Variant>,
    /// The server lists two tools of this name that differ; this is the first of them.
    pub is_ambiguous: bool,
}

/// The definitions to accept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept<'a> {
    /// The names of the tools; `None` for all that can be.
    pub tools: Option<&'a [String]>,
    /// Accepts only definitions that clients of this variant are shown. Those of other variants stay accepted.
    pub variant: Option<&'a Variant>,
    /// The required prefix of each digest: that of the reviewed definition.
    pub digest: Option<&'a str>,
    /// Earlier definitions stay accepted. For servers that list a tool in more than one form.
    pub keeps_others: bool,
}

/// Reads the pins of one server, or of all of them.
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
        .map(|(name, book)| reviewed(name, &book))
        .collect())
}

/// Accepts tools as their server lists them now; gives each with its digest. Those that are accepted already are left
/// as they are.
pub fn accept(folder: &Path, server: &str, what: &Accept<'_>) -> Result<Vec<(String, Digest)>, PinsError> {
    let folder = Folder::at(folder);
    if folder.stamp(server)?.is_none() {
        return Err(unknown_server(&folder, server));
    }
    let lock = folder.lock()?;
    let mut book = known(&folder, server)?;
    let choice = Choice {
        place: what
            .variant
            .map(|variant| place(server, &book, variant))
            .transpose()?,
        what,
    };
    for name in what.tools.unwrap_or_default() {
        choice.must_be_acceptable(server, name, book.tools.get(name))?;
    }
    let is_meant = |name: &String| what.tools.is_none_or(|names| names.contains(name));
    let mut accepted = Vec::new();
    for (name, entry) in &mut book.tools {
        if is_meant(name)
            && let Some(form) = choice.form(entry).cloned()
        {
            accepted.push((name.clone(), form.record.digest));
            choice.take(name, entry, form)?;
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

/// Reads the book of a server; an error if there is none.
fn known(folder: &Folder, server: &str) -> Result<Book, PinsError> {
    let book = folder.read(server)?.filter(|book| !book.is_blank());
    book.ok_or_else(|| unknown_server(folder, server))
}

/// The place of a variant; an error if there is none.
fn place(server: &str, book: &Book, variant: &Variant) -> Result<usize, PinsError> {
    book.place(variant).ok_or_else(|| {
        let known = book.variants.iter().map(|met| format!("`{}`", met.variant));
        PinsError::UnknownVariant {
            server: server.to_owned(),
            variant: variant.text().to_owned(),
            known: known.collect::<Vec<_>>().join(", "),
        }
    })
}

/// The definitions that are accepted.
struct Choice<'a> {
    place: Option<usize>,
    what: &'a Accept<'a>,
}

impl Choice<'_> {
    /// The definition of a tool that would be accepted, if there is one: of several the one with the digest, or else the last.
    fn form<'e>(&self, entry: &'e Entry) -> Option<&'e Withheld> {
        let shown = entry.withheld.iter().rev();
        let mut forms = shown
            .filter(|form| !form.is_ambiguous && self.place.is_none_or(|place| form.variants.has(place)));
        let last = forms.clone().next();
        let is_wanted = |form: &&Withheld| {
            self.what
                .digest
                .is_some_and(|wanted| begins(&form.record, wanted))
        };
        forms.find(is_wanted).or(last)
    }

    fn must_be_acceptable(&self, server: &str, tool: &str, entry: Option<&Entry>) -> Result<(), PinsError> {
        let (server, name) = (server.to_owned(), tool.to_owned());
        let Some(entry) = entry else {
            return Err(PinsError::UnknownTool { server, tool: name });
        };
        match (self.form(entry), entry.withheld.is_empty()) {
            (Some(form), _) => self.must_begin(&form.record, tool),
            (None, false) if entry.withheld.iter().all(|form| form.is_ambiguous) => {
                Err(PinsError::Ambiguous { server, tool: name })
            }
            _ => match entry.pinned.last() {
                Some(pin) => self.must_begin(&pin.record, tool),
                None => Ok(()),
            },
        }
    }

    fn must_begin(&self, record: &Record, tool: &str) -> Result<(), PinsError> {
        if self.what.digest.is_none_or(|wanted| begins(record, wanted)) {
            return Ok(());
        }
        let mut listed = record.digest.to_string();
        // What is longer looks like a secret where messages are shown.
        listed.truncate(SHOWN_DIGITS);
        Err(PinsError::AnotherDigest {
            tool: tool.to_owned(),
            listed,
        })
    }

    fn take(&self, name: &str, entry: &mut Entry, form: Withheld) -> Result<(), PinsError> {
        self.must_begin(&form.record, name)?;
        match self.place {
            // What the variant had before is replaced, and what others have is not.
            Some(place) if !self.what.keeps_others => {
                let own = Places::one(place);
                entry.pinned.retain(|pin| pin.variants != own);
                for pin in &mut entry.pinned {
                    pin.variants = pin.variants.without(own);
                }
            }
            None if !self.what.keeps_others => entry.pinned.clear(),
            _ => {}
        }
        if entry.pinned.len() >= MAX_ACCEPTED {
            return Err(PinsError::TooManyAccepted {
                tool: name.to_owned(),
            });
        }
        entry.pinned.push(Pin {
            record: form.record,
            variants: form.variants,
        });
        entry.let_accepted_go();
        Ok(())
    }
}

fn begins(record: &Record, wanted: &str) -> bool {
    record.digest.to_string().starts_with(wanted)
}

fn reviewed(name: String, book: &Book) -> ReviewedServer {
    let unfinished_since_unix_s = book.unfinished_since(now_unix_s());
    let tools = book.tools.iter().map(|(name, entry)| ReviewedTool {
        name: name.clone(),
        state: entry.state(),
        pinned: entry
            .pinned
            .iter()
            .map(|pin| ReviewedForm {
                record: Arc::clone(&pin.record),
                variants: book.names(pin.variants),
                is_ambiguous: false,
            })
            .collect(),
        listed: entry
            .withheld
            .iter()
            .map(|form| ReviewedForm {
                record: Arc::clone(&form.record),
                variants: book.names(form.variants),
                is_ambiguous: form.is_ambiguous,
            })
            .collect(),
    });
    let met = book.variants.iter();
    ReviewedServer {
        name,
        is_complete: book.is_complete,
        unfinished_since_unix_s,
        first_lists_since_unix_s: book
            .first_lists
            .began_at_unix_s
            .filter(|_| !book.first_lists.is_over),
        variants: met.map(|met| (met.variant.clone(), met.is_complete)).collect(),
        tools: tools.collect(),
    }
}

fn unknown_server(folder: &Folder, server: &str) -> PinsError {
    PinsError::UnknownServer {
        server: server.to_owned(),
        folder: folder.path().to_owned(),
    }
}
