//! Lists of tools, held against the names in the policies of their server.

use callgate_core::json::Tape;
use callgate_gateway::pins::PageRef;
use callgate_mcp::list::Page;

use crate::events::{FieldValue, Level};
use crate::gate::Gate;

/// Looks at a list that a server has sent, and logs the names in its policies that it does not have. A list in several pages
/// is left alone, and so is what is no list.
pub(crate) fn compare(gate: &Gate, server: &str, asked: PageRef<'_>, tape: &mut Tape, message: &[u8]) {
    if !matches!(asked, PageRef::FromStart) {
        return;
    }
    let Ok(Some(page)) = Page::parse(tape, message) else {
        return;
    };
    if page.next_cursor().is_some() {
        return;
    }
    let configuration = gate.configuration();
    let servers: Vec<&str> = configuration
        .parts
        .gateway
        .servers
        .keys()
        .map(String::as_str)
        .collect();
    let names = page.tools().map(|(name, _)| name);
    for unlisted in gate
        .listed_tools
        .take(&configuration.state, &servers, server, names)
    {
        let mut fields: Vec<(&'static str, FieldValue)> = vec![
            ("server", server.into()),
            ("policy", unlisted.policy.as_str().into()),
            ("tool", unlisted.tool.as_str().into()),
        ];
        if let Some(nearest) = &unlisted.nearest {
            fields.push(("nearest", nearest.as_str().into()));
        }
        gate.events.push(Level::Warning, "tool_unlisted", fields);
    }
}
