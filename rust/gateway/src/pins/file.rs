//! A file of pins: JSON, one tool a line.
//!
//! ```text
//! {"version": 2, "server": "srv", "complete": true,
//!  "first_lists": {"began_at_unix_s": N, "seen_at_unix_s": N, "over": false},
//!  "variants": [{"variant": "unknown", "complete": false}, {"variant": "2025-11-25+roots", "complete": true}], "tools": {
//! "create-ami": {"pinned": [{"record": RECORD, "variants": [1]}, ...],
//!                "listed": [{"record": RECORD, "variants": [0], "twice": true}, ...]}
//! }}
//! ```
//!
//! A record is `{"digest", "endpoint": {"shown", "digest"}, "listed_at_unix_s", "definition"}`. Variants of a tool are
//! places in the list of all. `listed` stands there where the tool is not listed as it was accepted. Where the server
//! was reset, `"reset_at_unix_ms": NUMBER` stands after `complete`.
//!
//! Version 1 had no variants and no `first_lists`, records alone under `pinned` and one of them under `listed`, with
//! `listed_twice` beside it. What it says is taken for the unknown variant's, and no time is left for first lists of others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use callgate_core::json::{Kind, Tape, Value, ValueWriter, line_column, write_string};

use super::book::{Book, Met};
use super::definition::{Definition, MAX_DEPTH, digest};
use super::digest::Digest;
use super::endpoint::Endpoint;
use super::entry::{Entry, Pin, Record, Withheld};
use super::error::PinsError;
use super::time_of_first_lists::FirstLists;
use super::variant::{MAX_VARIANTS, Places, UNKNOWN_PLACE, Variant};

const VERSION: u64 = 2;

/// Before there were variants.
const FIRST_VERSION: u64 = 1;

/// Levels of lists and objects around a definition.
const LEVELS_AROUND: usize = 7;

/// The text of a server's file.
pub(super) fn write(server: &str, book: &Book) -> String {
    let mut out = String::new();
    ValueWriter::spaced(&mut out).object(|file| {
        file.field("version").integer(VERSION);
        file.field("server").text(server);
        file.field("complete").boolean(book.is_complete);
        if book.reset_at_unix_ms > 0 {
            file.field("reset_at_unix_ms").integer(book.reset_at_unix_ms);
        }
        write_first_lists(book.first_lists, file.field("first_lists"));
        file.field("variants").list(|variants| {
            for met in &book.variants {
                variants.element().object(|variant| {
                    variant.field("variant").text(met.variant.text());
                    variant.field("complete").boolean(met.is_complete);
                });
            }
        });
        file.field("tools").with(|out| write_tools(book, out));
    });
    out.push('\n');
    out
}

/// Appends one tool a line, so that files can be compared.
fn write_tools(book: &Book, out: &mut String) {
    out.push('{');
    for (index, (name, entry)) in book.tools.iter().enumerate() {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        write_string(name, out);
        out.push_str(": ");
        write_entry(entry, ValueWriter::spaced(out));
    }
    out.push_str("\n}");
}

fn write_entry(entry: &Entry, out: ValueWriter<'_>) {
    out.object(|tool| {
        tool.field("pinned").list(|pinned| {
            for pin in &entry.pinned {
                write_form(&pin.record, pin.variants, false, pinned.element());
            }
        });
        if entry.withheld.is_empty() {
            return;
        }
        tool.field("listed").list(|listed| {
            for form in &entry.withheld {
                write_form(&form.record, form.variants, form.is_ambiguous, listed.element());
            }
        });
    });
}

fn write_first_lists(time: FirstLists, out: ValueWriter<'_>) {
    out.object(|lists| {
        if let Some(began) = time.began_at_unix_s {
            lists.field("began_at_unix_s").integer(began);
            lists.field("seen_at_unix_s").integer(time.seen_at_unix_s);
        }
        lists.field("over").boolean(time.is_over);
    });
}

fn write_form(record: &Record, variants: Places, is_ambiguous: bool, out: ValueWriter<'_>) {
    out.object(|form| {
        write_record(record, form.field("record"));
        form.field("variants").list(|places| {
            for place in variants.each() {
                places.element().number(place);
            }
        });
        if is_ambiguous {
            form.field("twice").boolean(true);
        }
    });
}

fn write_record(record: &Record, out: ValueWriter<'_>) {
    out.object(|member| {
        member.field("digest").plain(record.digest);
        member.field("endpoint").object(|endpoint| {
            endpoint.field("shown").text(record.endpoint.shown());
            endpoint.field("digest").plain(record.endpoint.digest());
        });
        member.field("listed_at_unix_s").integer(record.at_unix_s);
        member.field("definition").json(record.definition.as_json());
    });
}

