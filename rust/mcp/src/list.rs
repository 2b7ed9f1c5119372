//! Removal of hidden tools from the answers to `tools/list`.
//!
//! [`filter`] takes one JSON-RPC message. A stream of events (SSE) carries one message in the data of each event. Its
//! reader can pass every message to [`filter`], because notifications before the answer come back unchanged.
//!
//! [`Page`] reads the tools of such an answer and its cursor.

mod page;

use std::borrow::Cow;

use callgate_core::json::{JsonError, Kind, Tape, Value};

use crate::keys::look_alike;
use crate::sse::Event;

pub use page::Page;

/// The deepest nesting of an answer: schemas of tools may be deep, and the reader does not recurse.
pub const MAX_ANSWER_DEPTH: usize = 512;

/// An answer that cannot be filtered, and must not be passed on unfiltered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not JSON, or JSON that two readers could understand differently.
    #[error("the answer is not one well-formed JSON-RPC message: {0}")]
    Json(#[from] JsonError),
    /// A list of messages, or not a message.
    #[error("the answer has the wrong type: expected one JSON-RPC message, got {0}")]
    NoMessage(&'static str),
    /// `result.tools` is not a list.
    #[error("`result.tools` has the wrong type: expected a list, got {0}")]
    NoList(&'static str),
    /// `result.nextCursor` is neither text nor null.
    #[error("`result.nextCursor` has the wrong type: expected a string, got {0}")]
    BadCursor(&'static str),
    /// A key that some readers take for a key that is filtered.
    #[error("a key of the answer differs from `{0}` by case alone")]
    KeyCase(&'static str),
}

/// Removes the tools whose names `keep` refuses from an answer to `tools/list`.
///
/// The rest stays byte for byte, except commas and white space around a removed tool, and `cacheScope`: it
/// becomes `private`, because neither a list that was cut for one caller nor an uncut one may be cached for other
/// callers.
///
/// For answers to `tools/list` alone: the caller knows which request an answer belongs to. A message without
/// `result.tools` (an error, a notification) comes back unchanged. An element without a name, or with a second name in
/// another case, is removed: no policy could decide about it.
///
/// ```
/// use callgate_core::json::Tape;
/// use callgate_mcp::list;
///
/// let answer = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"}, {"name":"drop"}]}}"#;
/// let seen = list::filter(&mut Tape::new(), answer, |tool| tool != "drop")?;
/// assert_eq!(seen, br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"}]}}"#.as_slice());
/// # Ok::<(), list::ListError>(())
/// ```
pub fn filter<'b>(
    tape: &mut Tape,
    answer: &'b [u8],
    keep: impl FnMut(&str) -> bool,
) -> Result<Cow<'b, [u8]>, ListError> {
    let message = tape.parse(answer, MAX_ANSWER_DEPTH)?;
    match member(object(message)?, "result")? {
        Some(result) => cut(answer, result, keep),
        None => Ok(Cow::Borrowed(answer)),
    }
}

/// Works as [`filter`] on the `result` alone, for gateways that pass on no more of the answer.
pub fn filter_result<'b>(
    tape: &mut Tape,
    result: &'b [u8],
    keep: impl FnMut(&str) -> bool,
) -> Result<Cow<'b, [u8]>, ListError> {
    cut(result, object(tape.parse(result, MAX_ANSWER_DEPTH)?)?, keep)
}

/// Works as [`filter`] on the message in the data of one event of a stream. An event comes back unchanged if it has no
/// data, or data that do not begin like a message.
pub fn filter_event<'e>(
    tape: &mut Tape,
    event: &Event<'e>,
    keep: impl FnMut(&str) -> bool,
) -> Result<Cow<'e, [u8]>, ListError> {
    let untouched = Cow::Borrowed(event.raw());
    let Some(data) = event.message() else {
        return Ok(untouched);
    };
    match filter(tape, &data, keep)? {
        Cow::Borrowed(_) => Ok(untouched),
        Cow::Owned(cut) => Ok(Cow::Owned(event.with_data(&cut))),
    }
}

