//! YAML documents with the structure of JSON.
//!
//! Anchors, aliases and tags are refused: JSON has no equivalent, and without aliases a document cannot expand to more
//! than was written.

use hashbrown::HashSet;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{Content, DocumentError, MAX_DEPTH, Member, Node, Position, Read, scalar};
use crate::json::{Decimal, JsonErrorKind};

/// Reads a YAML document; `None` if it is empty.
pub(super) fn read(bytes: &[u8]) -> Read<Option<Node>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or(bytes);
        DocumentError::at(
            end_of(&String::from_utf8_lossy(before)),
            "not UTF-8; save the document as UTF-8",
        )
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    read_text(text).map_err(|error| DocumentError {
        at: inside(text, error.at),
        ..error
    })
}

/// A text with every YAML line break as one character.
fn unified(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The position after a text.
fn end_of(text: &str) -> Position {
    let unified = unified(text);
    let last = unified.rsplit('\n').next().unwrap_or_default();
    Position {
        line: unified.matches('\n').count() + 1,
        column: last.chars().count() + 1,
    }
}

/// The scanner reports what is missing at the end on a line of its own, even if the last line has no line break. This
/// returns the end of that last line instead.
fn inside(text: &str, at: Position) -> Position {
    let unified = unified(text);
    let lines = || (1..).zip(unified.split('\n'));
    let end_of = |line: &str| line.chars().count() + 1;
    if let Some((line, text)) = lines().find(|(line, _)| *line == at.line) {
        return Position {
            line,
            column: at.column.min(end_of(text)),
        };
    }
    let (line, text) = lines().last().unwrap_or((1, ""));
    Position {
        line,
        column: end_of(text),
    }
}

fn read_text(text: &str) -> Read<Option<Node>> {
    let mut events = Events {
        parser: Parser::new_from_str(text),
    };
    let root = loop {
        let (event, at) = events.next()?;
        match event {
            Event::StreamEnd => return Ok(None),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            first => break events.node(first, at, 0)?,
        }
    };
    loop {
        let (event, at) = events.next()?;
        match event {
            Event::StreamEnd => return Ok(Some(root)),
            Event::Nothing | Event::DocumentEnd => {}
            _ => {
                return Err(DocumentError::at(
                    at,
                    "a second document begins here, expected one document per file",
                ));
            }
        }
    }
}

struct Events<'d> {
    parser: Parser<'d, StrInput<'d>>,
}

impl<'d> Events<'d> {
    fn next(&mut self) -> Read<(Event<'d>, Position)> {
        match self.parser.next_event() {
            Some(Ok((event, Span { start, .. }))) => Ok((event, position(start))),
            Some(Err(error)) => Err(not_yaml(&error)),
            None => Ok((Event::StreamEnd, Position::START)),
        }
    }

    /// The value that begins with `event`, inside `depth` containers.
    fn node(&mut self, event: Event<'d>, at: Position, depth: usize) -> Read<Node> {
        let content = match event {
            Event::Scalar(text, style, anchor, tag) => {
                plain_json(anchor, tag.is_some(), at)?;
                scalar_content(&text, style, at)?
            }
            Event::SequenceStart(anchor, tag) => {
                plain_json(anchor, tag.is_some(), at)?;
                Content::List(self.list(deeper(depth, at)?)?)
            }
            Event::MappingStart(anchor, tag) => {
                plain_json(anchor, tag.is_some(), at)?;
                Content::Object(self.object(deeper(depth, at)?)?)
            }
            Event::Alias(_) => {
                return Err(DocumentError::at(
                    at,
                    "aliases are not supported; write the value out (or quote a string that begins with `*`)",
                ));
            }
            _ => return Err(DocumentError::at(at, "not YAML: expected a value")),
        };
        Ok(Node { at, content })
    }

    fn list(&mut self, depth: usize) -> Read<Vec<Node>> {
        let mut elements = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(elements),
                (event, at) => elements.push(self.node(event, at, depth)?),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Vec<Member>> {
        let mut members = Vec::new();
        let mut keys = HashSet::new();
        loop {
            let (event, key_at) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(members),
                Event::SequenceStart(..) | Event::MappingStart(..) => {
                    return Err(DocumentError::at(
                        key_at,
                        "expected a string as key, got a list or an object",
                    ));
                }
                event => match self.node(event, key_at, depth)?.content {
                    Content::String(key) => key,
                    Content::Number(text) => {
                        return Err(DocumentError::at(
                            key_at,
                            format!("expected a string as key, got a number; write `\"{text}\"`"),
                        ));
                    }
                    _ => {
                        return Err(DocumentError::at(
                            key_at,
                            "expected a string as key, got null or a boolean; put it in quotes",
                        ));
                    }
                },
            };
            if !keys.insert(key.clone()) {
                return Err(DocumentError::at(
                    key_at,
                    JsonErrorKind::DuplicateKey(key).to_string(),
                ));
            }
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth)?;
            members.push(Member { key, key_at, value });
        }
    }
}

fn scalar_content(text: &str, style: ScalarStyle, at: Position) -> Read<Content> {
    if style != ScalarStyle::Plain {
        return Ok(Content::String(text.to_owned()));
    }
    let content = scalar::resolve(text).map_err(|message| DocumentError::at(at, message))?;
    if let Content::Number(number) = &content {
        // Later code relies on the bounds of numbers, which are those of calls.
        Decimal::parse(number).map_err(|error| DocumentError::at(at, error.to_string()))?;
    }
    Ok(content)
}

/// Refuses syntax that has no equivalent in JSON.
fn plain_json(anchor: usize, tagged: bool, at: Position) -> Read<()> {
    if tagged {
        return Err(DocumentError::at(
            at,
            "tags are not supported; remove it (and quote the value if a string is meant)",
        ));
    }
    if anchor != 0 {
        return Err(DocumentError::at(
            at,
            "anchors are not supported; remove it (and quote a string that begins with `&`)",
        ));
    }
    Ok(())
}

fn deeper(depth: usize, at: Position) -> Read<usize> {
    if depth == MAX_DEPTH {
        return Err(too_deep(at));
    }
    Ok(depth + 1)
}

fn too_deep(at: Position) -> DocumentError {
    DocumentError::at(at, JsonErrorKind::TooDeep { max_depth: MAX_DEPTH }.to_string())
}

fn not_yaml(error: &ScanError) -> DocumentError {
    let at = position(*error.marker());
    let info = error.info();
    // Inside brackets the scanner reads ahead, so its own bound of 255 levels may be met before `deeper` is asked.
    if info == "recursion limit exceeded" {
        return too_deep(at);
    }
    if info.starts_with("tabs disallowed") {
        let at = Position {
            // The scanner stands behind it.
            column: at.column.saturating_sub(1).max(1),
            ..at
        };
        return DocumentError::at(at, "not YAML: expected spaces as indentation, got a tab");
    }
    if info.contains("did not find expected node content") {
        return DocumentError::at(at, "not YAML: expected a value");
    }
    // Patterns of tools begin with a star, which is an alias in YAML.
    let hint = if info.contains("unknown anchor") {
        "; aliases are not supported: write the value out, or put a string that begins with `*` in quotes"
    } else if info.contains("alias") {
        "; put a string that begins with `*` or `&` in quotes"
    } else {
        ""
    };
    DocumentError::at(at, format!("not YAML: {info}{hint}"))
}

fn position(marker: Marker) -> Position {
    Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}
