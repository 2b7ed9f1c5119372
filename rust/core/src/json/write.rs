//! The writer of JSON text: the one place that sets brackets, commas, colons and escapes.

use std::fmt::{Display, Write as _};

use super::special::find_special;

/// Levels that are indented; hostile nesting would turn kilobytes into megabytes of spaces.
const MAX_INDENT: usize = 12;

/// Appends a string with its quotes; escapes `"`, `\` and control characters as ECMAScript does, and nothing else.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut from = 0;
    loop {
        let special = find_special(text.as_bytes(), from);
        out.push_str(&text[from..special]);
        let Some(&byte) = text.as_bytes().get(special) else {
            break;
        };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x08 => out.push_str("\\b"),
            0x09 => out.push_str("\\t"),
            0x0a => out.push_str("\\n"),
            0x0c => out.push_str("\\f"),
            0x0d => out.push_str("\\r"),
            control => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        from = special + 1;
    }
    out.push('"');
}

/// The white space between tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// No white space.
    Compact,
    /// A space after each comma and colon.
    Spaced,
    /// A line for each member and element, indented by this depth, and a space after each colon.
    Lines(usize),
}

/// The place of one value in JSON text.
///
/// ```
/// use callgate_core::json::ValueWriter;
///
/// let mut json = String::new();
/// ValueWriter::new(&mut json).object(|call| {
///     call.field("tool").text("create-ami");
///     call.field("args").list(|args| {
///         args.element().integer(1);
///         args.element().null();
///     });
/// });
/// assert_eq!(json, r#"{"tool":"create-ami","args":[1,null]}"#);
/// ```
#[derive(Debug)]
#[must_use = "a place without a value is no JSON"]
pub struct ValueWriter<'w> {
    out: &'w mut String,
    layout: Layout,
}

impl<'w> ValueWriter<'w> {
    /// Writes without white space, as programs read it.
    pub const fn new(out: &'w mut String) -> Self {
        Self {
            out,
            layout: Layout::Compact,
        }
    }

    /// Writes on one line, with a space after each comma and colon.
    pub const fn spaced(out: &'w mut String) -> Self {
        Self {
            out,
            layout: Layout::Spaced,
        }
    }

    /// Writes members and elements on lines of their own, indented by two spaces a level, as people read it.
    pub const fn lines(out: &'w mut String) -> Self {
        Self {
            out,
            layout: Layout::Lines(0),
        }
    }

    /// Appends `null`.
    pub fn null(self) {
        self.out.push_str("null");
    }

    /// Appends `true` or `false`.
    pub fn boolean(self, value: bool) {
        self.out.push_str(if value { "true" } else { "false" });
    }

    /// Appends a whole number.
    pub fn integer(self, number: u64) {
        self.out.push_str(itoa::Buffer::new().format(number));
    }

    /// Appends a number that is displayed as JSON.
    pub fn number(self, number: impl Display) {
        // Writing to a string cannot fail, here and below.
        let _ = write!(self.out, "{number}");
    }

    /// Appends a string.
    pub fn text(self, text: &str) {
        write_string(text, self.out);
    }

    /// Appends a string that is displayed without characters that need escapes.
    pub fn plain(self, text: impl Display) {
        let _ = write!(self.out, "\"{text}\"");
    }

    /// Appends a value that is JSON already.
    pub fn json(self, json: &str) {
        self.out.push_str(json);
    }

    /// Appends a value that is written elsewhere.
    pub fn with<R>(self, write: impl FnOnce(&mut String) -> R) -> R {
        write(self.out)
    }

    /// Appends an object with the members that `write` adds.
    pub fn object<R>(self, write: impl FnOnce(&mut ObjectWriter<'_>) -> R) -> R {
        self.out.push('{');
        let mut object = ObjectWriter(Sequence::new(self.out, self.layout));
        let written = write(&mut object);
        object.0.end();
        self.out.push('}');
        written
    }

    /// Appends a list of the elements that `write` adds.
    pub fn list<R>(self, write: impl FnOnce(&mut ListWriter<'_>) -> R) -> R {
        self.out.push('[');
        let mut list = ListWriter(Sequence::new(self.out, self.layout));
        let written = write(&mut list);
        list.0.end();
        self.out.push(']');
        written
    }

    /// Appends a list of strings.
    pub fn texts<'t>(self, texts: impl IntoIterator<Item = &'t str>) {
        self.list(|list| {
            for text in texts {
                list.element().text(text);
            }
        });
    }
}

/// The members of one object.
#[derive(Debug)]
pub struct ObjectWriter<'w>(Sequence<'w>);

impl ObjectWriter<'_> {
    /// Begins a member whose name needs no escapes, as names in code do.
    pub fn field(&mut self, name: &'static str) -> ValueWriter<'_> {
        self.0.begin();
        self.0.out.push('"');
        self.0.out.push_str(name);
        self.0.out.push('"');
        self.0.value_of_member()
    }

    /// Begins a member of any name.
    pub fn member(&mut self, name: &str) -> ValueWriter<'_> {
        self.0.begin();
        write_string(name, self.0.out);
        self.0.value_of_member()
    }
}