/// `text` without the removed tools of this result, which is a part of it.
fn cut<'b>(
    text: &'b [u8],
    result: Value<'_>,
    mut keep: impl FnMut(&str) -> bool,
) -> Result<Cow<'b, [u8]>, ListError> {
    let Some(tools) = tools(result)? else {
        return Ok(Cow::Borrowed(text));
    };
    let mut cut = Removal::new(text, tools);
    let scope = Scope::of(result)?;
    let comes_first = matches!(scope, Scope::Shared(value) if value.span().start < tools.span().start);
    if comes_first {
        cut.make_private(scope, tools);
    }
    for tool in tools.elements() {
        cut.element(tool, name(tool).is_some_and(&mut keep));
    }
    if !comes_first {
        cut.make_private(scope, tools);
    }
    Ok(cut.finish())
}

fn object(value: Value<'_>) -> Result<Value<'_>, ListError> {
    match value.kind() {
        Kind::Object => Ok(value),
        kind => Err(ListError::NoMessage(kind.as_str())),
    }
}

/// The list of tools, if a result has one.
fn tools(result: Value<'_>) -> Result<Option<Value<'_>>, ListError> {
    let Some(tools) = member(result, "tools")? else {
        return Ok(None);
    };
    if tools.kind() == Kind::Array {
        Ok(Some(tools))
    } else {
        Err(ListError::NoList(tools.kind().as_str()))
    }
}

/// The callers that may get a list from a cache (MCP 2026-07-28, "Caching").
#[derive(Clone, Copy)]
enum Scope<'t> {
    /// This caller alone, or none because there is no time to live.
    Private,
    /// Every caller, as this value says.
    Shared(Value<'t>),
    /// Every caller, because there is a time to live and no scope.
    Absent,
}

impl<'t> Scope<'t> {
    fn of(result: Value<'t>) -> Result<Self, ListError> {
        Ok(match member(result, "cacheScope")? {
            Some(scope) if scope.as_str() == Some("private") => Self::Private,
            Some(scope) => Self::Shared(scope),
            None if member(result, "ttlMs")?.is_some() => Self::Absent,
            None => Self::Private,
        })
    }
}

/// The member with this key; an error if another key differs from it only by case.
fn member<'t>(object: Value<'t>, key: &'static str) -> Result<Option<Value<'t>>, ListError> {
    let mut found = None;
    for (name, value) in object.members() {
        if name == key {
            found = Some(value);
        } else if let Some(known) = look_alike(name, &[key]) {
            return Err(ListError::KeyCase(known));
        }
    }
    Ok(found)
}

/// The name of a tool, if it has exactly one.
fn name(tool: Value<'_>) -> Option<&str> {
    member(tool, "name").ok().flatten().and_then(Value::as_str)
}

/// The removal of elements of a list from a text.
struct Removal<'b> {
    text: &'b [u8],
    out: Vec<u8>,
    /// The end of the text that is already copied to `out` or dropped.
    copied_to: usize,
    /// The end of the last element, kept or not; at first, the end of the opening bracket.
    element_end: usize,
    keeps_one: bool,
    removes_one: bool,
    is_changed: bool,
}

impl<'b> Removal<'b> {
    fn new(text: &'b [u8], list: Value<'_>) -> Self {
        Self {
            text,
            out: Vec::new(),
            copied_to: 0,
            element_end: list.span().start + 1,
            keeps_one: false,
            removes_one: false,
            is_changed: false,
        }
    }

    /// Marks the list as this caller's own; called in the order of the text.
    fn make_private(&mut self, scope: Scope<'_>, list: Value<'_>) {
        let (at, text) = match scope {
            Scope::Private => return,
            Scope::Shared(value) => (value.span(), &b"\"private\""[..]),
            Scope::Absent => {
                let end = list.span().end;
                (end..end, &b",\"cacheScope\":\"private\""[..])
            }
        };
        self.change();
        self.copy_to(at.start);
        self.out.extend_from_slice(text);
        self.copied_to = at.end;
    }

    /// Copies nothing until the first change.
    fn change(&mut self) {
        if !self.is_changed {
            self.out.reserve(self.text.len());
        }
        self.is_changed = true;
    }

    /// Takes the next element. With a removed element goes the comma before it, or the comma after it if no kept one
    /// precedes it.
    fn element(&mut self, element: Value<'_>, keep: bool) {
        let span = element.span();
        if !keep {
            self.change();
            self.copy_to(self.element_end.min(span.start));
            self.copied_to = span.end;
            self.removes_one = true;
        } else if !self.keeps_one && self.removes_one {
            // No kept element precedes it, so its comma goes.
            self.copied_to = span.start;
        }
        self.keeps_one |= keep;
        self.element_end = span.end;
    }

    fn copy_to(&mut self, end: usize) {
        if let Some(bytes) = self.text.get(self.copied_to..end) {
            self.out.extend_from_slice(bytes);
        }
    }

    fn finish(mut self) -> Cow<'b, [u8]> {
        if !self.is_changed {
            return Cow::Borrowed(self.text);
        }
        self.copy_to(self.text.len());
        Cow::Owned(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(answer: &str, hidden: &[&str]) -> Result<String, ListError> {
        filter(&mut Tape::new(), answer.as_bytes(), |tool| {
            !hidden.contains(&tool)
        })
        .map(|bytes| String::from_utf8(bytes.into_owned()).expect("text"))
    }

    /// An answer with these elements as tools, and white space between them.
    fn answer(elements: &[&str]) -> String {
        let list = elements.join(" ,\n ");
        format!(
            r#"{{"id":1, "result":{{"nextCursor":"c","tools":[ {list} ],"ttlMs":1.0,"cacheScope":"private"}},"jsonrpc":"2.0"}}"#
        )
    }

    #[test]
    fn every_choice_of_tools() {
        let tools = ["a", "b", "c", "d"];
        let element = |tool: &&str| format!(r#"{{"x":[1,{{"name":"q"}}],"name":"{tool}","d":"]}},"}}"#);
        let elements: Vec<String> = tools.iter().map(element).collect();
        let all: Vec<&str> = elements.iter().map(String::as_str).collect();
        for hidden in 0_usize..16 {
            let goes = |index: usize| hidden >> index & 1 == 1;
            let names: Vec<&str> = (0..4)
                .filter(|&index| goes(index))
                .map(|index| tools[index])
                .collect();
            let left: Vec<&str> = (0..4)
                .filter(|&index| !goes(index))
                .map(|index| all[index])
                .collect();
            let ours = filtered(&answer(&all), &names).expect("filtered");
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            assert_eq!(read(&ours), read(&answer(&left)), "without {names:?}");
            let (before, after) = (
                r#"{"id":1, "result":{"nextCursor":"c","tools":["#,
                r#" ],"ttlMs":1.0,"cacheScope":"private"},"jsonrpc":"2.0"}"#,
            );
            assert!(ours.starts_with(before) && ours.ends_with(after), "{ours}");
            assert!(left.iter().all(|element| ours.contains(element)), "{ours}");
        }
    }

    #[test]
    fn nothing_to_take_out_is_nothing_copied() {
        for text in [
            &answer(&[r#"{"name":"a"}"#]),
            &answer(&[]),
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","data":{"tools":[{"name":"b"}]}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"tools":[{"name":"b"}]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"resources":[{"name":"b"}]}}"#,
        ] {
            let mut tape = Tape::new();
            let seen = filter(&mut tape, text.as_bytes(), |tool| tool != "b").expect(text);
            assert!(
                matches!(seen, Cow::Borrowed(bytes) if bytes == text.as_bytes()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_nobody_can_be_asked_about_goes() {
        let elements = [
            r#"{"title":"no name"}"#,
            r#"{"name":7}"#,
            r#"{"name":"a","Name":"b"}"#,
            r#""a""#,
            "null",
            r#"{"n\u0061me":"\u0061"}"#,
        ];
        let left = answer(&[elements[5]]);
        let ours = filtered(&answer(&elements), &["b"]).expect("filtered");
        assert_eq!(ours.replace("[ ", "["), left.replace("[ ", "["));
    }

    #[test]
    fn a_result_alone_is_filtered_alike() {
        let result = r#"{"tools":[{"name":"a"}, {"name":"b"}],"ttlMs":1}"#;
        let seen = |text: &str| {
            filter_result(&mut Tape::new(), text.as_bytes(), |tool| tool != "a")
                .map(|bytes| String::from_utf8(bytes.into_owned()).expect("text"))
        };
        assert_eq!(
            seen(result).as_deref(),
            Ok(r#"{"tools":[{"name":"b"}],"cacheScope":"private","ttlMs":1}"#)
        );
        assert_eq!(seen(r#"{"content":[]}"#).as_deref(), Ok(r#"{"content":[]}"#));
        for (text, expected) in [
            ("[]", ListError::NoMessage("list")),
            (r#"{"tools":{}}"#, ListError::NoList("object")),
            (r#"{"TOOLS":[]}"#, ListError::KeyCase("tools")),
        ] {
            assert_eq!(seen(text), Err(expected), "{text}");
        }
        assert!(matches!(seen("{"), Err(ListError::Json(_))));
    }

    #[test]
    fn a_list_is_for_its_caller_alone() {
        let list = r#"[{"name":"a"},{"name":"b"}]"#;
        let cut = r#"[{"name":"a"}]"#;
        for (members, expected) in [
            (r#""tools":$T"#, r#""tools":$T"#),
            (
                r#""ttlMs":5,"tools":$T"#,
                r#""ttlMs":5,"tools":$T,"cacheScope":"private""#,
            ),
            (
                r#""tools":$T,"ttlMs":5"#,
                r#""tools":$T,"cacheScope":"private","ttlMs":5"#,
            ),
            (
                r#""cacheScope": "public" ,"tools":$T"#,
                r#""cacheScope": "private" ,"tools":$T"#,
            ),
            (
                r#""tools":$T,"cacheScope":"public""#,
                r#""tools":$T,"cacheScope":"private""#,
            ),
            (
                r#""tools":$T,"cacheScope":["x"]"#,
                r#""tools":$T,"cacheScope":"private""#,
            ),
            (
                r#""tools":$T,"cacheScope":"private""#,
                r#""tools":$T,"cacheScope":"private""#,
            ),
        ] {
            for (hidden, left) in [(&[][..], list), (&["b"][..], cut)] {
                let text = format!(r#"{{"result":{{{}}}}}"#, members.replace("$T", list));
                let wanted = format!(r#"{{"result":{{{}}}}}"#, expected.replace("$T", left));
                assert_eq!(filtered(&text, hidden), Ok(wanted));
            }
        }
        let alike = r#"{"result":{"tools":[],"CacheScope":"public"}}"#;
        assert_eq!(filtered(alike, &[]), Err(ListError::KeyCase("cacheScope")));
    }

    #[test]
    fn answers_that_cannot_be_filtered() {
        for (text, expected) in [
            ("[]", ListError::NoMessage("list")),
            ("null", ListError::NoMessage("null")),
            (r#"{"result":{"tools":{}}}"#, ListError::NoList("object")),
            (r#"{"result":{"tools":null}}"#, ListError::NoList("null")),
            (
                r#"{"result":{"tools":[],"Tools":[]}}"#,
                ListError::KeyCase("tools"),
            ),
            (r#"{"Result":{"tools":[]}}"#, ListError::KeyCase("result")),
        ] {
            assert_eq!(filtered(text, &[]), Err(expected), "{text}");
        }
        for text in [
            "",
            "{",
            r#"{"result":{"tools":[],"tools":[]}}"#,
            r#"{"result":{}} {}"#,
        ] {
            assert!(matches!(filtered(text, &[]), Err(ListError::Json(_))), "{text}");
        }
    }
}
