//! One page of a list of tools, read-only.

use callgate_core::json::{Kind, Tape, Value};

use super::{ListError, MAX_ANSWER_DEPTH, member, name, object, tools};

/// The tools of an answer to `tools/list`, and the cursor of the next page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'t> {
    tools: Value<'t>,
    next_cursor: Option<&'t str>,
}

impl<'t> Page<'t> {
    /// Reads a JSON-RPC message that answers `tools/list`; `None` for one without `result.tools` (an error, a
    /// notification). Refuses what [`super::filter`] refuses.
    ///
    /// ```
    /// use callgate_core::json::Tape;
    /// use callgate_mcp::list::Page;
    ///
    /// let mut tape = Tape::new();
    /// let answer = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"}],"nextCursor":"2"}}"#;
    /// let page = Page::parse(&mut tape, answer)?.expect("it has tools");
    /// assert_eq!(page.tools().map(|(name, _)| name).collect::<Vec<_>>(), ["read"]);
    /// assert_eq!(page.next_cursor(), Some("2"));
    /// # Ok::<(), callgate_mcp::list::ListError>(())
    /// ```
    pub fn parse(tape: &'t mut Tape, answer: &'t [u8]) -> Result<Option<Self>, ListError> {
        let message = tape.parse(answer, MAX_ANSWER_DEPTH)?;
        match member(object(message)?, "result")? {
            Some(result) => Self::of_result(result),
            None => Ok(None),
        }
    }

    /// Works as [`Self::parse`] on the `result` alone.
    pub fn of_result(result: Value<'t>) -> Result<Option<Self>, ListError> {
        let Some(tools) = tools(result)? else {
            return Ok(None);
        };
        let next_cursor = match member(result, "nextCursor")? {
            None => None,
            Some(cursor) if cursor.kind() == Kind::Null => None,
            // Known clients stop at an empty cursor. For a client that goes on, the next answer is not a part of this
            // list.
            Some(cursor) => Some(
                cursor
                    .as_str()
                    .ok_or(ListError::BadCursor(cursor.kind().as_str()))?,
            )
            .filter(|cursor| !cursor.is_empty()),
        };
        Ok(Some(Self { tools, next_cursor }))
    }

    /// The cursor of the next page; `None` on the last page.
    pub const fn next_cursor(self) -> Option<&'t str> {
        self.next_cursor
    }

    /// The tools with their names, without those that [`super::filter`] always removes.
    pub fn tools(self) -> impl Iterator<Item = (&'t str, Value<'t>)> {
        self.tools
            .elements()
            .filter_map(|tool| name(tool).map(|name| (name, tool)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of tools and the next cursor.
    type PageContent = (Vec<String>, Option<String>);

    fn read(text: &str) -> Result<Option<PageContent>, ListError> {
        let mut tape = Tape::new();
        Ok(Page::parse(&mut tape, text.as_bytes())?.map(|page| {
            let names = page.tools().map(|(name, _)| name.to_owned()).collect();
            (names, page.next_cursor().map(str::to_owned))
        }))
    }

    #[test]
    fn what_filter_shows_is_what_is_read() {
        let tools = r#"[{"name":"a"},{"name":7},{"name":"b","Name":"c"},"d",{"n\u0061me":"e"}]"#;
        for (members, cursor) in [
            ("", None),
            (r#","nextCursor":"c""#, Some("c")),
            (r#","nextCursor":null"#, None),
            (r#","nextCursor":"""#, None),
        ] {
            let read = read(&format!(r#"{{"result":{{"tools":{tools}{members}}}}}"#)).expect("a list");
            let names = vec!["a".to_owned(), "e".to_owned()];
            assert_eq!(read, Some((names, cursor.map(str::to_owned))), "{members}");
        }
    }

    #[test]
    fn other_messages_have_no_tools() {
        for text in [
            r#"{"error":{"code":1,"message":""}}"#,
            r#"{"method":"notifications/progress","params":{"tools":[]}}"#,
            r#"{"result":{"resources":[]}}"#,
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (text, expected) in [
            ("[]", ListError::NoMessage("list")),
            (r#"{"result":{"tools":{}}}"#, ListError::NoList("object")),
            (
                r#"{"result":{"tools":[],"nextCursor":1}}"#,
                ListError::BadCursor("number"),
            ),
            (
                r#"{"result":{"tools":[],"nextcursor":"c"}}"#,
                ListError::KeyCase("nextCursor"),
            ),
        ] {
            assert_eq!(read(text), Err(expected), "{text}");
        }
        assert!(matches!(
            read(r#"{"result":{"tools":[],"tools":[]}}"#),
            Err(ListError::Json(_))
        ));
    }
}
