//! The arguments that are mirrored in header fields, by the server's lists.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_core::bindings::Bindings;
use callgate_core::json::Tape;
use callgate_mcp::list::Page;

/// Tools with mirrored arguments that are remembered; the calls of others are sent without such fields.
const MOST_TOOLS: usize = 4_096;

/// The longest reply that is read for what it says of tools, in bytes. A longer one passes all the same.
pub(super) const LIST_LIMIT_BYTES: usize = 16 << 20;

/// Tools whose arguments are mirrored, as they were listed last.
#[derive(Debug, Default)]
pub(super) struct Tools(HashMap<String, Arc<Bindings>>);

/// The contents of a page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Learned {
    /// The cursor of the next page.
    pub(super) next_cursor: Option<String>,
}

impl Tools {
    /// Takes over the tools of a reply to `tools/list`; `None` if it is no list.
    pub(super) fn learn(&mut self, reply: &[u8]) -> Option<Learned> {
        let mut tape = Tape::new();
        let page = Page::parse(&mut tape, reply).ok()??;
        for (name, tool) in page.tools() {
            let bindings = tool
                .get("inputSchema")
                .map(Bindings::of_schema)
                .unwrap_or_default();
            if bindings.is_empty() {
                self.0.remove(name);
            } else if self.0.len() < MOST_TOOLS || self.0.contains_key(name) {
                self.0.insert(name.to_owned(), Arc::new(bindings));
            }
        }
        Some(Learned {
            next_cursor: page.next_cursor().map(str::to_owned),
        })
    }

    /// Returns the arguments of a tool that are mirrored, if any are known.
    pub(super) fn bindings(&self, tool: &str) -> Option<&Arc<Bindings>> {
        self.0.get(tool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(tools: &Tools, tool: &str) -> Vec<String> {
        let bindings = tools.bindings(tool).map(|bindings| &**bindings);
        let fields = bindings.into_iter().flat_map(Bindings::all);
        fields.map(|binding| binding.field().to_owned()).collect()
    }

    #[test]
    fn the_last_list_counts() {
        let mut tools = Tools::default();
        let tool = |name: &str, header: &str| {
            format!(
                r#"{{"name":"{name}","inputSchema":{{"properties":{{"x":{{"x-mcp-header":"{header}"}}}}}}}}"#
            )
        };
        let list = |tools: &[String], next: &str| {
            format!(r#"{{"id":1,"result":{{"tools":[{}]{next}}}}}"#, tools.join(","))
        };
        let first = list(&[tool("a", "A"), tool("b", "B")], r#","nextCursor":"2""#);
        let learned = tools.learn(first.as_bytes()).expect("a list");
        assert_eq!(learned.next_cursor.as_deref(), Some("2"));
        let second = list(&[tool("a", "Z"), tool("b", "no token")], "");
        assert_eq!(tools.learn(second.as_bytes()).expect("a list").next_cursor, None);
        assert_eq!(fields(&tools, "a"), ["mcp-param-z"]);
        assert_eq!(fields(&tools, "b"), [""; 0]);
        for none in ["", "{", r#"{"id":1,"error":{"code":1,"message":""}}"#] {
            assert_eq!(tools.learn(none.as_bytes()), None, "{none}");
        }
        assert_eq!(fields(&tools, "a"), ["mcp-param-z"]);
    }
}