/// Reads a file: the name of its server, and its pins. All contents are checked, digests too.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<(String, Book), PinsError> {
    let mut tape = Tape::new();
    let damaged = |fault: FormatError| {
        let (line, column) = line_column(bytes, fault.offset);
        PinsError::Damaged {
            path: path.to_owned(),
            line,
            column,
            fault: fault.what,
        }
    };
    let root = tape.parse(bytes, MAX_DEPTH + LEVELS_AROUND).map_err(|error| {
        damaged(FormatError {
            offset: error.offset,
            what: error.kind.to_string(),
        })
    })?;
    let version = member(root, "version").and_then(|version| whole(version, "a whole number"));
    let version = version.map_err(damaged)?;
    match version {
        FIRST_VERSION | VERSION => {}
        0 => return Err(damaged(FormatError::at(root, "a version of this format"))),
        _ => {
            return Err(PinsError::Newer {
                path: path.to_owned(),
            });
        }
    }
    book(root, version == FIRST_VERSION).map_err(damaged)
}

/// An error in a file, and its position.
struct FormatError {
    offset: usize,
    what: String,
}

impl FormatError {
    fn at(value: Value<'_>, expected: &str) -> Self {
        Self {
            offset: value.span().start,
            what: format!("expected {expected}"),
        }
    }
}

fn book(root: Value<'_>, is_first_version: bool) -> Result<(String, Book), FormatError> {
    let server = text(member(root, "server")?)?.to_owned();
    let is_complete = flag(member(root, "complete")?)?;
    let reset_at = root.get("reset_at_unix_ms");
    let reset_at = reset_at.map(|at| whole(at, "milliseconds since 1970"));
    let (first_lists, variants) = if is_first_version {
        let over = FirstLists {
            is_over: is_complete,
            ..FirstLists::default()
        };
        let unknown = Met {
            variant: Variant::unknown(),
            is_complete,
        };
        (over, vec![unknown])
    } else {
        (
            first_lists(member(root, "first_lists")?)?,
            variants(member(root, "variants")?)?,
        )
    };
    let tools = of_kind(member(root, "tools")?, Kind::Object, "an object of tools")?;
    let tools = tools.members().map(|(name, tool)| {
        let entry = if is_first_version {
            first_entry(tool)?
        } else {
            entry(tool, variants.len())?
        };
        if entry.pinned.is_empty() && entry.withheld.is_empty() {
            return Err(FormatError::at(tool, "a record under `pinned` or `listed`"));
        }
        Ok((name.to_owned(), entry))
    });
    let book = Book {
        is_complete,
        reset_at_unix_ms: reset_at.transpose()?.unwrap_or(0),
        first_lists,
        tools: tools.collect::<Result<BTreeMap<_, _>, _>>()?,
        variants,
    };
    Ok((server, book))
}

fn first_lists(value: Value<'_>) -> Result<FirstLists, FormatError> {
    let seconds = |key: &str| {
        let at = value.get(key);
        at.map(|at| whole(at, "seconds since 1970")).transpose()
    };
    Ok(FirstLists {
        began_at_unix_s: seconds("began_at_unix_s")?,
        seen_at_unix_s: seconds("seen_at_unix_s")?.unwrap_or(0),
        is_over: flag(member(value, "over")?)?,
    })
}

fn variants(value: Value<'_>) -> Result<Vec<Met>, FormatError> {
    let list = of_kind(value, Kind::Array, "a list of variants")?;
    let mut variants: Vec<Met> = Vec::new();
    for one in list.elements() {
        let name = member(one, "variant")?;
        let variant = Variant::parse(text(name)?)
            .filter(|variant| variant.is_unknown() == variants.is_empty())
            .filter(|variant| variants.iter().all(|met| met.variant != *variant))
            .filter(|_| variants.len() <= MAX_VARIANTS)
            .ok_or_else(|| FormatError::at(name, "`unknown`, and then other variants"))?;
        variants.push(Met {
            variant,
            is_complete: flag(member(one, "complete")?)?,
        });
    }
    if variants.is_empty() {
        return Err(FormatError::at(value, "at least the variant `unknown`"));
    }
    Ok(variants)
}