/// The elements of one list.
#[derive(Debug)]
pub struct ListWriter<'w>(Sequence<'w>);

impl ListWriter<'_> {
    /// Begins an element.
    pub fn element(&mut self) -> ValueWriter<'_> {
        self.0.begin();
        self.0.value()
    }
}

/// The part that objects and lists share: separators and layout of their members or elements.
#[derive(Debug)]
struct Sequence<'w> {
    out: &'w mut String,
    /// Of the members or elements.
    layout: Layout,
    is_empty: bool,
}

impl<'w> Sequence<'w> {
    const fn new(out: &'w mut String, around: Layout) -> Self {
        Self {
            out,
            layout: match around {
                Layout::Lines(depth) => Layout::Lines(depth + 1),
                layout => layout,
            },
            is_empty: true,
        }
    }

    fn begin(&mut self) {
        let is_first = std::mem::take(&mut self.is_empty);
        if !is_first {
            self.out.push(',');
        }
        match self.layout {
            Layout::Compact => {}
            Layout::Spaced if is_first => {}
            Layout::Spaced => self.out.push(' '),
            Layout::Lines(depth) => self.begin_line(depth),
        }
    }

    fn begin_line(&mut self, depth: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", depth.min(MAX_INDENT)));
    }

    fn end(&mut self) {
        if let Layout::Lines(depth) = self.layout
            && !self.is_empty
        {
            self.begin_line(depth.saturating_sub(1));
        }
    }

    fn value_of_member(&mut self) -> ValueWriter<'_> {
        self.out.push(':');
        if self.layout != Layout::Compact {
            self.out.push(' ');
        }
        self.value()
    }

    fn value(&mut self) -> ValueWriter<'_> {
        ValueWriter {
            out: self.out,
            layout: self.layout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_all(value: ValueWriter<'_>) {
        value.object(|object| {
            object.field("none").object(|_| ());
            object.field("list").list(|list| {
                list.element().null();
                list.element().boolean(true);
                list.element().list(|_| ());
            });
            object.member("a\n\"b\"").text("\\");
            object.field("plain").plain(format_args!("{:02x}", 10));
            object.field("integer").integer(u64::MAX);
            object.field("number").number(-1.5);
            object.field("json").json("{}");
            object.field("other").with(|out| out.push_str("[ ]"));
            object.field("texts").texts(["x", "y"]);
        });
    }

    #[test]
    fn every_kind_of_value_in_every_layout() {
        let (mut compact, mut spaced, mut lines) = (String::new(), String::new(), String::new());
        write_all(ValueWriter::new(&mut compact));
        write_all(ValueWriter::spaced(&mut spaced));
        write_all(ValueWriter::lines(&mut lines));
        assert_eq!(
            compact,
            r#"{"none":{},"list":[null,true,[]],"a\n\"b\"":"\\","plain":"0a","integer":18446744073709551615,"number":-1.5,"json":{},"other":[ ],"texts":["x","y"]}"#
        );
        assert_eq!(
            spaced,
            r#"{"none": {}, "list": [null, true, []], "a\n\"b\"": "\\", "plain": "0a", "integer": 18446744073709551615, "number": -1.5, "json": {}, "other": [ ], "texts": ["x", "y"]}"#
        );
        assert_eq!(
            lines,
            r#"{
  "none": {},
  "list": [
    null,
    true,
    []
  ],
  "a\n\"b\"": "\\",
  "plain": "0a",
  "integer": 18446744073709551615,
  "number": -1.5,
  "json": {},
  "other": [ ],
  "texts": [
    "x",
    "y"
  ]
}"#
        );
    }

    #[test]
    fn strings_escape_what_ecmascript_escapes() {
        let mut out = String::new();
        write_string(
            "\0\u{8}\t\n\u{b}\u{c}\r\u{1f} \"\\/\u{7f}\u{80}\u{2028}😀",
            &mut out,
        );
        assert_eq!(
            out,
            "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/\u{7f}\u{80}\u{2028}😀\""
        );
    }

    #[test]
    fn what_is_appended_to_stays() {
        let mut json = String::from("data: ");
        ValueWriter::new(&mut json).text("x");
        assert_eq!(json, "data: \"x\"");
    }

    #[test]
    fn deep_levels_are_not_indented_further() {
        fn nest(value: ValueWriter<'_>, levels: usize) {
            value.list(|list| {
                if levels > 1 {
                    nest(list.element(), levels - 1);
                }
            });
        }
        let mut json = String::new();
        nest(ValueWriter::lines(&mut json), 20);
        let widest = json
            .lines()
            .map(|line| line.len() - line.trim_start().len())
            .max();
        assert_eq!(widest, Some(2 * MAX_INDENT));
    }
}
