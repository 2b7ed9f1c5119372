//! Bytes of replies to what asked for no list, watched as they go by: nothing is held, and a list is met before any of it has
//! gone on.
//!
//! Servers that know requests by their ids alone answer one that is asked twice at the same time on either's connection, and
//! some clients take a reply wherever it comes. So a list is met wherever it stands: as the result of a message, at the
//! top of a body or in the data of an event.

use callgate_mcp::{Scanner, Token, same_but_for_case};
use memchr::{memchr, memchr2, memchr2_iter, memmem};

/// The longest name of a field of an event that is known.
const MOST_NAME_BYTES: usize = 8;

/// Returns true if the key of a list could stand in these bytes, or text that some readers take for it. Nearly
/// everything that passes is known at this glance to hold none.
fn could_hold_list(bytes: &[u8]) -> bool {
    // Where the key is `tools`, in whatever case, one of these is its `l`.
    let is_of_key = |at: usize| {
        let begins = at.checked_sub(3).and_then(|from| bytes.get(from..=at));
        let rest = bytes.get(at + 1..).unwrap_or_default();
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(b"tool"))
            && ["s\"", "S\"", "\u{17f}\""]
                .iter()
                .any(|end| rest.starts_with(end.as_bytes()))
    };
    memchr(0, bytes).is_some()
        || memmem::find(bytes, br"\u").is_some()
        || memchr2_iter(b'l', b'L', bytes).any(is_of_key)
}

/// JSON messages, one after another or in a list.
#[derive(Debug)]
pub(super) struct Messages {
    scanner: Scanner,
    /// The value that comes is the result of a message.
    is_result_next: bool,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            scanner: Scanner::of_batches(),
            is_result_next: false,
        }
    }
}

impl Messages {
    /// The next bytes, wherever they are cut. True where a list of tools begins in them, or what some readers take for
    /// one. `are_last` says that no others follow.
    pub(super) fn meet_list(&mut self, bytes: &[u8], are_last: bool) -> bool {
        let are_all = are_last && self.scanner.is_between_messages();
        (!are_all || could_hold_list(bytes)) && self.meet_list_in(bytes)
    }

    fn meet_list_in(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while let Some(token) = self.scanner.next(&mut rest) {
            match (token, self.scanner.depth()) {
                (Token::Nul, _) => return true,
                (Token::Key, 1) => self.is_result_next = same_but_for_case(&self.scanner.key(), "result"),
                (Token::Key, _) if same_but_for_case(&self.scanner.key(), "tools") => return true,
                (Token::ObjectStart, 2) => self.scanner.read_second_level(self.is_result_next),
                (Token::Comma, 1) => self.is_result_next = false,
                _ => {}
            }
        }
        false
    }
}

/// A stream of events with a message in each.
#[derive(Debug)]
pub(super) struct Events {
    line: Line,
    /// The byte before was a CR, so an LF belongs to it.
    is_after_cr: bool,
    messages: Messages,
}

/// The received part of a line.
#[derive(Debug)]
enum Line {
    /// A name that no colon has ended.
    Name(Vec<u8>),
    Data,
    /// Neither data nor anything that a reader could take for it.
    Other,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            line: Line::Name(Vec::new()),
            is_after_cr: false,
            messages: Messages::default(),
        }
    }
}

impl Events {
    /// Reads further bytes like [`Messages::meet_list`].
    pub(super) fn meet_list(&mut self, bytes: &[u8]) -> bool {
        if self.are_whole_events(bytes) && !could_hold_list(bytes) {
            self.is_after_cr = false;
            self.messages = Messages::default();
            return false;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (text, after) = rest.split_at(at);
            if self.meets_list_in_line(text) {
                return true;
            }
            self.is_after_cr &= text.is_empty();
            let Some((&end, after)) = after.split_first() else {
                return false;
            };
            rest = after;
            if std::mem::replace(&mut self.is_after_cr, end == b'\r') && end == b'\n' {
                continue;
            }
            self.end_line();
        }
        false
    }

    /// Returns true if an event begins and one ends with these bytes.
    fn are_whole_events(&self, bytes: &[u8]) -> bool {
        let is_between = matches!(&self.line, Line::Name(name) if name.is_empty())
            && self.messages.scanner.is_between_messages();
        is_between && (bytes.ends_with(b"\n\n") || bytes.ends_with(b"\n\r\n"))
    }

    fn meets_list_in_line(&mut self, text: &[u8]) -> bool {
        let mut rest = text;
        if let Line::Name(name) = &mut self.line {
            let at = memchr(b':', rest);
            let (more, after) = rest.split_at(at.unwrap_or(rest.len()));
            // Longer ones are unknown anyhow.
            let room = (MOST_NAME_BYTES + 1).saturating_sub(name.len()).min(more.len());
            name.extend_from_slice(more.get(..room).unwrap_or_default());
            if at.is_none() {
                return false;
            }
            rest = after.get(1..).unwrap_or_default();
            // Readers pass over names that they do not know, but not all agree on which begin with what else.
            self.line = match name.as_slice() {
                b"" | b"event" | b"id" | b"retry" => Line::Other,
                _ => Line::Data,
            };
        }
        matches!(self.line, Line::Data) && self.messages.meet_list_in(rest)
    }