fn entry(tool: Value<'_>, variants: usize) -> Result<Entry, FormatError> {
    let pinned = of_kind(member(tool, "pinned")?, Kind::Array, "a list of definitions")?;
    let pinned = pinned.elements().map(|form| {
        Ok(Pin {
            record: record(member(form, "record")?)?,
            variants: places(member(form, "variants")?, variants)?,
        })
    });
    let mut entry = Entry {
        pinned: pinned.collect::<Result<_, _>>()?,
        withheld: Vec::new(),
    };
    let Some(listed) = tool.get("listed") else {
        return Ok(entry);
    };
    for form in of_kind(listed, Kind::Array, "a list of definitions")?.elements() {
        let at = member(form, "variants")?;
        let variants = places(at, variants)?;
        if variants.is_empty() || variants.without(entry.withheld_from()) != variants {
            return Err(FormatError::at(at, "variants, each with one definition"));
        }
        entry.withheld.push(Withheld {
            record: record(member(form, "record")?)?,
            is_ambiguous: form.get("twice").map(flag).transpose()?.unwrap_or(false),
            variants,
            round: 0,
        });
    }
    entry.let_accepted_go();
    Ok(entry)
}

/// Reads an entry of a file of version 1.
fn first_entry(tool: Value<'_>) -> Result<Entry, FormatError> {
    let unknown = Places::one(UNKNOWN_PLACE);
    let pinned = of_kind(member(tool, "pinned")?, Kind::Array, "a list of records")?;
    let pinned = pinned.elements().map(|form| {
        Ok(Pin {
            record: record(form)?,
            variants: unknown,
        })
    });
    let pinned: Vec<Pin> = pinned.collect::<Result<_, _>>()?;
    let is_ambiguous = tool.get("listed_twice").and_then(Value::as_bool).unwrap_or(false);
    let listed = match tool.get("listed") {
        Some(listed) => Some(record(listed)?),
        // The first of the two was one that is accepted.
        None if is_ambiguous => pinned.last().map(|pin| Arc::clone(&pin.record)),
        None => None,
    };
    let withheld = listed.map(|record| Withheld {
        record,
        is_ambiguous,
        variants: unknown,
        round: 0,
    });
    let mut entry = Entry {
        pinned,
        withheld: withheld.into_iter().collect(),
    };
    entry.let_accepted_go();
    Ok(entry)
}

fn places(value: Value<'_>, variants: usize) -> Result<Places, FormatError> {
    let expected = "places in the list of variants";
    let list = of_kind(value, Kind::Array, expected)?;
    let mut places = Places::default();
    for place in list.elements() {
        let number = whole(place, expected)?;
        let known = usize::try_from(number).ok().filter(|number| *number < variants);
        places = places.and(Places::one(
            known.ok_or_else(|| FormatError::at(place, expected))?,
        ));
    }
    Ok(places)
}

fn flag(value: Value<'_>) -> Result<bool, FormatError> {
    value
        .as_bool()
        .ok_or_else(|| FormatError::at(value, "true or false"))
}

fn record(value: Value<'_>) -> Result<Arc<Record>, FormatError> {
    let place = member(value, "endpoint")?;
    let endpoint = Endpoint::recorded(text(member(place, "shown")?)?, sha256(member(place, "digest")?)?);
    let definition = of_kind(member(value, "definition")?, Kind::Object, "a tool")?;
    let recorded = member(value, "digest")?;
    if sha256(recorded)? != digest(&endpoint, definition) {
        return Err(FormatError::at(
            recorded,
            "the digest of the definition beside it",
        ));
    }
    Ok(Arc::new(Record {
        digest: sha256(recorded)?,
        endpoint,
        definition: Definition::of(definition),
        at_unix_s: whole(member(value, "listed_at_unix_s")?, "seconds since 1970")?,
    }))
}

fn member<'t>(object: Value<'t>, key: &str) -> Result<Value<'t>, FormatError> {
    object
        .get(key)
        .ok_or_else(|| FormatError::at(object, &format!("an object with `{key}`")))
}

fn of_kind<'t>(value: Value<'t>, kind: Kind, expected: &str) -> Result<Value<'t>, FormatError> {
    if value.kind() == kind {
        Ok(value)
    } else {
        Err(FormatError::at(value, expected))
    }
}

fn text(value: Value<'_>) -> Result<&str, FormatError> {
    value.as_str().ok_or_else(|| FormatError::at(value, "a string"))
}

fn whole(value: Value<'_>, expected: &str) -> Result<u64, FormatError> {
    value
        .as_number()
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| FormatError::at(value, expected))
}

fn sha256(value: Value<'_>) -> Result<Digest, FormatError> {
    value
        .as_str()
        .and_then(Digest::parse)
        .ok_or_else(|| FormatError::at(value, "a SHA-256 digest of 64 hexadecimal digits"))
}