    fn end_line(&mut self) {
        // A blank line ends the event, and whatever has come of its message.
        if matches!(&self.line, Line::Name(name) if name.is_empty()) {
            self.messages = Messages::default();
        }
        self.line = Line::Name(Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &[u8]) -> bool {
        let is_met = Messages::default().meet_list(text, true);
        assert_eq!(is_met, Messages::default().meet_list(text, false));
        is_met
    }

    fn events(text: &[u8]) -> bool {
        Events::default().meet_list(text)
    }

    const LISTS: [&str; 12] = [
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#,
        r#"{"result":{"tools":[]},"id":1}"#,
        r#"{"id":{"a":[{"b":"}"}]},"result" : { "x":[{"tools":1}], "tools" : [] }}"#,
        r#"{"Result":{"TOOLS":[]}}"#,
        "{\"re\u{17f}ult\":{\"tool\u{17f}\":[]}}",
        r#"{"\u0072esult":{"\u0074\u006f\u006f\u006c\u0073":[]}}"#,
        r#"{"\u0072\u0065\u0073\u0075\u006c\u0074":{"tools":[]}}"#,
        r#"[{"id":1},{"result":{"tools":[]}}]"#,
        r#"{"id":1}{"result":{"tools":[]}}"#,
        r#"{"result":{},"result":{"a":{"b":1},"tools":[]}}"#,
        r#"{"result":{"a":"\"","tools":[]}}"#,
        r#"{"result":{"a":"\\","tools":[]}}"#,
    ];

    const OTHERS: [&str; 11] = [
        r#"{"result":{"content":[{"type":"text","text":"{\"result\":{\"tools\":[]}}"}]}}"#,
        r#"{"result":{"structuredContent":{"tools":[],"result":{"tools":[]}}}}"#,
        r#"{"result":{"capabilities":{"tools":{"listChanged":true}}}}"#,
        r#"{"method":"sampling/createMessage","params":{"tools":[]}}"#,
        r#"{"result":"tools","tools":[]}"#,
        r#"{"result":["tools",{"tools":[]}]}"#,
        r#"{"result":{"a":"tools","b":["tools"]}}"#,
        r#"{"result":{"toolset":[],"tool":1,"tools ":2}}"#,
        r#"{"a":{"tools":1},"result":{"x":{"tools":1}}}"#,
        r#"{"result":1,"x":{"tools":[]}}"#,
        r#"{"result":{"tools_and_more_and_more_and_more_and_more_and_more_and_more":1}}"#,
    ];

    #[test]
    fn lists_are_met_and_nothing_else() {
        for list in LISTS {
            assert!(json(list.as_bytes()), "{list}");
            for event in [
                format!("data: {list}\n\n"),
                format!("event: message\r\nid: 1\r\ndata:{list}\r\n\r\n"),
                format!(": {{\r\rretry: 1\rdata:{list}"),
                format!("\u{feff}data: {list}\n\n"),
                format!("\u{ef}\u{bb}\u{bf}data: {list}\n\n"),
                format!(" data: {list}\n\n"),
                format!("data: {}\n\n", list.replace(',', ",\r\ndata: ")),
            ] {
                assert!(events(event.as_bytes()), "{event}");
            }
        }
        for other in OTHERS {
            assert!(!json(other.as_bytes()), "{other}");
            let event = format!("data: {other}\n\ndata: {other}\r\n\r\n");
            assert!(!events(event.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_is_no_data_is_no_message() {
        let list = LISTS[0];
        for event in [
            format!(": {list}\n\n"),
            format!("event: {list}\nid: {list}\nretry: {list}\n\n"),
            // The blank line has ended what came of a message.
            "data: {\"result\":{\n\ndata: \"tools\":[]}}\n\n".to_owned(),
        ] {
            assert!(!events(event.as_bytes()), "{event}");
        }
    }

    #[test]
    fn other_encodings_are_met_as_well() {
        let wide: Vec<u8> = LISTS[0].bytes().flat_map(|byte| [byte, 0]).collect();
        assert!(json(&wide));
        assert!(json(b"{\"a\":\"\0\"}"));
    }

    #[test]
    fn at_a_glance() {
        for text in LISTS {
            assert!(could_hold_list(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "l",
            "ool\"",
            "tools",
            r#"{"method":"tools/call","tool":"too ls"}"#,
            r#"{"text":"a \" b\n"}"#,
        ] {
            assert!(!could_hold_list(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        /// Bytes that the quick check skips hold no list.
        #[test]
        fn a_glance_is_enough(
            text in r#"[{}\[\],:"\\]{0,3}(\{"(re[sS]ult|\\u0072esult)":\{("a":[0-9"],)?"(tool[sS\x{17f}]|TOOLS|\\u0074ools|tool|too)":|[a-z"\\{}: ,]|\n(data: )?){0,8}"#,
        ) {
            prop_assert_eq!(json(text.as_bytes()), Messages::default().meet_list_in(text.as_bytes()));
            let event = format!("data: {text}\n\n");
            let mut by_bytes = Events::default();
            let is_met = event.as_bytes().chunks(1).any(|byte| by_bytes.meet_list(byte));
            prop_assert_eq!(events(event.as_bytes()), is_met);
        }

        /// Lists are found wherever the bytes are cut.
        #[test]
        fn wherever_it_is_cut(which in 0..LISTS.len() + OTHERS.len(), cuts in proptest::collection::vec(0usize..200, 0..6)) {
            let text = LISTS.iter().chain(&OTHERS).nth(which).unwrap();
            let event = format!("event: message\r\ndata: {text}\r\n\r\n").into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(event.len())).collect();
            cuts.extend([0, event.len()]);
            cuts.sort_unstable();
            let mut watch = Events::default();
            let met = cuts.windows(2).any(|pair| watch.meet_list(&event[pair[0]..pair[1]]));
            prop_assert_eq!(met, which < LISTS.len());
        }
    }
}
